//! From a recipe to a signed, reproducible container-host OS image, without root.
pub mod cli;
pub mod cmd;
pub mod convert;
pub mod manifest;
pub mod progress;
pub mod qemu;
pub mod tools;
