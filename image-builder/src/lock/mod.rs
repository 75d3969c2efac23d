//! The lock: the exact packages that a recipe resolved to, and how their bytes get here.
//!
//! | module | holds |
//! | --- | --- |
//! | [`mod@format`] | the lock file |
//! | [`mod@diff`] | what changed between two locks |
//! | [`mod@archives`] | where the archives live, which no recipe and no lock says |
//! | [`mod@resolve`] | from a recipe to a lock, by the host's apt with a configuration of its own |
//! | `apt`, `index`, `reasons`, `refusal` | parts of that: the private apt, the package lists, why a package is there, why apt refused |
//! | [`mod@fetch`] | from a lock to verified packages in the store |

mod apt;
pub mod archives;
pub mod diff;
pub mod fetch;
pub mod format;
mod index;
mod reasons;
mod refusal;
pub mod resolve;
#[cfg(test)]
mod test_archive;

pub use apt::AptError;
pub use archives::{ArchiveOptions, Archives, ArchivesError};
pub use diff::LockDiff;
pub use fetch::{FetchError, fetch, verify_blobs};
pub use format::{ArchiveLabel, Lock, LockError, LockedPackage, lock_path};
pub use resolve::{ResolveError, resolve};
