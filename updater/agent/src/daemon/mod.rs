//! The event loop: runs the [`machine`](crate::machine) over a [`Host`](host::Host), a clock and D-Bus.

pub mod host;
