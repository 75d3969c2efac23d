//! Reboots take turns: who may reboot now, and when the turn is over.
//!
//! Programs of a machine ask on a Unix socket, in the words of FleetLock. What answers takes the group's lock (a semaphore in etcd, or a
//! FleetLock server), makes sure that neither etcd nor Swarm loses its quorum, hands over what this machine leads, and empties it; only
//! then it says yes. After the boot the lock is kept until the machine is as steady as it was, and then given back.
//!
//! | module | holds |
//! | --- | --- |
//! | [`run()`] | the part of the daemon, for ever |
//! | [`Plan`], [`Group`] | what the configuration says |
//! | [`semaphore`], [`quorum`] | the decisions: pure |
//! | [`EtcdLock`] | the semaphore in etcd, with leases for its holders |
//! | [`fleet_lock`] | FleetLock: the words, the client, the socket's server |
//! | `coordinator` | the order of things before a reboot and after it |
//! | [`releases`] | releases that failed on a machine, and that no other one reboots into |
//! | `members`, `leaving` | etcd as the decisions see it |
//! | `system`, `units`, `hooks`, `memory` | this machine: what ran, whether it runs again, what is remembered over the reboot |
//! | [`Drain`] | the half that Swarm does |
//!
//! What must never happen: more holders that are alive than the group may have; a yes that costs a quorum; a lock that stays because
//! nobody is there to give it back; a yes while nobody can tell.

mod coordinator;
mod drain;
#[cfg(test)]
mod etcd_tests;
pub mod fleet_lock;
mod group;
mod hooks;
mod leaving;
mod lock;
mod members;
mod memory;
mod plan;
pub mod quorum;
mod reason;
pub mod releases;
mod run;
pub mod semaphore;
mod system;
mod units;

pub use drain::{Drain, NoSwarm};
pub use group::{Group, NotAGroup};
pub use lock::{EtcdLock, GroupState, Holder, Waiter, overview};
pub use plan::{LockKind, Plan};
pub use reason::{Kind, Reason, Refusal};
pub use releases::FailedRelease;
pub use run::{Error, SOCKET, run};
