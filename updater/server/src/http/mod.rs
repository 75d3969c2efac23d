//! HTTP: what machines and people see.
//!
//! - [`state`]: what every request may use
//! - [`routes`]: the one table of routes, from which the router, the role checks and the API description are made
//! - [`update`]: the Omaha endpoint; [`files`]: metadata and targets
//! - [`auth`], [`problem`], [`body`]: who asks, what went wrong, and JSON with helpful errors
//! - [`api`]: what people steer, one file per noun
//! - [`serve`]: connections, their limits, and an orderly end; [`stall`]: readers that stand still

pub mod api;
pub mod auth;
pub mod body;
pub mod files;
pub mod limiter;
pub mod openapi;
pub mod problem;
pub mod routes;
pub mod serve;
pub mod stall;
pub mod state;
pub mod system;
pub mod update;

pub use state::{App, Settings};
