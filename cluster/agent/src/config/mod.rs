//! The configuration: `/etc/slipway/cluster.toml` and `/etc/slipway/cluster.toml.d/*.toml`.
//!
//! | module | holds |
//! | --- | --- |
//! | [`mod@read`] | the files, one over the other, and what is wrong with them |
//!
//! **Every key of every section has a default**, so that each file makes sense alone and can be checked alone, with its own lines.
//! What belongs together is checked when all files are read ([`Config::check`]).

mod read;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use read::{ConfigError, read};

use crate::parts;

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// The cluster store; without it there is no cluster.
    pub etcd: Etcd,
    /// Copies of what is in the cluster store.
    pub snapshot: Snapshot,
    /// Docker Swarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swarm: Option<parts::SwarmPlan>,
    /// Whose turn it is to reboot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<parts::TurnsPlan>,
    /// What the owner says of the machine.
    pub metadata: BTreeMap<String, String>,
}

/// `[etcd]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Etcd {
    /// Where machines find each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discovery: Option<String>,
    /// The members, instead of a discovery URL: `n1=http://10.0.0.1:2380,…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_cluster: Option<String>,
    /// Whether this machine may vote.
    pub role: Role,
    /// The member's name; by default the first eight digits of `/etc/machine-id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How others reach this machine; by default the source address of the default route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// A voter that is dead for so long is replaced by a machine that does not vote yet.
    #[serde(with = "cluster_store::duration::or_never")]
    pub replace_after: Option<Duration>,
    /// Whether connections are encrypted, and with which certificates.
    pub tls: TlsMode,
    /// The secret all machines share (`tls = "auto"`).
    pub secret_file: PathBuf,
    /// Who vouches for everybody (`tls = "files"`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// This machine's certificate (`tls = "files"`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert_file: Option<PathBuf>,
    /// Its private key (`tls = "files"`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
}

/// Whether this machine may vote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Votes while there is room, else serves as a client.
    #[default]
    Auto,
    /// Never votes.
    Client,
}

/// Whether connections are encrypted, and with which certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Everybody on the network can read and write.
    #[default]
    Off,
    /// Certificates made from a secret that all machines share.
    Auto,
    /// Certificates the owner gives.
    Files,
}

/// `[snapshot]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Snapshot {
    /// Time between two of them.
    #[serde(with = "cluster_store::duration::or_never")]
    pub every: Option<Duration>,
    /// How many stay; at least one.
    pub keep: usize,
    /// Where they are.
    pub directory: PathBuf,
}

impl Default for Etcd {
    fn default() -> Self {
        Self {
            discovery: None,
            initial_cluster: None,
            role: Role::Auto,
            name: None,
            address: None,
            replace_after: Some(Duration::from_secs(600)),
            tls: TlsMode::Off,
            secret_file: "/etc/slipway/cluster.secret".into(),
            ca_file: None,
            cert_file: None,
            key_file: None,
        }
    }
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { every: Some(Duration::from_secs(6 * 3600)), keep: 8, directory: "/var/lib/slipway/etcd-snapshots".into() }
    }
}

/// Shortest time after which a voter counts as dead: a reboot must not cost a machine its seat.
const REPLACE_AFTER_MIN: Duration = Duration::from_secs(60);
/// Shortest time between two snapshots.
const SNAPSHOT_EVERY_MIN: Duration = Duration::from_secs(60);

impl Config {
    /// Whether there is a cluster at all.
    #[must_use]
    pub fn is_configured(&self) -> bool {
        self.etcd.discovery.is_some() || self.etcd.initial_cluster.is_some()
    }

    /// What does not fit together, in a sentence each.
    #[must_use]
    pub fn check(&self) -> Vec<String> {
        let etcd = &self.etcd;
        let files = [("ca-file", &etcd.ca_file), ("cert-file", &etcd.cert_file), ("key-file", &etcd.key_file)];
        let mut wrong = Vec::new();
        if etcd.discovery.is_some() && etcd.initial_cluster.is_some() {
            wrong.push(
                "[etcd] has both `discovery` and `initial-cluster`: one of them says who the members are, remove the other".to_owned(),
            );
        }
        for (key, file) in files {
            match (etcd.tls, file) {
                (TlsMode::Files, None) => wrong.push(format!("[etcd] tls = \"files\" needs `{key}`")),
                (TlsMode::Files, Some(_)) | (_, None) => {}
                (_, Some(_)) => wrong.push(format!("[etcd] `{key}` is used with tls = \"files\" only")),
            }
        }
        if etcd.replace_after.is_some_and(|after| after < REPLACE_AFTER_MIN) {
            wrong.push("[etcd] `replace-after` is less than 60s: a machine would lose its seat by rebooting".to_owned());
        }
        if self.snapshot.keep == 0 {
            wrong.push("[snapshot] `keep` is 0: write every = \"never\" for no snapshots".to_owned());
        }
        if self.snapshot.every.is_some_and(|every| every < SNAPSHOT_EVERY_MIN) {
            wrong.push("[snapshot] `every` is less than 60s".to_owned());
        }
        if let Some(name) = &etcd.name
            && (name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)))
        {
            wrong.push(format!("[etcd] name = {name:?}: letters, digits, `-`, `_` and `.` only"));
        }
        wrong
    }
}
