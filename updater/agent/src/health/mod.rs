//! The health gate: does this machine do its work?
//!
//! Run as `updater health` by a unit of its own. Services start late, so checks that fail are repeated until all pass or the deadline
//! is over; the last word of each goes into the report.

pub mod before;
mod docker;
mod etcd;
mod gate;
pub(crate) mod http;
mod journal;
mod own;
mod process;
mod report;
#[cfg(test)]
mod tests;
mod units;

pub use gate::{Gate, run};
pub use report::{REPORT, UNIT, forget, read, write};
pub use units::failed as failed_units;
