//! What feeds a fleet.

pub mod load;
pub mod policy;
pub mod simulate;
