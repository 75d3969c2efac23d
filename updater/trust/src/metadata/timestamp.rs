//! `timestamp.json`: which snapshot is the fresh one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::header::{Header, body};
use super::meta_file::{MetaFile, RawMetaFile};
use crate::error::Error;
use crate::role::Role;

/// Content of a timestamp file. Entries other than that for `snapshot.json` are ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TimestampFile {
    pub(crate) header: Header,
    pub(crate) snapshot: MetaFile,
}

#[derive(Deserialize)]
struct Raw {
    meta: BTreeMap<String, RawMetaFile>,
}

impl TimestampFile {
    pub(crate) fn parse(signed: &Value) -> Result<Self, Error> {
        const ROLE: Role = Role::Timestamp;
        let header = Header::parse(ROLE, signed)?;
        let raw: Raw = body(ROLE, signed)?;
        let snapshot = raw.meta.get("snapshot.json");
        let snapshot = snapshot.ok_or_else(|| Error::Malformed { role: ROLE, reason: "it does not list snapshot.json".to_owned() })?;
        Ok(Self { header, snapshot: MetaFile::from_raw(ROLE, "snapshot.json", snapshot)? })
    }
}
