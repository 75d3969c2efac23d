//! What can be wrong, in words for the person who has to mend it.

mod brief;
mod kind;

pub(crate) use brief::brief;
pub use kind::Kind;

use jiff::Timestamp;

use crate::canonical::JsonError;
use crate::key::{KeyError, KeyId};
use crate::limits::{MAX_ROOT_ROTATIONS, MAX_VERSION};
use crate::role::Role;
use crate::signer::SignError;

/// Why metadata or a target was not accepted, or could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read in one way only.
    #[error("{role} metadata: {reason}")]
    Json {
        /// Which file.
        role: Role,
        /// What is wrong.
        reason: JsonError,
    },
    /// JSON, but not metadata.
    #[error("{role} metadata is malformed: {reason}")]
    Malformed {
        /// Which file.
        role: Role,
        /// What is wrong.
        reason: String,
    },
    /// A file of one role stands in for another.
    #[error("expected {role} metadata, found `_type` \"{found}\"; the repository mixes up its files, or someone does")]
    WrongType {
        /// What it had to be.
        role: Role,
        /// What it says it is.
        found: String,
    },
    /// Too few good signatures of different keys.
    #[error("{role} metadata{} is signed by {} of the {needed} keys that {by} asks for (good signatures: {}; keys that count: {}); publish it signed by more of these keys, or, where keys were changed, publish the new root first", of_version(*.version), .good.len(), list(.good), list(.accepted))]
    Signatures {
        /// Which file.
        role: Role,
        /// The version that the file claims.
        version: Option<u64>,
        /// The root that was asked.
        by: Asked,
        /// The threshold.
        needed: usize,
        /// Keys with a good signature.
        good: Vec<KeyId>,
        /// Keys whose signatures count.
        accepted: Vec<KeyId>,
    },
    /// One key id signs twice.
    #[error("{role} metadata carries two signatures of key {key_id}; remove one")]
    DuplicateSignature {
        /// Which file.
        role: Role,
        /// The key.
        key_id: String,
    },
    /// A key stands under a name that is not its own.
    #[error("the root lists a key as {listed}, but its id is {computed}; write the root with the right id")]
    KeyId {
        /// The name it was given.
        listed: String,
        /// The name it has.
        computed: KeyId,
    },
    /// An ed25519 key that cannot be used.
    #[error("key {key_id} in the root: {reason}")]
    Key {
        /// Which key.
        key_id: String,
        /// What is wrong with it.
        reason: KeyError,
    },
    /// More signatures asked for than there are keys.
    #[error(
        "root version {root_version} asks for {threshold} signatures of {role} but lists {keys} usable ed25519 keys for it; add keys or lower the threshold"
    )]
    Unmeetable {
        /// Version of the root.
        root_version: u64,
        /// Whose threshold.
        role: Role,
        /// Signatures asked for.
        threshold: u64,
        /// Different keys there are.
        keys: usize,
    },
    /// A root is not the direct successor.
    #[error("the root after version {trusted} must have version {}, but the file offered has version {found}; each root must be published as N.root.json", trusted + 1)]
    RootVersion {
        /// The root we have.
        trusted: u64,
        /// The version found.
        found: u64,
    },
    /// More rotations than one run follows.
    #[error("followed {MAX_ROOT_ROTATIONS} new roots without reaching the last; what was followed is kept, run again to go on")]
    TooManyRoots,
    /// Beyond [`MAX_VERSION`].
    #[error(
        "{role} metadata has version {version}, above the highest that is accepted ({MAX_VERSION}); if nobody here did that, the {role} key is in foreign hands: rotate it in a new root"
    )]
    VersionTooHigh {
        /// Which file.
        role: Role,
        /// Its version.
        version: u64,
    },
    /// Older than what was seen before.
    #[error(
        "{listed_by} offers {role} version {found}, but version {trusted} was accepted before; an old copy is being served (a stale mirror, a restored backup, or an attack): publish a version above {trusted}, or, after a stolen key, rotate it in a new root"
    )]
    Rollback {
        /// What goes back.
        role: Role,
        /// Who says so.
        listed_by: Role,
        /// The version accepted before.
        trusted: u64,
        /// The version offered now.
        found: u64,
    },
    /// A targets file that was there before is no longer listed.
    #[error("the snapshot no longer lists {name}, which it listed before; put it back, even if it lists no files")]
    Vanished {
        /// The file.
        name: String,
    },
    /// Two contents under one version.
    #[error("there are two different {role} files with version {version}; one of them is not to be trusted: publish the right one under version {}", version + 1)]
    SameVersion {
        /// Which file.
        role: Role,
        /// The version both have.
        version: u64,
    },
    /// The file is not the one its parent lists.
    #[error(
        "{listed_by} lists {role} version {listed}, but the file offered has version {found}; the repository is half updated: publish {role} before {listed_by}"
    )]
    VersionMismatch {
        /// Which file.
        role: Role,
        /// Who lists it.
        listed_by: Role,
        /// The version listed.
        listed: u64,
        /// The version found.
        found: u64,
    },
    /// No longer valid.
    #[error(
        "{role} metadata version {version} expired at {expires}, and now is {now}; if this machine's clock is right, publish newly signed {role} metadata (if that was done, someone withholds it from this machine)"
    )]
    Expired {
        /// Which file.
        role: Role,
        /// Its version.
        version: u64,
        /// Its last moment.
        expires: Timestamp,
        /// The time it was compared with.
        now: Timestamp,
    },
    /// Not as long as signed.
    #[error("{name} has {found} bytes, but {listed} were signed for; the server's copy is damaged or of another release")]
    Length {
        /// File or target.
        name: String,
        /// Signed length.
        listed: u64,
        /// Length found.
        found: u64,
    },
    /// Not the bytes that were signed.
    #[error("{name} has sha256 {found}, but {listed} was signed; the server's copy is damaged or of another release")]
    Digest {
        /// File or target.
        name: String,
        /// Signed digest, hex.
        listed: String,
        /// Digest found, hex.
        found: String,
    },
    /// More bytes than we ever take.
    #[error("{name} has more than {limit} bytes, the most that is accepted")]
    TooLarge {
        /// The file.
        name: String,
        /// The limit.
        limit: u64,
    },
    /// The repository lacks a file it must have.
    #[error("the repository has no {path}; publish it, or correct the repository's address")]
    Missing {
        /// Relative to the metadata's folder.
        path: String,
    },
    /// A target's name that could leave its folder, or be read in two ways.
    #[error("target name \"{name}\" {reason}; rename the file")]
    Name {
        /// The name.
        name: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// `finish` before the end, or `supply` after it.
    #[error("the refresh is not at this point: first supply what `want` asks for")]
    OutOfOrder,
    /// Not enough of the right keys were brought along for signing.
    #[error("{role} metadata needs {needed} signatures of the keys {}, and only {} were made; bring more of these keys", list(.accepted), .signed.len())]
    MissingSigners {
        /// What was to be signed.
        role: Role,
        /// The threshold.
        needed: usize,
        /// Keys that count.
        accepted: Vec<KeyId>,
        /// Keys of them that signed.
        signed: Vec<KeyId>,
    },
    /// A signer failed.
    #[error("signing {role} metadata with key {key_id}: {reason}")]
    Signing {
        /// What was to be signed.
        role: Role,
        /// With which key.
        key_id: KeyId,
        /// Why not.
        reason: SignError,
    },
    /// A change that makes no sense.
    #[error("{0}")]
    Edit(String),
}

/// Which root's keys were asked to vouch for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asked {
    /// The root trusted so far, with its version.
    TrustedRoot(u64),
    /// A root vouching for itself.
    Itself,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TrustedRoot(version) => write!(f, "the trusted root (version {version})"),
            Self::Itself => f.write_str("this root itself"),
        }
    }
}

fn of_version(version: Option<u64>) -> String {
    version.map_or_else(String::new, |version| format!(" version {version}"))
}

fn list(ids: &[KeyId]) -> String {
    if ids.is_empty() { "none".to_owned() } else { ids.iter().map(KeyId::as_str).collect::<Vec<_>>().join(", ") }
}
