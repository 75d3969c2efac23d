//! A Docker Swarm that forms itself over the cluster store.
//!
//! One machine starts the swarm and writes into etcd how to join it; the others join. The leader of the swarm keeps it whole:
//! an odd number of managers, no seats of machines that are gone, labels that follow the configuration. What is decided is pure
//! ([`form::decide()`], [`keeper::decide()`]); what is done is one small step, after which everything is looked at again.
//!
//! | module | holds |
//! | --- | --- |
//! | [`plan`] | `[swarm]` of the configuration |
//! | [`mod@run`] | the loop of the daemon |
//! | [`form`] | how a machine gets into the swarm, and back into it |
//! | [`keeper`] | what the leader does |
//! | [`reboot`] | draining a node before a reboot, and after |
//! | [`rebalance`] | services whose tasks sit unevenly |
//! | [`status`] | the swarm for people to read |
//! | [`engine`] | Docker of this machine |
//! | [`store`], [`record`], [`keys`] | what is in etcd |
//! | [`seal`] | join tokens in etcd |
//! | [`view`], [`labels`] | a swarm as its leader sees it |
//!
//! What never happens: a majority of managers is never given away, a new swarm is never forced out of the rest of an old one, and
//! a node that is up, or whose machine is there, is never removed.

pub mod engine;
pub mod form;
pub mod keeper;
pub mod keys;
pub mod labels;
pub mod plan;
pub mod rebalance;
pub mod reboot;
pub mod record;
pub mod run;
pub mod seal;
pub mod status;
pub mod store;
pub mod view;

pub use plan::Plan;
pub use reboot::{Node, Reason};
pub use run::run;
