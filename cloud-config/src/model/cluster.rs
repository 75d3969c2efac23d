//! The cluster this host belongs to: members of etcd, the Swarm, turns of reboots.

use std::collections::BTreeMap;

use super::Located;
use super::section::section;
use super::value::{AbsolutePath, ClusterRole, ClusterTls, Count, HttpUrl, Label, LockKind, Secret, Span, SwarmRole};

section! {
    /// The cluster this host belongs to. The same section on every host is what makes them one.
    pub struct Cluster {
        /// Where the hosts find each other: an address that `/discovery/new` of the update server gave out.
        discovery: Option<Located<HttpUrl>>,
        /// All members, instead of `discovery`: `name=http://address:2380`, comma separated.
        initial_cluster: Option<Located<String>>,
        /// `auto` becomes a member while there is room, `client` never does.
        role: Option<Located<ClusterRole>>,
        /// Name of this host in the cluster; from its machine id if missing.
        name: Option<Located<String>>,
        /// Address the others reach this host by; that of the default route if missing.
        address: Option<Located<String>>,
        /// A member that is dead for so long is replaced by another host; `never` for never.
        replace_after: Option<Located<Span>>,
        /// Certificates: `off`, `auto` from `secret`, or `files`.
        tls: Option<Located<ClusterTls>>,
        /// What all hosts of the cluster know and nobody else does, for `tls: auto`; at least 16 characters.
        secret: Option<Located<Secret>>,
        /// CA of the cluster, for `tls: files`.
        ca_file: Option<Located<AbsolutePath>>,
        /// This host's certificate, for `tls: files`.
        cert_file: Option<Located<AbsolutePath>>,
        /// Its key, for `tls: files`.
        key_file: Option<Located<AbsolutePath>>,
        /// Copies of what etcd holds.
        snapshots: Option<Located<Snapshots>>,
        /// What the owner says of this host; also labels of its Swarm node.
        metadata: BTreeMap<String, Located<Label>>,
    }
}

section! {
    /// Copies of what etcd holds.
    pub struct Snapshots {
        /// How often.
        every: Option<Located<Span>>,
        /// How many are kept.
        keep: Option<Located<Count>>,
        /// Where they are kept.
        directory: Option<Located<AbsolutePath>>,
    }
}

section! {
    /// A Docker Swarm of all hosts of the cluster.
    pub struct Swarm {
        /// How many hosts manage it: an odd number.
        managers: Option<Located<Count>>,
        /// `auto`, or always `manager` or `worker`.
        role: Option<Located<SwarmRole>>,
        /// Address the others reach this host by; that of the cluster if missing.
        address: Option<Located<String>>,
        /// Labels of this host's node, for placing services.
        labels: BTreeMap<String, Located<Label>>,
        /// A node that is down for so long, and gone from the cluster, is forgotten; `never` for never.
        replace_after: Option<Located<Span>>,
    }
}

section! {
    /// Turns of reboots, for the strategies `etcd-lock` and `fleet-lock`.
    pub struct Turns {
        /// Who gives the turns: the cluster's `etcd`, or a server of the FleetLock protocol.
        lock: Option<Located<LockKind>>,
        /// Hosts that take turns with each other.
        group: Option<Located<String>>,
        /// How many of them may be away at a time.
        max: Option<Located<Count>>,
        /// Address of the FleetLock server.
        url: Option<Located<HttpUrl>>,
    }
}
