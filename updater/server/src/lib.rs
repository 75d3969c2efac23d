//! What feeds a fleet: hears machines, decides which one gets which release and when, and hands out signed files.
//!
//! The server decides *when*; *what* a release is, only the offline keys decide. It may be stolen, restored from an old backup or
//! run several times on one database without a machine getting what nobody signed, or more machines getting a release than its
//! rollout allows.
//!
//! - [`policy`]: pure decisions; [`simulate`] runs them in virtual time, [`load`] drives a real server
//! - [`checkin`]: what happens when a machine asks, many in one transaction
//! - [`store`]: what is kept, on SQLite or Postgres
//! - [`publish`]: how releases come in
//! - [`views`]: what people look at, without HTTP; [`steer`](mod@steer): pause and resume
//! - [`http`]: what machines and people see; [`page`]: the fleet in a browser
//! - [`background`]: what happens by itself
//! - [`metrics`], [`clock`], [`cli`]

pub mod background;
pub mod checkin;
pub mod cli;
pub mod clock;
pub mod http;
pub mod load;
pub mod metrics;
pub mod page;
pub mod policy;
pub mod publish;
pub mod simulate;
pub mod steer;
pub mod store;
pub mod views;
