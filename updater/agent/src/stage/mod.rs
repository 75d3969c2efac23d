//! Makes the passive slot hold a release.
//!
//! The order is the promise (design, section 5): the boot entry goes first, then every frame is checked against its signed digest
//! before it is written, everything is flushed, read back from the medium and checked against the signed root hash, and only then
//! the boot entry comes back, by a rename, as the last write. Whatever interrupts this, the slot either cannot be booted or holds
//! exactly the release. Nothing is remembered on disk about how far it came: what is on the slot already is recognised by its
//! digests, be it from an interrupted attempt or from an older release that shares frames with this one.

mod command;
mod engine;
#[cfg(test)]
mod fault_tests;
mod part;
mod passive;
mod read_back;
#[cfg(test)]
pub(crate) mod testing;

use std::io;

pub use command::{Args as StageArgs, run as run_stage};
pub use engine::{Fetched, Frames, stage};
pub use passive::{DiskSlot, Passive, Places};

use crate::daemon::host::{Failure, FailureKind};

/// A failed access to the slot, by what the operating system said.
fn disk_failure(what: &str, error: &io::Error) -> Failure {
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge);
    let kind = if full { FailureKind::Space } else { FailureKind::Disk };
    Failure::new(kind, format!("{what}: {error}; the slot stays unbootable"))
}
