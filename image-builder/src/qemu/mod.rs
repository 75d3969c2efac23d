//! QEMU: what it takes to boot an image here, shared by `run` and by the VM tests.
//!
//! [`accel`] says what the machine can do, [`version`] what the installed QEMU can do, [`firmware`] finds OVMF,
//! [`secure_boot`] writes the variable store of a machine that enforces our keys, [`overlay`] keeps the image
//! itself untouched, and [`machine`] turns a typed description into the argument list.

pub mod accel;
pub mod firmware;
pub mod machine;
pub mod overlay;
pub mod secure_boot;
pub mod version;

/// The emulator for the one architecture we build for.
pub const PROGRAM: &str = "qemu-system-x86_64";
