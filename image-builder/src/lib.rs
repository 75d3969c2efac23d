//! From a recipe to a signed, reproducible container-host OS image, without root.

pub mod build;
pub mod cli;
pub mod cmd;
pub mod contents;
pub mod convert;
pub mod diff;
pub mod disk;
pub mod elf;
pub mod erofs;
pub mod esp;
pub mod explain;
pub mod extent;
pub mod finish;
pub mod initrd;
pub mod inspect;
pub mod install;
pub mod keys;
pub mod licence;
pub mod lock;
pub mod manifest;
pub mod namespace;
pub mod parallel;
pub mod progress;
pub mod prove;
pub mod qemu;
pub mod recipe;
pub mod release;
pub mod report;
pub mod sbom;
pub mod sign;
pub mod slot;
pub mod store;
pub mod tools;
pub mod tree;
pub mod uki;
pub mod verify;
pub mod verity;

#[cfg(test)]
mod test_support;
