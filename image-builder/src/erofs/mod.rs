//! EROFS, the read-only root file system: made by the tools tree's mkfs.erofs, read by our own code.

pub mod make;
pub mod read;

pub use make::make;
pub use read::{Erofs, ErofsError};
