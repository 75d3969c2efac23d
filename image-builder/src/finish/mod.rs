//! Turning an installed Debian root into a Slipway root: pure changes of the tree, in a fixed order.

pub mod accounts;
pub mod identity;
pub mod lint;
pub mod packages;
pub mod skeleton;
pub mod units;
