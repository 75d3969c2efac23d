//! The clocks of the daemon.

use jiff::Timestamp;
use tokio::time::Instant;

use crate::machine::Now;

/// Where the time comes from.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Now;
}

/// The clocks of the system.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now { mono: self.started.elapsed(), wall: Timestamp::now() }
    }
}
