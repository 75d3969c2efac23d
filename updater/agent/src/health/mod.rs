//! The health gate: does this machine do its work?
//!
//! Run as `updater health` by a unit of its own. Services start late, so checks that fail are repeated until all pass or the deadline
//! is over; the last word of each goes into the report.

mod docker;
mod etcd;
mod gate;
mod http;
mod journal;
mod own;
mod process;
mod report;
mod units;

pub use gate::{Gate, run};
pub use report::{REPORT, UNIT, forget, read, write};
