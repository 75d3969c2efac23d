//! A signed file: `{"signed": ..., "signatures": [...]}`, and counting who signed it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::canonical;
use crate::error::{Asked, Error, brief};
use crate::key::{KeyId, Signature};
use crate::limits::MAX_SIGNATURES;
use crate::metadata::RoleKeys;
use crate::role::Role;

/// A file of a role, read but not yet believed.
#[derive(Debug, Clone)]
pub(crate) struct Envelope {
    role: Role,
    /// The part that signatures cover.
    pub(crate) signed: Value,
    /// Its canonical form: what signatures are made over.
    message: Vec<u8>,
    /// Per key id; no signature where it has not the shape of one.
    signatures: Vec<(String, Option<Signature>)>,
}

impl Envelope {
    /// Reads the file and checks that it says it is of `role`, so that no signed object of one sort passes for another.
    pub(crate) fn parse(role: Role, bytes: &[u8]) -> Result<Self, Error> {
        let json = |reason| Error::Json { role, reason };
        let malformed = |reason: String| Error::Malformed { role, reason };
        let mut file = canonical::parse(bytes).map_err(json)?;
        let signed = file.get_mut("signed").map(Value::take).filter(Value::is_object);
        let signed = signed.ok_or_else(|| malformed("it has no object `signed`".to_owned()))?;
        let listed = file.get("signatures").and_then(Value::as_array).ok_or_else(|| malformed("it has no list `signatures`".to_owned()))?;
        if listed.len() > MAX_SIGNATURES {
            return Err(malformed(format!("it has {} signatures, more than {MAX_SIGNATURES}", listed.len())));
        }
        let mut signatures = Vec::with_capacity(listed.len());
        let mut seen = BTreeSet::new();
        for entry in listed {
            let text = |name| entry.get(name).and_then(Value::as_str);
            let (Some(key_id), Some(sig)) = (text("keyid"), text("sig")) else {
                return Err(malformed("a signature lacks its `keyid` or `sig`".to_owned()));
            };
            if !seen.insert(key_id) {
                return Err(Error::DuplicateSignature { role, key_id: brief(key_id) });
            }
            signatures.push((key_id.to_owned(), Signature::from_hex(sig)));
        }
        let found = signed.get("_type").and_then(Value::as_str).unwrap_or_default();
        if found != role.name() {
            return Err(Error::WrongType { role, found: brief(found) });
        }
        let message = canonical::to_vec(&signed).map_err(json)?;
        Ok(Self { role, signed, message, signatures })
    }

    /// The canonical form of the signed part, and the signatures by key id.
    pub(crate) fn into_parts(self) -> (Vec<u8>, Vec<(String, Option<Signature>)>) {
        (self.message, self.signatures)
    }

    /// Those of `keys` that really signed.
    pub(crate) fn signers(&self, keys: &RoleKeys) -> Vec<KeyId> {
        let ids: Vec<(KeyId, Signature)> =
            self.signatures.iter().filter_map(|(id, signature)| Some((KeyId::from_hex(id)?, (*signature)?))).collect();
        keys.signers(&self.message, ids.iter().map(|(id, signature)| (id, signature)))
    }

    /// Checks that enough of `keys` signed.
    pub(crate) fn verify(&self, keys: &RoleKeys, by: Asked) -> Result<(), Error> {
        require(self.role, self.signed.get("version").and_then(Value::as_u64), keys, self.signers(keys), by)
    }
}

/// Checks that the keys that signed are enough.
pub(crate) fn require(role: Role, version: Option<u64>, keys: &RoleKeys, good: Vec<KeyId>, by: Asked) -> Result<(), Error> {
    if good.len() as u64 >= keys.threshold {
        return Ok(());
    }
    let needed = usize::try_from(keys.threshold).unwrap_or(usize::MAX);
    Err(Error::Signatures { role, version, by, needed, good, accepted: keys.keys.keys().cloned().collect() })
}
