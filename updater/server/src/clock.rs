//! The one place where the time comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::policy::{Span, Time};
use crate::store::{Db, StoreError, Tx};

/// A clock that tests can turn.
///
/// What machines are given is judged by **the database's** clock and not by this one ([`Self::within`], [`Self::of`]): replicas
/// have clocks of their own, one of them may be hours ahead, and a ramp must not be. With SQLite the database's clock is that of
/// the one machine that has the file. This one is for what concerns this process alone: metadata, sessions, logs.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine's.
    System,
    /// The machine's, wrong by so many milliseconds: what a replica has whose clock nobody sets. For tests.
    Wrong(i64),
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
            Self::Wrong(by) => Time(jiff::Timestamp::now().as_millisecond().saturating_add(*by)),
            Self::Manual(time) => Time(time.load(Ordering::SeqCst)),
        }
    }

    /// The time that counts where the database says `theirs`.
    #[must_use]
    pub fn judged(&self, theirs: Time) -> Time {
        match self {
            Self::System | Self::Wrong(_) => theirs,
            Self::Manual(_) => self.now(),
        }
    }

    /// The time that counts in a transaction.
    ///
    /// # Errors
    /// The database's.
    pub async fn within(&self, tx: &mut Tx) -> Result<Time, StoreError> {
        Ok(self.judged(crate::store::present(tx).await?.1))
    }

    /// The time that counts outside of one.
    ///
    /// # Errors
    /// The database's.
    pub async fn of(&self, db: &Db) -> Result<Time, StoreError> {
        Ok(self.judged(crate::store::time(db).await?))
    }

    /// Turns a manual clock forward; the machine's clock does not let itself be turned.
    pub fn advance(&self, span: Span) {
        if let Self::Manual(time) = self {
            time.fetch_add(i64::try_from(span.0).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}
