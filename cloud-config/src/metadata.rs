//! What a platform says about the machine it runs, whatever the platform.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// What is known about this machine from outside; also the format of `--metadata META.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metadata {
    /// Name of the machine, short or fully qualified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Changes when the platform considers this another machine; one-time things are done once per value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Address inside the platform's network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_ipv4: Option<Ipv4Addr>,
    /// Address the world reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ipv4: Option<Ipv4Addr>,
    /// Address inside the platform's network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_ipv6: Option<Ipv6Addr>,
    /// Address the world reaches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_ipv6: Option<Ipv6Addr>,
    /// Keys that may log in as `core`, by the name the platform gives them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ssh_authorized_keys: BTreeMap<String, String>,
}

impl Metadata {
    /// Takes from `other` what is not known yet. Keys are added up; of two with one name the first stays.
    pub fn fill_from(&mut self, other: Self) {
        let Self { hostname, instance_id, private_ipv4, public_ipv4, private_ipv6, public_ipv6, ssh_authorized_keys } = other;
        self.hostname = self.hostname.take().or(hostname);
        self.instance_id = self.instance_id.take().or(instance_id);
        self.private_ipv4 = self.private_ipv4.or(private_ipv4);
        self.public_ipv4 = self.public_ipv4.or(public_ipv4);
        self.private_ipv6 = self.private_ipv6.or(private_ipv6);
        self.public_ipv6 = self.public_ipv6.or(public_ipv6);
        for (name, key) in ssh_authorized_keys {
            self.ssh_authorized_keys.entry(name).or_insert(key);
        }
    }
}
