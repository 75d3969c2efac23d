//! What the leader of the swarm does to keep it whole: [`decide()`] says the next thing to do, [`act`] does it.

pub mod act;
pub mod alone;
pub mod decide;
pub mod managers;
#[cfg(test)]
mod tests;

pub use decide::{Action, Why, decide};
