//! How a machine gets into the swarm: [`decide()`] says the next step, [`step`] takes it.

pub mod decide;
pub mod role;
pub mod step;

pub use decide::{Step, decide};
