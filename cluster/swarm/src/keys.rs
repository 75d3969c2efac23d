//! The keys in etcd by which a swarm forms itself.
//!
//! The tokens lie apart from everything that is listed, so that a machine that is to be a worker reads the worker's token and no
//! other.

use crate::view::NodeId;

/// Lock, leased: one machine at a time may start a swarm.
pub const INIT: &str = "slipway/swarm/init";
/// Who had [`INIT`] last; stays, because that machine may have a swarm that nobody else knows of.
pub const INITIALISER: &str = "slipway/swarm/initialiser";
/// Lock, leased: one machine at a time finds out whether it becomes a manager.
pub const JOINING: &str = "slipway/swarm/joining";
/// The swarm: JSON of [`crate::record::Join`]. Written in one transaction with both tokens.
pub const JOIN: &str = "slipway/swarm/join";
/// The token that makes managers; whoever has it is root on every machine.
pub const MANAGER_TOKEN: &str = "slipway/swarm/token/manager";
/// The token that makes workers.
pub const WORKER_TOKEN: &str = "slipway/swarm/token/worker";
/// Below this, one [`crate::record::Member`] for each machine.
pub const MEMBERS: &str = "slipway/swarm/members/";
/// Below this, one [`crate::record::Leave`] for each node that is about to reboot.
pub const DRAIN: &str = "slipway/swarm/drain/";
/// Below this, machines that are there.
pub const MACHINES: &str = "slipway/machines/";

/// The record of a machine.
#[must_use]
pub fn member(machine: &str) -> String {
    format!("{MEMBERS}{machine}")
}

/// The wish of a node to be drained.
#[must_use]
pub fn drain(node: &NodeId) -> String {
    format!("{DRAIN}{node}")
}
