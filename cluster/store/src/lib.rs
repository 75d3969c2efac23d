//! The cluster store etcd, as every part of the cluster reaches it from this machine.
//!
//! | module | holds |
//! | --- | --- |
//! | [`Access`] | where etcd listens and who we are to it |
//! | [`watch`] | what is below a prefix now, and every change after that, with none lost |
//! | [`Machine`] | who this machine is to the others |
//! | [`Presence`] | keys that exist for as long as this process keeps them alive |
//! | [`Report`] | what a part of the daemon says about itself |
//! | [`duration`] | `90s`, `10m`, `6h` in configuration |
//!
//! Consensus, membership and failure detection are etcd's. Nothing here decides anything.

mod access;
pub mod duration;
mod machine;
mod presence;
mod report;
pub mod watch;

pub use access::{Access, AccessError, LOCAL_ENDPOINT, Tls};
pub use machine::Machine;
pub use presence::Presence;
pub use report::{PartState, Report, Reports};

/// Keys below this prefix are Slipway's own.
pub const PREFIX: &str = "slipway/";
