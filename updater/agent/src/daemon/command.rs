//! What D-Bus asks of the loop.

use payload::Version;
use tokio::sync::oneshot;

use crate::machine::TransitionError;

/// Something an operator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A check now.
    Check,
    /// The update now.
    Apply {
        /// Although this version failed here before.
        despite_quarantine: Option<Version>,
    },
    /// The reboot.
    Reboot {
        /// At once, without a turn even where machines take turns.
        now: bool,
    },
    /// The other slot.
    Rollback,
    /// None of this now.
    Cancel,
    /// The rules behind the present version, as JSON.
    Why,
    /// The last entries of the history, as JSON.
    History {
        /// At most this many.
        count: u32,
    },
}

/// What the loop answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// It has begun; its end will show under this number.
    Operation(u64),
    /// Text.
    Text(String),
}

/// A request with the place for its answer.
#[derive(Debug)]
pub struct Command {
    /// What is wanted.
    pub request: Request,
    /// Where the answer goes; nobody waiting for it is fine.
    pub reply: oneshot::Sender<Result<Reply, TransitionError>>,
}
