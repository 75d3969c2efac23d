//! Carries a plan out, and undoes what it did when a step fails.
