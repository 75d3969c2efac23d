//! An in-memory repository that lies as told: it signs anything with any key, and never checks what it writes.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use trust::{Answer, Error, KeySigner, Refresh, Role, Signer, Targets, Trusted, Verified, canonical};

/// The time of all tests, well before [`LATER`].
pub(crate) const NOW: &str = "2027-01-01T00:00:00Z";
/// When everything expires.
pub(crate) const LATER: &str = "2027-02-01T00:00:00Z";
/// The target that every repository has.
pub(crate) const TARGET: &str = "slipway-vm-1.0.0-amd64/release.json";
/// Its content.
pub(crate) const CONTENT: &[u8] = b"{\"version\":\"1.0.0\"}";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Key number `n`. By default 1 is root's, 2 targets', 3 snapshot's and 4 timestamp's.
pub(crate) fn key(n: u8) -> KeySigner {
    KeySigner::from_seed(&[n; 32])
}

pub(crate) fn id(n: u8) -> String {
    key(n).public_key().id().to_string()
}

/// One entry of `signatures`.
pub(crate) fn signature(signed: &Value, n: u8) -> Value {
    let sig = key(n).sign(&canonical::to_vec(signed).unwrap()).unwrap();
    json!({"keyid": id(n), "sig": hex::encode(sig.to_bytes())})
}

/// A whole file, as a value.
pub(crate) fn sign(signed: &Value, keys: &[u8]) -> Value {
    json!({"signed": signed, "signatures": keys.iter().map(|&n| signature(signed, n)).collect::<Vec<_>>()})
}

pub(crate) fn bytes(file: &Value) -> Vec<u8> {
    serde_json::to_vec(file).unwrap()
}

/// What a parent says of a file.
pub(crate) fn entry(version: &Value, file: &[u8]) -> Value {
    json!({"version": version, "length": file.len(), "hashes": {"sha256": hex::encode(Sha256::digest(file))}})
}

/// The lying repository.
#[derive(Clone)]
pub(crate) struct Repo {
    /// What is served, by path.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// The newest root's `signed`.
    pub(crate) root: Value,
    pub(crate) targets: Value,
    pub(crate) snapshot: Value,
    pub(crate) timestamp: Value,
    /// Who signs what in [`relink`](Self::relink).
    pub(crate) signers: BTreeMap<Role, Vec<u8>>,
}

impl Repo {
    /// An honest one: version 1 of everything, threshold 1.
    pub(crate) fn new() -> Self {
        let signers =
            BTreeMap::from([(Role::Root, vec![1]), (Role::Targets, vec![2]), (Role::Snapshot, vec![3]), (Role::Timestamp, vec![4])]);
        let header = |role: Role| json!({"_type": role.name(), "spec_version": "1.0.31", "version": 1, "expires": LATER});
        let mut root = header(Role::Root);
        root["consistent_snapshot"] = json!(false);
        root["keys"] = json!({});
        root["roles"] = json!({});
        for (role, keys) in &signers {
            set_role(&mut root, *role, 1, keys);
        }
        let mut targets = header(Role::Targets);
        targets["targets"] = json!({TARGET: {"length": CONTENT.len(), "hashes": {"sha256": hex::encode(Sha256::digest(CONTENT))}}});
        let mut repo =
            Self { files: BTreeMap::new(), root, targets, snapshot: header(Role::Snapshot), timestamp: header(Role::Timestamp), signers };
        repo.put_root(&[1]);
        repo.relink();
        repo
    }

    /// Sets when everything expires, for the benefit of readers that look at the real clock.
    pub(crate) fn until(mut self, expires: &str) -> Self {
        for role in Role::ALL {
            self.signed(role)["expires"] = json!(expires);
        }
        self.put_root(&[1]);
        self.relink();
        self
    }

    /// Serves the current root, signed by `keys`, under its version.
    pub(crate) fn put_root(&mut self, keys: &[u8]) {
        let path = format!("{}.root.json", self.root["version"]);
        self.files.insert(path, bytes(&sign(&self.root, keys)));
    }

    /// Serves a successor of the current root.
    pub(crate) fn next_root(&mut self, keys: &[u8], change: impl FnOnce(&mut Value)) {
        bump(&mut self.root);
        change(&mut self.root);
        self.put_root(keys);
    }

