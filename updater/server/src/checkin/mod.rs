//! What happens when a machine asks.
//!
//! - [`facts`]: what a machine said, cut to what may be stored
//! - [`absorb`]: pure: what its words change about it
//! - [`batch`]: one transaction for many machines: read, absorb, decide, write
//! - [`writer`]: the task that commits batches, and answers only after the commit
//! - [`answer`]: what the wire says about a decision

pub mod absorb;
pub mod answer;
pub mod batch;
pub mod facts;
pub mod writer;

use std::sync::Arc;

use crate::policy::Decision;
use crate::store::catalog::Stored;

pub use facts::{CheckIn, Report};

/// What the server made of one check-in.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// There is no release of this application, so the machine is not kept either.
    UnknownApp,
    /// It cannot be kept: no usable id.
    NoMachineId,
    /// Its group is full: see [`batch::MAX_MACHINES_PER_GROUP`].
    GroupFull,
    /// It was heard; it did not ask for anything.
    Heard,
    /// It asked: the decision, and the release when there is one to offer.
    Decided(Box<Decision>, Option<Arc<Stored>>),
}
