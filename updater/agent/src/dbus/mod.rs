//! The D-Bus interface `org.slipway.Updater1`: one object that shows the [`Status`](crate::machine::Status) and takes requests.
//!
//! | module | holds |
//! | --- | --- |
//! | [`interface`] | properties and methods |
//! | [`authority`] | who may do what: root, else polkit |
//! | [`client`] | the other side, for the command line |
//! | [`error`] | errors with names |

pub mod authority;
#[cfg(test)]
mod bus_tests;
pub mod client;
pub mod error;
pub mod interface;
#[cfg(test)]
mod tests;

pub use client::UpdaterProxy;
pub use error::UpdaterError;
pub use interface::{Updater, publish};

/// Name on the bus.
pub const NAME: &str = "org.slipway.Updater1";
/// The one object.
pub const PATH: &str = "/org/slipway/Updater1";
