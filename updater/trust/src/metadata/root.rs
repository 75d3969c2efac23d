//! `root.json`: which keys may sign what.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::header::{Header, body};
use crate::envelope::Envelope;
use crate::error::{Asked, Error, brief};
use crate::key::{KeyId, PublicKey, Signature};
use crate::limits::MAX_KEYS;
use crate::role::Role;

/// The keys of one role, and how many of them have to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleKeys {
    /// Signatures of different keys that are needed.
    pub threshold: u64,
    /// The usable keys: ed25519 only.
    pub keys: BTreeMap<KeyId, PublicKey>,
}

impl RoleKeys {
    /// The keys themselves. One key under two ids is one key.
    #[must_use]
    pub fn distinct(&self) -> BTreeSet<[u8; 32]> {
        self.keys.values().map(|key| *key.as_bytes()).collect()
    }

    /// Those keys that really signed `message`. Two ids of one key are one key.
    pub(crate) fn signers<'s>(&self, message: &[u8], signatures: impl Iterator<Item = (&'s KeyId, &'s Signature)>) -> Vec<KeyId> {
        let mut good = BTreeMap::new();
        for (id, signature) in signatures {
            if let Some(key) = self.keys.get(id).filter(|key| key.verify(message, signature)) {
                good.entry(*key.as_bytes()).or_insert_with(|| id.clone());
            }
        }
        good.into_values().collect()
    }
}

/// A root whose own keys signed it.
///
/// Key ids: the specification says that clients must calculate each one, tough does, python-tuf no longer does. We do: a key
/// under another id than the hash of its key object is refused. As a key object may carry additional members, one key can still have
/// two right ids; signatures are therefore counted by key and not by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Counts up by one.
    pub version: u64,
    /// When it must have been replaced.
    pub expires: Timestamp,
    /// Whether file names carry versions and digests.
    pub consistent_snapshot: bool,
    roles: [RoleKeys; 4],
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    consistent_snapshot: bool,
    keys: BTreeMap<String, Value>,
    roles: BTreeMap<String, RawRole>,
}

#[derive(Deserialize)]
struct RawRole {
    keyids: Vec<String>,
    threshold: u64,
}

impl Root {
    /// Opens a root that is trusted because of where it was found: in the image, or among the files of an earlier refresh.
    ///
    /// It must still be signed by enough of its own keys, and no role may ask for more signatures than it has keys. That it has
    /// expired does not matter here.
    pub fn open(bytes: &[u8]) -> Result<Self, Error> {
        let envelope = Envelope::parse(Role::Root, bytes)?;
        let root = Self::parse(&envelope.signed)?;
        envelope.verify(root.role(Role::Root), Asked::Itself)?;
        Ok(root)
    }

    /// Keys and threshold of `role`.
    #[must_use]
    pub const fn role(&self, role: Role) -> &RoleKeys {
        &self.roles[role as usize]
    }

    /// Reads a root's `signed` object. Signatures are the caller's affair.
    pub(crate) fn parse(signed: &Value) -> Result<Self, Error> {
        let malformed = |reason: String| Error::Malformed { role: Role::Root, reason };
        let header = Header::parse(Role::Root, signed)?;
        let raw: Raw = body(Role::Root, signed)?;
        if raw.keys.len() > MAX_KEYS {
            return Err(malformed(format!("it lists {} keys, more than {MAX_KEYS}", raw.keys.len())));
        }
        let keys = usable_keys(&raw.keys)?;
        let of = |role: Role| {
            let listed = raw.roles.get(role.name()).ok_or_else(|| malformed(format!("it has no role {role}")))?;
            let role_keys = role_keys(role, listed, &keys)?;
            let count = role_keys.distinct().len();
            if (count as u64) < role_keys.threshold {
                return Err(Error::Unmeetable { root_version: header.version, role, threshold: role_keys.threshold, keys: count });
            }
            Ok(role_keys)
        };
        let [a, b, c, d] = Role::ALL;
        let roles = [of(a)?, of(b)?, of(c)?, of(d)?];
        Ok(Self { version: header.version, expires: header.expires, consistent_snapshot: raw.consistent_snapshot, roles })
    }

    /// Opens the next root: it needs a threshold of this root's keys and of its own, and the very next version. Whether it has
    /// expired does not matter unless it turns out to be the last.
    pub(crate) fn successor(&self, bytes: &[u8]) -> Result<Self, Error> {
        let envelope = Envelope::parse(Role::Root, bytes)?;
        envelope.verify(self.role(Role::Root), Asked::TrustedRoot(self.version))?;
        let next = Self::parse(&envelope.signed)?;
        envelope.verify(next.role(Role::Root), Asked::Itself)?;
        if next.version != self.version + 1 {
            return Err(Error::RootVersion { trusted: self.version, found: next.version });
        }
        Ok(next)
    }

    pub(crate) const fn header(&self) -> Header {
        Header { version: self.version, expires: self.expires }
    }
}

fn usable_keys(listed: &BTreeMap<String, Value>) -> Result<BTreeMap<KeyId, PublicKey>, Error> {
    let mut keys = BTreeMap::new();
    for (id, object) in listed {
        let computed = KeyId::of_object(object).map_err(|reason| Error::Json { role: Role::Root, reason })?;
        if computed.as_str() != id {
            return Err(Error::KeyId { listed: brief(id), computed });
        }
        match PublicKey::from_object(object) {
            Some(Ok(key)) => _ = keys.insert(computed, key),
            Some(Err(reason)) => return Err(Error::Key { key_id: id.clone(), reason }),
            // Of a type that we do not know: allowed, but its signatures count for nothing.
            None => {}
        }
    }
    Ok(keys)
}

fn role_keys(role: Role, listed: &RawRole, keys: &BTreeMap<KeyId, PublicKey>) -> Result<RoleKeys, Error> {
    let malformed = |what: &str| Error::Malformed { role: Role::Root, reason: format!("its role {role} {what}") };
    if listed.threshold == 0 {
        return Err(malformed("has threshold 0: anybody could sign"));
    }
    if listed.keyids.iter().collect::<BTreeSet<_>>().len() != listed.keyids.len() {
        return Err(malformed("lists a key id twice"));
    }
    let keys = listed.keyids.iter().filter_map(|id| keys.get_key_value(&KeyId::from_hex(id)?));
    Ok(RoleKeys { threshold: listed.threshold, keys: keys.map(|(id, key)| (id.clone(), *key)).collect() })
}
