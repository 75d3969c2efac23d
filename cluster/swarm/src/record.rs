//! What is written into etcd.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::plan::Wish;
use crate::view::NodeId;

/// The swarm that machines join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Join {
    /// Docker's name for the swarm.
    pub cluster: String,
    /// Managers, as `address:port`; tried one after another.
    pub managers: Vec<String>,
}

/// What one machine is in the swarm, written by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Member {
    /// Its node, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeId>,
    /// The swarm it is in; only managers know that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// It is a manager, or on the way to become one.
    pub manager: bool,
    /// What it wants to be.
    #[serde(default)]
    pub wish: Wish,
    /// Labels that its owner wants on the node.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Where it is with respect to the swarm.
    #[serde(default)]
    pub standing: Standing,
    /// Where others reach the node.
    pub address: IpAddr,
}

/// Where a machine is with respect to the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is in, or about to join.
    #[default]
    In,
    /// It cannot get back in with what it has, and asks the others to remove its node.
    LockedOut,
    /// The others have removed its node.
    Removed,
}

/// How far the drain before a reboot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leave {
    /// The node asks to be drained.
    Asked,
    /// The leader has seen to it: no new task comes to the node.
    Drained,
    /// The node is back, and asks for tasks again.
    Back,
}
