//! From a recipe to a signed, reproducible container-host OS image, without root.
pub mod cli;
pub mod cmd;
pub mod elf;
pub mod finish;
pub mod initrd;
pub mod install;
pub mod manifest;
pub mod namespace;
pub mod progress;
pub mod tools;
pub mod tree;
