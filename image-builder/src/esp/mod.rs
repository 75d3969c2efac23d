//! The EFI system partition: a FAT32 file system with loader, UKIs and addons. [`write`] makes one.

pub mod write;

pub use write::{Content, EspError, EspFile, EspSpec};
