//! From a recipe to a signed, reproducible container-host OS image, without root.
pub mod cli;
pub mod cmd;
pub mod contents;
pub mod disk;
pub mod erofs;
pub mod esp;
pub mod extent;
pub mod inspect;
pub mod keys;
pub mod manifest;
pub mod progress;
pub mod sign;
pub mod slot;
pub mod tools;
pub mod uki;
pub mod verify;
pub mod verity;

#[cfg(test)]
mod test_support;
