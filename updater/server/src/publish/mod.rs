//! How releases come in: uploaded into a staging folder, verified as a whole, then made visible by one rename.
//!
//! - [`disk`]: every step that changes it, by name, for tests of faults
//! - [`layout`]: the folders, and which names may be written
//! - [`upload`]: one file into staging, hashed while it streams
//! - [`verify`]: the whole chain of signed metadata, and every file it names
//! - [`switch`]: files first, metadata last, with one atomic rename
//! - [`online`]: re-signs what says that the repository is fresh, where this server has the online keys
//! - [`register`]: releases without signed metadata, for clients that bring their own trust

pub mod disk;
pub mod layout;
pub mod online;
pub mod register;
pub mod switch;
pub mod upload;
pub mod verify;

use std::path::PathBuf;

pub use disk::{Disk, Step};
pub use layout::Layout;

/// Why something cannot be published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// A file or folder name that could mean something else than itself.
    #[error("`{0}` is no name that can be published: use letters, digits and . _ + ~ -, not beginning with a dot, at most 128 characters")]
    Name(String),
    /// Uploaded bytes are not the announced ones.
    #[error("{name} has SHA-256 {got}, but {wanted} was announced; upload it again")]
    Digest {
        /// Which file.
        name: String,
        /// What came.
        got: String,
        /// What was announced.
        wanted: String,
    },
    /// A file grew beyond its limit.
    #[error("{name} is larger than {limit} bytes")]
    Large {
        /// Which file.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// The upload broke off.
    #[error("the upload of {name} broke off: {reason}")]
    BrokenOff {
        /// Which file.
        name: String,
        /// Why.
        reason: String,
    },
    /// A published file never changes.
    #[error("{0} is published already with other content, and what is published never changes; publish under another version")]
    Published(String),
    /// The signed metadata does not hold.
    #[error("the metadata does not verify: {0}")]
    Trust(#[from] trust::Error),
    /// The metadata does not follow from the root that was pinned.
    #[error("the metadata does not follow from the root that this server was given (init --root): {0}")]
    Pinned(trust::Error),
    /// No metadata was uploaded, and none is here.
    #[error("there is no {0}: upload the repository's tuf folder before publishing")]
    NoMetadata(String),
    /// Metadata names a file that is not here.
    #[error("the metadata names {0}, which was not uploaded")]
    Missing(String),
    /// A file is not what the metadata says.
    #[error("{name} is not what the metadata says: {problem}")]
    Differs {
        /// Which file.
        name: String,
        /// What differs.
        problem: String,
    },
    /// A `release.json` does not describe a release.
    #[error("{name}: {source}")]
    Release {
        /// Which file.
        name: String,
        /// What is wrong with it.
        source: payload::ReleaseError,
    },
    /// Keys that cannot sign.
    #[error("online key {path}: {reason}")]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The disk.
    #[error("{path}: {source}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}

/// Adds the path to an error of the system.
fn at(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> PublishError {
    let path = path.into();
    move |source| PublishError::Io { path, source }
}
