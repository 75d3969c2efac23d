//! One cloud-config, and machines become a cluster.
//!
//! | module | holds |
//! | --- | --- |
//! | [`cli`] | one file per subcommand: parse, call, print |
//! | [`config`] | `/etc/slipway/cluster.toml` |
//! | [`parts`] | the other parts of a cluster that the daemon runs |

pub mod cli;
pub mod config;
pub mod parts;
