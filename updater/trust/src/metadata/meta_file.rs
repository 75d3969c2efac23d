//! How one file speaks of another: `{"version": 3, "length": 1234, "hashes": {"sha256": ...}}`.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::header::sha256;
use crate::error::{Error, brief};
use crate::limits::MAX_VERSION;
use crate::role::Role;

/// What a parent says of a file. Length and hash are optional in TUF; we always write them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetaFile {
    pub(crate) version: u64,
    pub(crate) length: Option<u64>,
    pub(crate) sha256: Option<[u8; 32]>,
}

/// As it stands in JSON.
#[derive(Deserialize)]
pub(super) struct RawMetaFile {
    version: u64,
    length: Option<u64>,
    hashes: Option<BTreeMap<String, String>>,
}

impl MetaFile {
    /// `role` is the file in which `raw` stands.
    pub(super) fn from_raw(role: Role, name: &str, raw: &RawMetaFile) -> Result<Self, Error> {
        let malformed = |what: &str| Error::Malformed { role, reason: format!("its entry for {} {what}", brief(name)) };
        if raw.version == 0 || raw.version > MAX_VERSION {
            return Err(malformed("has a version out of bounds"));
        }
        let sha256 = match &raw.hashes {
            Some(hashes) => Some(sha256(hashes).ok_or_else(|| malformed("has hashes, but no good sha256"))?),
            None => None,
        };
        Ok(Self { version: raw.version, length: raw.length, sha256 })
    }

    /// How many bytes to ask for, given our own limit; a listed length beyond that is an error.
    pub(crate) fn max_bytes(&self, name: &str, limit: u64) -> Result<u64, Error> {
        match self.length {
            Some(length) if length > limit => Err(Error::TooLarge { name: name.to_owned(), limit }),
            Some(length) => Ok(length),
            None => Ok(limit),
        }
    }

    /// Checks length and hash, as far as listed.
    pub(crate) fn check_bytes(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        if let Some(length) = self.length {
            check_length(name, length, bytes.len() as u64)?;
        }
        self.sha256.map_or(Ok(()), |digest| check_digest(name, &digest, bytes))
    }

    /// Whether both speak of the same version, but of different bytes.
    pub(crate) fn contradicts(&self, other: &Self) -> bool {
        let differ = matches!((self.sha256, other.sha256), (Some(ours), Some(theirs)) if ours != theirs);
        self.version == other.version && differ
    }
}

/// Compares a signed length with the one found.
pub(super) fn check_length(name: &str, listed: u64, found: u64) -> Result<(), Error> {
    if listed == found { Ok(()) } else { Err(Error::Length { name: name.to_owned(), listed, found }) }
}

/// Compares a signed digest with that of `bytes`.
pub(super) fn check_digest(name: &str, listed: &[u8; 32], bytes: &[u8]) -> Result<(), Error> {
    let found: [u8; 32] = Sha256::digest(bytes).into();
    if *listed == found {
        return Ok(());
    }
    Err(Error::Digest { name: name.to_owned(), listed: hex::encode(listed), found: hex::encode(found) })
}
