//! HTTP: what machines and people see.
//!
//! - [`state`]: what every request may use
//! - [`routes`]: the one table of routes, from which the router, the role checks and the API description are made
//! - [`update`]: the Omaha endpoint; [`files`]: metadata and targets
//! - [`discovery`](mod@discovery): how clusters find themselves; [`fleet_lock`]: reboots in turns
//! - [`auth`], [`problem`], [`body`]: who asks, what went wrong, and JSON with helpful errors
//! - [`api`]: what people steer, one file per noun
//! - [`serve`]: connections, their deadlines, and an orderly end; [`places`]: how many there may be; [`pace`]: clients that are slow on
//!   purpose; [`framing`]: where a request ends
//! - [`limiter`]: how often an address may check in; [`system`]: health and metrics

pub mod api;
pub mod auth;
pub mod body;
pub mod discovery;
pub mod files;
pub mod fleet_lock;
pub mod framing;
pub mod limiter;
pub mod openapi;
pub mod pace;
pub mod places;
pub mod problem;
pub mod routes;
pub mod serve;
pub mod state;
pub mod system;
pub mod update;

pub use state::{App, Settings};
