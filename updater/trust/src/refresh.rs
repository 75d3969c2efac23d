//! One run of the TUF client workflow (specification, section 5) as a machine that asks for files and never touches the network.
//!
//! Ask [`Refresh::want`] which file comes next, fetch at most that many bytes of it, [`Refresh::supply`] the answer, and so on until nothing
//! is wanted; then [`Refresh::finish`] hands out the targets. Whatever happens on the way, [`Refresh::trusted`] is what to keep for the next run.

mod files;
mod roots;
mod trusted;

pub use trusted::Trusted;

use jiff::Timestamp;

use crate::error::Error;
use crate::limits::{MAX_ROOT_BYTES, MAX_SNAPSHOT_BYTES, MAX_TARGETS_BYTES, MAX_TIMESTAMP_BYTES};
use crate::metadata::{MetaFile, Root, Snapshot, Targets, TimestampFile};
use crate::role::Role;
use crate::verified::Verified;

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Relative to the folder of metadata.
    pub path: String,
    /// Stop reading after this many bytes; more is an error.
    pub max_bytes: u64,
}

/// What came of fetching a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The whole content.
    Bytes(Vec<u8>),
    /// The server says that there is no such file. *Not* for a server that did not answer: then end the run and come again.
    Missing,
}

/// Versions and the first expiry of what was verified so far, for reports and alarms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Version of the root.
    pub root: u64,
    /// Version of the timestamp, when reached.
    pub timestamp: Option<u64>,
    /// Version of the snapshot, when reached.
    pub snapshot: Option<u64>,
    /// Version of the targets, when reached.
    pub targets: Option<u64>,
    /// What expires first, and when. An operator should hear of it well before.
    pub next_expiry: (Role, Timestamp),
}

/// The run.
#[derive(Debug, Clone)]
pub struct Refresh {
    now: Timestamp,
    trusted: Trusted,
    root: Root,
    /// New roots followed in this run.
    rotations: u64,
    timestamp: Option<TimestampFile>,
    snapshot: Option<Snapshot>,
    targets: Option<Targets>,
    stage: Stage,
}

/// What is being waited for.
#[derive(Debug, Clone)]
enum Stage {
    NextRoot,
    Timestamp,
    Snapshot(MetaFile),
    Targets(MetaFile),
    Done,
    Failed(Error),
}

impl Refresh {
    /// Starts from what is `trusted`: at least a root, from the image or from an earlier run.
    ///
    /// `now` decides about expiry and stays fixed during the run; see [`clock::latest`](crate::clock::latest). Files
    /// other than the root that do not stand up to the root's keys are dropped later, as if they were not there.
    pub fn new(trusted: Trusted, now: Timestamp) -> Result<Self, Error> {
        let root = Root::open(&trusted.root)?;
        Ok(Self { now, trusted, root, rotations: 0, timestamp: None, snapshot: None, targets: None, stage: Stage::NextRoot })
    }

    /// The next file to fetch; none at the end, and none after an error.
    #[must_use]
    pub fn want(&self) -> Option<Want> {
        let (role, version, max_bytes) = match &self.stage {
            Stage::NextRoot => (Role::Root, Some(self.root.version + 1), MAX_ROOT_BYTES),
            Stage::Timestamp => (Role::Timestamp, None, MAX_TIMESTAMP_BYTES),
            Stage::Snapshot(listed) => (Role::Snapshot, self.prefix(listed), listed.length.unwrap_or(MAX_SNAPSHOT_BYTES)),
            Stage::Targets(listed) => (Role::Targets, self.prefix(listed), listed.length.unwrap_or(MAX_TARGETS_BYTES)),
            Stage::Done | Stage::Failed(_) => return None,
        };
        let path = version.map_or_else(|| role.file_name(), |version| format!("{version}.{role}.json"));
        Some(Want { path, max_bytes })
    }

    fn prefix(&self, listed: &MetaFile) -> Option<u64> {
        self.root.consistent_snapshot.then_some(listed.version)
    }

    /// Takes the answer to [`want`](Self::want). After an error the run is over; start a new one from [`trusted`](Self::trusted).
    pub fn supply(&mut self, answer: Answer) -> Result<(), Error> {
        let Some(want) = self.want() else {
            return Err(Error::OutOfOrder);
        };
        let outcome = self.advance(&want, answer);
        if let Err(error) = &outcome {
            self.stage = Stage::Failed(error.clone());
        }
        outcome
    }

    fn advance(&mut self, want: &Want, answer: Answer) -> Result<(), Error> {
        let bytes = match answer {
            Answer::Bytes(bytes) if bytes.len() as u64 > want.max_bytes => {
                return Err(Error::TooLarge { name: want.path.clone(), limit: want.max_bytes });
            }
            Answer::Bytes(bytes) => bytes,
            Answer::Missing if matches!(self.stage, Stage::NextRoot) => return self.end_of_roots(),
            Answer::Missing => return Err(Error::Missing { path: want.path.clone() }),
        };
        match self.stage.clone() {
            Stage::NextRoot => self.take_root(bytes),
            Stage::Timestamp => self.take_timestamp(bytes),
            Stage::Snapshot(listed) => self.take_snapshot(&listed, bytes),
            Stage::Targets(listed) => self.take_targets(&listed, bytes),
            Stage::Done | Stage::Failed(_) => Err(Error::OutOfOrder),
        }
    }

    /// Runs to the end with a function that fetches. For callers that need not interleave anything.
    pub fn run<E: From<Error>>(&mut self, mut fetch: impl FnMut(&Want) -> Result<Answer, E>) -> Result<(), E> {
        while let Some(want) = self.want() {
            self.supply(fetch(&want)?)?;
        }
        match &self.stage {
            Stage::Failed(error) => Err(error.clone().into()),
            _ => Ok(()),
        }
    }

    /// The exact bytes that were verified so far, at any time, also after an error. Keep them: they are what detects a rollback.
    #[must_use]
    pub const fn trusted(&self) -> &Trusted {
        &self.trusted
    }

    /// Versions and the first expiry of what was verified so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let headers = [
            (Role::Timestamp, self.timestamp.as_ref().map(|file| file.header)),
            (Role::Snapshot, self.snapshot.as_ref().map(|file| file.header)),
            (Role::Targets, self.targets.as_ref().map(Targets::header)),
        ];
        let [timestamp, snapshot, targets] = headers.map(|(_, header)| header.map(|header| header.version));
        let first = headers.iter().filter_map(|(role, header)| Some((*role, header.as_ref()?.expires)));
        let next_expiry = first.chain([(Role::Root, self.root.expires)]).min_by_key(|(_, expires)| *expires);
        Summary {
            root: self.root.version,
            timestamp,
            snapshot,
            targets,
            next_expiry: next_expiry.unwrap_or((Role::Root, self.root.expires)),
        }
    }

    /// Whether names of targets carry digests: hand this to [`Target::path`](crate::Target::path).
    #[must_use]
    pub const fn consistent_snapshot(&self) -> bool {
        self.root.consistent_snapshot
    }

    /// The targets, once nothing is wanted any more; after an error, that error again.
    pub fn finish(self) -> Result<Verified<Targets>, Error> {
        match (self.stage, self.targets) {
            (Stage::Done, Some(targets)) => Ok(Verified::vouch(targets)),
            (Stage::Failed(error), _) => Err(error),
            _ => Err(Error::OutOfOrder),
        }
    }
}
