//! The list of released files.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::SPEC_VERSION;
use super::cosign::verified;
use super::signing::sign;
use crate::error::Error;
use crate::limits::MAX_VERSION;
use crate::metadata::{Root, Target, Targets, format_time};
use crate::name::TargetName;
use crate::role::Role;
use crate::signer::Signer;

/// A targets file that is being written: the first one, or the successor of another.
///
/// Members that we do not know, delegations among them, are kept as they are.
#[derive(Debug, Clone)]
pub struct TargetsDraft {
    signed: Map<String, Value>,
    version: u64,
    targets: Map<String, Value>,
}

impl TargetsDraft {
    /// The first one, version 1, empty.
    #[must_use]
    pub fn new(expires: Timestamp) -> Self {
        let mut draft = Self { signed: Map::new(), version: 1, targets: Map::new() };
        draft.expires(expires);
        draft
    }

    /// The successor of `previous`, which must be signed as `root` asks: what stands in it will be signed again.
    ///
    /// When the targets key has just been rotated, `root` is the older root, whose key signed `previous`.
    pub fn after(previous: &[u8], root: &Root, expires: Timestamp) -> Result<Self, Error> {
        let mut signed = verified(Role::Targets, previous, root)?;
        let version = Targets::parse(&signed)?.version;
        if version == MAX_VERSION {
            return Err(Error::VersionTooHigh { role: Role::Targets, version: version + 1 });
        }
        let targets = match signed.get_mut("targets").map(Value::take) {
            Some(Value::Object(targets)) => targets,
            _ => Map::new(),
        };
        let signed = match signed {
            Value::Object(signed) => signed,
            _ => Map::new(),
        };
        let mut draft = Self { signed, version: version + 1, targets };
        draft.expires(expires);
        Ok(draft)
    }

    /// The version it will have.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Gives it another version, to leap over numbers that a thief has used up.
    pub fn set_version(&mut self, version: u64) {
        self.version = version;
    }

    /// Sets its last moment.
    pub fn expires(&mut self, expires: Timestamp) {
        self.signed.insert("expires".to_owned(), json!(format_time(expires)));
    }

    /// Adds a file, or replaces what was listed under its name.
    pub fn add(&mut self, name: &str, target: &Target) -> Result<(), Error> {
        let name = TargetName::new(name)?;
        if !target.custom.is_null() && !target.custom.is_object() {
            return Err(Error::Edit(format!("`custom` of target {name} must be an object")));
        }
        let mut entry = json!({"length": target.length, "hashes": {"sha256": hex::encode(target.sha256)}});
        if target.custom.is_object() {
            entry["custom"] = target.custom.clone();
        }
        self.targets.insert(name.to_string(), entry);
        Ok(())
    }

    /// Takes a file off the list; false when it was not on it.
    pub fn remove(&mut self, name: &str) -> bool {
        self.targets.remove(name).is_some()
    }

    /// Takes all files of a folder off the list (`slipway-vm-1.2.3-amd64/`), and says how many they were.
    pub fn remove_folder(&mut self, folder: &str) -> usize {
        let prefix = format!("{}/", folder.trim_end_matches('/'));
        let names: Vec<_> = self.names().filter(|name| name.starts_with(&prefix)).map(str::to_owned).collect();
        names.iter().filter(|name| self.remove(name)).count()
    }

    /// The names on the list.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.targets.keys().map(String::as_str)
    }

    /// Signs it with a threshold of the targets keys of `root`.
    pub fn sign(&self, root: &Root, signers: &[&dyn Signer]) -> Result<Vec<u8>, Error> {
        let mut signed = self.signed.clone();
        let members = [
            ("_type", json!(Role::Targets.name())),
            ("spec_version", json!(SPEC_VERSION)),
            ("version", json!(self.version)),
            ("targets", Value::Object(self.targets.clone())),
        ];
        signed.extend(members.map(|(name, value)| (name.to_owned(), value)));
        let signed = Value::Object(signed);
        Targets::parse(&signed)?;
        sign(Role::Targets, &signed, root.role(Role::Targets), signers)
    }
}
