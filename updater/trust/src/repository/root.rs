//! Making and rotating roots.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::SPEC_VERSION;
use super::signing::{enough, render, signatures};
use crate::envelope::Envelope;
use crate::error::Error;
use crate::key::{KeyId, PublicKey};
use crate::limits::MAX_VERSION;
use crate::metadata::{RoleKeys, Root, format_time};
use crate::role::Role;
use crate::signer::Signer;

/// A root that is being written: the first one, or the successor of another.
#[derive(Debug, Clone)]
pub struct RootDraft {
    previous: Option<Root>,
    /// The previous `signed` object, for members that we do not know.
    base: Map<String, Value>,
    version: u64,
    expires: Timestamp,
    consistent_snapshot: bool,
    roles: BTreeMap<Role, (u64, Vec<PublicKey>)>,
}

impl RootDraft {
    /// The first root. Every role needs [`role`](Self::role) before it can be signed.
    #[must_use]
    pub fn new(expires: Timestamp) -> Self {
        Self { previous: None, base: Map::new(), version: 1, expires, consistent_snapshot: false, roles: BTreeMap::new() }
    }

    /// The successor of `previous`, equal to it until changed. Keys of types other than ed25519 are left out.
    pub fn after(previous: &[u8], expires: Timestamp) -> Result<Self, Error> {
        let root = Root::open(previous)?;
        if root.version == MAX_VERSION {
            return Err(Error::VersionTooHigh { role: Role::Root, version: root.version + 1 });
        }
        let base = match Envelope::parse(Role::Root, previous)?.signed {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        let roles = Role::ALL.map(|role| (role, (root.role(role).threshold, root.role(role).keys.values().copied().collect())));
        let (version, consistent_snapshot) = (root.version + 1, root.consistent_snapshot);
        Ok(Self { previous: Some(root), base, version, expires, consistent_snapshot, roles: roles.into() })
    }

    /// The version it will have.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Gives `role` these keys and no others; `threshold` of them must sign.
    #[must_use]
    pub fn role(mut self, role: Role, threshold: u64, keys: impl IntoIterator<Item = PublicKey>) -> Self {
        self.roles.insert(role, (threshold, keys.into_iter().collect()));
        self
    }

    /// Puts `new` in the place of `old` for `role`: the usual rotation.
    pub fn replace_key(mut self, role: Role, old: &PublicKey, new: PublicKey) -> Result<Self, Error> {
        let place = self.roles.get_mut(&role).and_then(|(_, keys)| keys.iter_mut().find(|key| *key == old));
        let place = place.ok_or_else(|| Error::Edit(format!("role {role} has no key {}; nothing to replace", old.id())))?;
        *place = new;
        Ok(self)
    }

    /// Whether names carry versions and digests. Slipway's own repositories do without.
    #[must_use]
    pub fn consistent_snapshot(self, consistent_snapshot: bool) -> Self {
        Self { consistent_snapshot, ..self }
    }

    /// Signs it. Needs a threshold of the new root keys and, for a successor, of the previous ones as well; other signers are passed over.
    pub fn sign(&self, signers: &[&dyn Signer]) -> Result<Vec<u8>, Error> {
        let bytes = self.sign_partly(signers)?;
        let file = Envelope::parse(Role::Root, &bytes)?;
        if let Some(previous) = &self.previous {
            enough(Role::Root, &file, previous.role(Role::Root))?;
        }
        enough(Role::Root, &file, Root::parse(&file.signed)?.role(Role::Root))?;
        Ok(bytes)
    }

    /// Signs it with what there is, for [`cosign_root`](super::cosign_root) by the holders of the other keys.
    ///
    /// Check the outcome with [`check_next_root`](super::check_next_root) or [`Root::open`] before publishing it.
    pub fn sign_partly(&self, signers: &[&dyn Signer]) -> Result<Vec<u8>, Error> {
        let signed = self.signed();
        let root = Root::parse(&signed)?;
        let mut accepted: Vec<&RoleKeys> = vec![root.role(Role::Root)];
        accepted.extend(self.previous.iter().map(|previous| previous.role(Role::Root)));
        render(Role::Root, &signed, &signatures(Role::Root, &signed, &accepted, signers)?)
    }

    fn signed(&self) -> Value {
        let mut listed = Map::new();
        let mut roles = Map::new();
        for (role, (threshold, keys)) in &self.roles {
            let mut ids: Vec<_> = keys.iter().map(|key| self.listing(key, &mut listed).to_string()).collect();
            ids.sort_unstable();
            ids.dedup();
            roles.insert(role.name().to_owned(), json!({"keyids": ids, "threshold": threshold}));
        }
        let mut signed = self.base.clone();
        let members = [
            ("_type", json!(Role::Root.name())),
            ("spec_version", json!(SPEC_VERSION)),
            ("version", json!(self.version)),
            ("expires", json!(format_time(self.expires))),
            ("consistent_snapshot", json!(self.consistent_snapshot)),
            ("keys", Value::Object(listed)),
            ("roles", Value::Object(roles)),
        ];
        signed.extend(members.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(signed)
    }

    /// Lists a key, under the id and in the spelling that the previous root has for it, if it has one.
    fn listing(&self, key: &PublicKey, listed: &mut Map<String, Value>) -> KeyId {
        let previous = self.previous.iter().flat_map(|root| Role::ALL.map(|role| root.role(role))).flat_map(|keys| &keys.keys);
        let id = previous.into_iter().find_map(|(id, known)| (known == key).then(|| id.clone())).unwrap_or_else(|| key.id());
        let object = self.base.get("keys").and_then(|keys| keys.get(id.as_str())).cloned().unwrap_or_else(|| key.to_object());
        listed.insert(id.to_string(), object);
        id
    }
}
