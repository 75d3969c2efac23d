//! The `Host` of a real machine.