    /// Gives a role another key in a well signed new root, and uses it from now on.
    pub(crate) fn rotate(&mut self, role: Role, new: u8) {
        let mut keys = self.signers[&Role::Root].clone();
        if role == Role::Root {
            keys.push(new);
        }
        self.next_root(&keys, |root| set_role(root, role, 1, &[new]));
        self.signers.insert(role, vec![new]);
    }

    /// Signs targets, snapshot and timestamp and lists each in the next.
    pub(crate) fn relink(&mut self) {
        let targets = self.put(Role::Targets, &self.targets.clone());
        self.snapshot["meta"]["targets.json"] = entry(&self.targets["version"], &targets);
        self.relink_snapshot();
    }

    /// As [`relink`](Self::relink), but leaves what the snapshot lists as it is.
    pub(crate) fn relink_snapshot(&mut self) {
        let snapshot = self.put(Role::Snapshot, &self.snapshot.clone());
        self.timestamp["meta"]["snapshot.json"] = entry(&self.snapshot["version"], &snapshot);
        self.relink_timestamp();
    }

    /// As [`relink`](Self::relink), but leaves what the timestamp lists as it is.
    pub(crate) fn relink_timestamp(&mut self) {
        self.put(Role::Timestamp, &self.timestamp.clone());
    }

    fn put(&mut self, role: Role, signed: &Value) -> Vec<u8> {
        let file = bytes(&sign(signed, &self.signers[&role]));
        let prefix = if self.root["consistent_snapshot"] == true && role != Role::Timestamp {
            format!("{}.", signed["version"])
        } else {
            String::new()
        };
        self.files.insert(format!("{prefix}{role}.json"), file.clone());
        file
    }

    /// A new release: all three one version up.
    pub(crate) fn release(&mut self) {
        for signed in [&mut self.targets, &mut self.snapshot, &mut self.timestamp] {
            bump(signed);
        }
        self.relink();
    }

    /// The `signed` object of a role's file.
    pub(crate) fn signed(&mut self, role: Role) -> &mut Value {
        match role {
            Role::Root => &mut self.root,
            Role::Targets => &mut self.targets,
            Role::Snapshot => &mut self.snapshot,
            Role::Timestamp => &mut self.timestamp,
        }
    }

    /// A client on its first boot, with the first root in its image.
    pub(crate) fn newcomer(&self) -> Trusted {
        Trusted::new(self.files["1.root.json"].clone())
    }

    /// A client that has just refreshed without trouble.
    pub(crate) fn regular(&self) -> Trusted {
        let run = self.run(self.newcomer());
        run.outcome.unwrap();
        run.trusted
    }

    pub(crate) fn run(&self, trusted: Trusted) -> Run {
        self.run_at(trusted, time(NOW))
    }

    /// One whole refresh.
    pub(crate) fn run_at(&self, trusted: Trusted, now: Timestamp) -> Run {
        let before = trusted.clone();
        let mut asked = Vec::new();
        let mut refresh = match Refresh::new(trusted, now) {
            Ok(refresh) => refresh,
            Err(error) => return Run { trusted: before, asked, outcome: Err(error) },
        };
        let run: Result<(), Error> = refresh.run(|want| {
            asked.push(want.path.clone());
            Ok(self.files.get(&want.path).cloned().map_or(Answer::Missing, Answer::Bytes))
        });
        let trusted = refresh.trusted().clone();
        let outcome = refresh.finish();
        assert_eq!(run.is_ok(), outcome.is_ok());
        Run { trusted, asked, outcome }
    }

    /// What becomes of a first-boot client.
    pub(crate) fn refusal(&self) -> Error {
        self.run(self.newcomer()).outcome.expect_err("it must be refused")
    }
}

/// What a refresh came to.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) trusted: Trusted,
    /// The files asked for, in order.
    pub(crate) asked: Vec<String>,
    pub(crate) outcome: Result<Verified<Targets>, Error>,
}

impl Run {
    pub(crate) fn refused(self) -> Error {
        self.outcome.expect_err("it must be refused")
    }
}

/// One version up.
pub(crate) fn bump(signed: &mut Value) {
    signed["version"] = json!(signed["version"].as_u64().unwrap() + 1);
}

/// Lists `keys` in a root and gives them to `role`.
pub(crate) fn set_role(root: &mut Value, role: Role, threshold: u64, keys: &[u8]) {
    for &n in keys {
        root["keys"][id(n)] = key(n).public_key().to_object();
    }
    root["roles"][role.name()] = json!({"keyids": keys.iter().map(|&n| id(n)).collect::<Vec<_>>(), "threshold": threshold});
}
