//! The health gate.
