//! x
pub mod format;
pub use format::*;
