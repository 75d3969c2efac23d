//! One cloud-config, and machines become a cluster.
//!
//! | module | holds |
//! | --- | --- |
//! | [`cli`] | one file per subcommand: parse, call, print |
//! | [`config`] | `/etc/slipway/cluster.toml` |
//! | [`ground`] | the machine the agent stands on |
//! | [`etcd`] | etcd on this machine: founding, joining, replacing |
//! | [`tls`] | certificates |
//! | [`snapshot`], [`recover`] | copies of what is in etcd, and what to do when a quorum is lost for good |
//! | [`daemon`] | everything at once, for ever |
//! | [`status`] | what there is to know about the cluster |
//! | [`parts`] | the other parts of a cluster that the daemon runs |

pub mod cli;
pub mod config;
pub mod daemon;
pub mod etcd;
pub mod ground;
pub mod parts;
pub mod recover;
pub mod snapshot;
pub mod status;
pub mod tls;
