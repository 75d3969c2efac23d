//! Why this version runs, and when that can change.
