//! `targets.json`: the files that are releases.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::header::{Header, body, sha256};
use super::meta_file::{check_digest, check_length};
use crate::error::{Error, brief};
use crate::name::TargetName;
use crate::role::Role;
use crate::verified::Verified;

/// One file: its length, its digest and what its publisher noted about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Bytes.
    pub length: u64,
    /// SHA-256 of the content.
    pub sha256: [u8; 32],
    /// The publisher's own object, or null.
    pub custom: Value,
}

impl Target {
    /// Describes `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self { length: content.len() as u64, sha256: Sha256::digest(content).into(), custom: Value::Null }
    }

    /// With a note, which has to be an object.
    #[must_use]
    pub fn with_custom(self, custom: Value) -> Self {
        Self { custom, ..self }
    }

    /// Checks that `bytes` are this target: length first, then digest.
    pub fn check(&self, bytes: &[u8]) -> Result<Verified<Vec<u8>>, Error> {
        self.check_as("the target", bytes)
    }

    /// As [`check`](Self::check), with the target's name for the error message.
    pub fn check_as(&self, name: &str, bytes: &[u8]) -> Result<Verified<Vec<u8>>, Error> {
        check_length(name, self.length, bytes.len() as u64)?;
        check_digest(name, &self.sha256, bytes)?;
        Ok(Verified::vouch(bytes.to_vec()))
    }

    /// Where the file lies, relative to the folder of targets: `a/b`, or `a/DIGEST.b` in a repository with consistent snapshots.
    #[must_use]
    pub fn path(&self, name: &TargetName, consistent_snapshot: bool) -> String {
        if !consistent_snapshot {
            return name.to_string();
        }
        let digest = hex::encode(self.sha256);
        match name.as_str().rsplit_once('/') {
            Some((folder, file)) => format!("{folder}/{digest}.{file}"),
            None => format!("{digest}.{name}"),
        }
    }
}

/// Content of the top-level targets file.
///
/// Delegations to other roles are accepted and ignored: we fetch no other targets files, so a name that only a delegated role lists is not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Targets {
    /// Counts up.
    pub version: u64,
    /// When it must have been replaced.
    pub expires: Timestamp,
    targets: BTreeMap<TargetName, Target>,
}

#[derive(Deserialize)]
struct Raw {
    targets: BTreeMap<String, RawTarget>,
}

#[derive(Deserialize)]
struct RawTarget {
    length: u64,
    hashes: BTreeMap<String, String>,
    #[serde(default)]
    custom: Value,
}

impl Targets {
    /// The target of exactly this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Target> {
        self.targets.get(name)
    }

    /// All targets by name.
    pub fn iter(&self) -> impl Iterator<Item = (&TargetName, &Target)> {
        self.targets.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Reads a `signed` object. One unsafe name spoils the file: it is an attack or a mistake, and both want to be seen.
    pub(crate) fn parse(signed: &Value) -> Result<Self, Error> {
        let header = Header::parse(Role::Targets, signed)?;
        let raw: Raw = body(Role::Targets, signed)?;
        let mut targets = BTreeMap::new();
        for (name, raw) in raw.targets {
            let malformed = |what: &str| Error::Malformed { role: Role::Targets, reason: format!("its target {} {what}", brief(&name)) };
            let sha256 = sha256(&raw.hashes).ok_or_else(|| malformed("has no good sha256"))?;
            if !raw.custom.is_object() && !raw.custom.is_null() {
                return Err(malformed("has a `custom` that is not an object"));
            }
            targets.insert(TargetName::new(&name)?, Target { length: raw.length, sha256, custom: raw.custom });
        }
        Ok(Self { version: header.version, expires: header.expires, targets })
    }

    pub(crate) const fn header(&self) -> Header {
        Header { version: self.version, expires: self.expires }
    }
}
