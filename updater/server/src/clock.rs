//! The one place where the time comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::policy::{Span, Time};

/// A clock that tests can turn.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's.
    System,
    /// Stands still until it is turned.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands at `time`.
    #[must_use]
    pub fn manual(time: Time) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(time.0)))
    }

    /// What it shows.
    #[must_use]
    pub fn now(&self) -> Time {
        match self {
            Self::System => Time(jiff::Timestamp::now().as_millisecond()),
            Self::Manual(time) => Time(time.load(Ordering::SeqCst)),
        }
    }

    /// Turns a manual clock forward; the machine's clock does not let itself be turned.
    pub fn advance(&self, span: Span) {
        if let Self::Manual(time) = self {
            time.fetch_add(i64::try_from(span.0).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}
