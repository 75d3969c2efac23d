//! Disks of a machine under test, served over NBD, so that every request can be recorded, delayed, refused or cut off.
//!
//! [`wire`] is the protocol's bytes, [`disk`] is the content (a base that is only read, and what was written above it),
//! [`fault`] decides what happens to a request, [`recorder`] writes down what was asked and what was answered in one order
//! over all disks, and [`server`] joins them behind a Unix socket. QEMU is the only client this is made for.

pub mod disk;
pub mod fault;
pub mod recorder;
pub mod server;
pub mod wire;
