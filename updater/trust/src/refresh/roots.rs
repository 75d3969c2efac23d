//! Section 5.3: from the trusted root to the newest, one version at a time.

use super::{Refresh, Stage};
use crate::envelope::Envelope;
use crate::error::{Asked, Error};
use crate::limits::MAX_ROOT_ROTATIONS;
use crate::metadata::{Snapshot, Targets, TimestampFile};
use crate::role::Role;

impl Refresh {
    /// 5.3.3 to 5.3.9, and 5.3.11.
    pub(super) fn take_root(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        if self.rotations == MAX_ROOT_ROTATIONS {
            return Err(Error::TooManyRoots);
        }
        let next = self.root.successor(&bytes)?;
        // 5.3.11, at every step and not only at the end: a key that came and went must not save what it signed. The targets go
        // along; they are only a cache, and what guards them against rollback is the snapshot.
        let rotated = |role| self.root.role(role).distinct() != next.role(role).distinct();
        if rotated(Role::Timestamp) || rotated(Role::Snapshot) {
            self.trusted.forget_all_but_root();
        }
        self.trusted.root = bytes;
        self.root = next;
        self.rotations += 1;
        Ok(())
    }

    /// 5.3.10: there is no newer root, so this one must be valid now. Then the local files are opened with its keys.
    pub(super) fn end_of_roots(&mut self) -> Result<(), Error> {
        self.root.header().check_expiry(Role::Root, self.now)?;
        self.timestamp = self.local(Role::Timestamp, TimestampFile::parse);
        self.snapshot = self.local(Role::Snapshot, Snapshot::parse);
        self.targets = self.local(Role::Targets, Targets::parse);
        // What is damaged, or signed by keys that no longer count, is forgotten.
        let trusted = &mut self.trusted;
        trusted.timestamp.take_if(|_| self.timestamp.is_none());
        trusted.snapshot.take_if(|_| self.snapshot.is_none());
        trusted.targets.take_if(|_| self.targets.is_none());
        self.stage = Stage::Timestamp;
        Ok(())
    }

    /// A file of an earlier run, if it still verifies. It may have expired: it serves to detect a rollback.
    fn local<T>(&self, role: Role, parse: impl FnOnce(&serde_json::Value) -> Result<T, Error>) -> Option<T> {
        self.open(role, self.trusted.get(role)?, parse).ok()
    }

    /// Reads a file and checks its signatures against the root, then what it says.
    pub(super) fn open<T>(&self, role: Role, bytes: &[u8], parse: impl FnOnce(&serde_json::Value) -> Result<T, Error>) -> Result<T, Error> {
        let envelope = Envelope::parse(role, bytes)?;
        envelope.verify(self.root.role(role), Asked::TrustedRoot(self.root.version))?;
        parse(&envelope.signed)
    }
}
