//! The disk: its partition table ([`layout`]), writing a raw image ([`image`]).

pub mod image;
pub mod layout;

pub use image::{ImageError, Parts};
pub use layout::{PARTITIONS, PartitionSpec};
