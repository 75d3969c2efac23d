//! The event loop: runs the [`machine`](crate::machine) over a [`Host`](host::Host), a clock and D-Bus.
//!
//! One thread, one loop. Long work is one future that is polled beside timers and commands; dropping it cancels it. Whatever moment the
//! process ends at, the state on disk is one from which the next start goes on.

mod clock;
mod command;
pub mod host;
mod notify;
mod run;
mod service;
#[cfg(test)]
mod tests;
mod work;

pub use clock::{Clock, SystemClock};
pub use command::{Command, Reply, Request};
pub use notify::{Notifier, Silent, Systemd};
pub use run::Daemon;
pub use service::{Options, serve};
#[cfg(test)]
pub(crate) use work::not_begun;
