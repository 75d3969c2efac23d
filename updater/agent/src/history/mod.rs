//! What happened on this machine, one JSON line each, bounded and rotated.

mod entry;
mod file;

pub use entry::{Entry, What};
pub use file::History;
