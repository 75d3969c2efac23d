//! The daemon on the host: finds, verifies, writes, tries and commits releases, and goes back when one does not prove itself.
//!
//! Deciding is apart from doing: [`machine`] is a pure state machine over a clock that is handed in, [`daemon`] runs it over a
//! [`daemon::host::Host`], and the modules of the host know nothing of policy.
//!
//! | module | holds |
//! | --- | --- |
//! | [`machine`] | states, inputs, effects, one transition function |
//! | [`config`] | the TOML files, their diagnostics and the provenance of each value |
//! | [`store`] | what survives a reboot: state, unsent events, trusted metadata |
//! | [`why`] | the ordered list of rules behind the present version |
//! | [`history`] | what happened, one JSON line each |
//! | [`daemon`] | the event loop and the [`daemon::host::Host`] boundary |
//! | [`dbus`] | `org.slipway.Updater1` |
//! | [`cli`] | the command line |
//! | [`host`] | the `Host` of a real machine, glue over the modules below |
//! | [`sandbox`], [`tuf_client`] | the helper processes without privileges: fetching, verifying |
//! | [`stage`], [`slot`] | a release becomes the content of the passive slot |
//! | [`disk`] | the one door to what must survive a power cut |
//! | [`boot`], [`health`], [`metrics`] | boot loader and logind, the health gate, figures |
//! | `turn` | asks `cluster-agent` for a turn to reboot |

pub mod boot;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod dbus;
pub mod disk;
pub mod health;
pub mod history;
pub mod host;
pub mod machine;
pub mod metrics;
pub mod sandbox;
pub mod slot;
pub mod stage;
pub mod store;
pub mod tuf_client;
mod turn;
#[cfg(test)]
mod twin;
pub mod why;
