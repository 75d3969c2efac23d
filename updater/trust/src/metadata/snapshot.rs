//! `snapshot.json`: which version of each targets file belongs to now.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::header::{Header, body};
use super::meta_file::{MetaFile, RawMetaFile};
use crate::error::Error;
use crate::role::Role;

/// Content of a snapshot. Delegated targets files are listed too, although we never fetch them: none may go back or vanish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) header: Header,
    /// The entry for `targets.json`.
    pub(crate) targets: MetaFile,
    /// All entries by name.
    pub(crate) files: BTreeMap<String, MetaFile>,
}

#[derive(Deserialize)]
struct Raw {
    meta: BTreeMap<String, RawMetaFile>,
}

impl Snapshot {
    pub(crate) fn parse(signed: &Value) -> Result<Self, Error> {
        const ROLE: Role = Role::Snapshot;
        let header = Header::parse(ROLE, signed)?;
        let raw: Raw = body(ROLE, signed)?;
        let files = raw.meta.iter().map(|(name, raw)| Ok((name.clone(), MetaFile::from_raw(ROLE, name, raw)?)));
        let files = files.collect::<Result<BTreeMap<_, _>, Error>>()?;
        let targets = files.get("targets.json").cloned();
        let targets = targets.ok_or_else(|| Error::Malformed { role: ROLE, reason: "it does not list targets.json".to_owned() })?;
        Ok(Self { header, targets, files })
    }
}
