//! Sections 5.4 to 5.6: timestamp, snapshot, targets.
//!
//! Between the steps `self.timestamp`, `self.snapshot` and `self.targets` hold what `self.trusted` holds: first the files of
//! the earlier run, which the new ones are compared with, then the new ones.

use super::{Refresh, Stage};
use crate::error::{Error, brief};
use crate::limits::{MAX_SNAPSHOT_BYTES, MAX_TARGETS_BYTES};
use crate::metadata::{MetaFile, Snapshot, Targets, TimestampFile};
use crate::role::Role;

impl Refresh {
    /// 5.4: the only file without a known length or hash. Must not be older than ours, nor list an older snapshot.
    pub(super) fn take_timestamp(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        let new = self.open(Role::Timestamp, &bytes, TimestampFile::parse)?;
        if let Some(old) = &self.timestamp {
            not_older(Role::Timestamp, Role::Timestamp, old.header.version, new.header.version)?;
            if old.header.version == new.header.version && *old != new {
                return Err(Error::SameVersion { role: Role::Timestamp, version: new.header.version });
            }
            not_replaced(Role::Snapshot, Role::Timestamp, &old.snapshot, &new.snapshot)?;
        }
        new.header.check_expiry(Role::Timestamp, self.now)?;
        let listed = new.snapshot.clone();
        // Equal content: the specification keeps the old copy.
        if self.timestamp.as_ref() != Some(&new) {
            self.trusted.timestamp = Some(bytes);
            self.timestamp = Some(new);
        }
        listed.max_bytes("snapshot.json", MAX_SNAPSHOT_BYTES)?;
        // The local copy, when it is the one that is listed, spares the download.
        if let Some(local) = self.trusted.snapshot.clone()
            && self.snapshot.as_ref().is_some_and(|local| local.header.version == listed.version)
            && listed.check_bytes("snapshot.json", &local).is_ok()
        {
            return self.take_snapshot(&listed, local);
        }
        self.stage = Stage::Snapshot(listed);
        Ok(())
    }

    /// 5.5: as listed by the timestamp; no targets file may go back or vanish.
    pub(super) fn take_snapshot(&mut self, listed: &MetaFile, bytes: Vec<u8>) -> Result<(), Error> {
        listed.check_bytes("snapshot.json", &bytes)?;
        let new = self.open(Role::Snapshot, &bytes, Snapshot::parse)?;
        as_listed(Role::Snapshot, Role::Timestamp, listed, new.header.version)?;
        if let Some(old) = &self.snapshot {
            not_older(Role::Snapshot, Role::Timestamp, old.header.version, new.header.version)?;
            if old.header.version == new.header.version && *old != new {
                return Err(Error::SameVersion { role: Role::Snapshot, version: new.header.version });
            }
            for (name, before) in &old.files {
                match new.files.get(name) {
                    Some(after) => not_replaced(Role::Targets, Role::Snapshot, before, after)?,
                    None => return Err(Error::Vanished { name: brief(name) }),
                }
            }
        }
        new.header.check_expiry(Role::Snapshot, self.now)?;
        let listed = new.targets.clone();
        self.trusted.snapshot = Some(bytes);
        self.snapshot = Some(new);
        listed.max_bytes("targets.json", MAX_TARGETS_BYTES)?;
        if let Some(local) = self.trusted.targets.clone()
            && self.targets.as_ref().is_some_and(|local| local.version == listed.version)
            && listed.check_bytes("targets.json", &local).is_ok()
        {
            return self.take_targets(&listed, local);
        }
        self.stage = Stage::Targets(listed);
        Ok(())
    }

    /// 5.6: as listed by the snapshot.
    pub(super) fn take_targets(&mut self, listed: &MetaFile, bytes: Vec<u8>) -> Result<(), Error> {
        listed.check_bytes("targets.json", &bytes)?;
        let new = self.open(Role::Targets, &bytes, Targets::parse)?;
        as_listed(Role::Targets, Role::Snapshot, listed, new.version)?;
        new.header().check_expiry(Role::Targets, self.now)?;
        self.trusted.targets = Some(bytes);
        self.targets = Some(new);
        self.stage = Stage::Done;
        Ok(())
    }
}

/// Versions never go down.
fn not_older(role: Role, listed_by: Role, trusted: u64, found: u64) -> Result<(), Error> {
    if found < trusted { Err(Error::Rollback { role, listed_by, trusted, found }) } else { Ok(()) }
}

/// A listed file does not go back, nor change under the same version.
fn not_replaced(role: Role, listed_by: Role, before: &MetaFile, after: &MetaFile) -> Result<(), Error> {
    not_older(role, listed_by, before.version, after.version)?;
    if before.contradicts(after) { Err(Error::SameVersion { role, version: after.version }) } else { Ok(()) }
}

/// The file is of the version that its parent lists.
fn as_listed(role: Role, listed_by: Role, listed: &MetaFile, found: u64) -> Result<(), Error> {
    if listed.version == found { Ok(()) } else { Err(Error::VersionMismatch { role, listed_by, listed: listed.version, found }) }
}
