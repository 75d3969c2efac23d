//! The disk: its partition table ([`layout`]), writing a raw image ([`image`]), opening one ([`read`]).

pub mod image;
pub mod layout;
pub mod read;

pub use image::{ImageError, Parts};
pub use layout::{PARTITIONS, PartitionSpec};
pub use read::{Disk, DiskError, DiskPartition};
