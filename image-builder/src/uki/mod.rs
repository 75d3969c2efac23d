//! Unified kernel images: PE files that carry kernel, initrd and command line as sections.
//!
//! Section names and meaning follow the UAPI Group's Unified Kernel Image specification, the container follows Microsoft's
//! PE/COFF specification. [`pe`] reads, [`assemble`] writes.

pub mod assemble;
pub mod pe;

pub use assemble::{AssembleError, Uki, addon};
pub use pe::{Pe, PeError, Section};
