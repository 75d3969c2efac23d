//! One cloud-config, and machines become a cluster.
//!
//! | module | holds |
//! | --- | --- |
//! | [`cli`] | one file per subcommand: parse, call, print |
//! | [`config`] | `/etc/slipway/cluster.toml` |

pub mod cli;
pub mod config;
