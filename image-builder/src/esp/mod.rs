//! The EFI system partition: a FAT32 file system with loader, UKIs and addons. [`mod@write`] makes one, [`mod@read`] looks into any.

pub mod expected;
pub mod read;
pub mod write;

pub use read::{Fat, FatError};
pub use write::{Content, EspError, EspFile, EspSpec};
