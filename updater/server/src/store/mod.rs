//! What the server keeps: one module per noun, on SQLite or Postgres.
//!
//! - [`db`]: the two databases behind one door; [`items`]: lists as parameters
//! - [`config`]: groups, channels, releases and rollouts as the memory copy that every batch decides with
//! - [`catalog`]: releases and channels; [`groups`]; [`rollouts`] with their counts
//! - [`machines`], [`events`], [`grants`]: what machines said and were given
//! - [`marks`]: the newest metadata that was ever served, to know older files by
//! - [`discovery`](mod@discovery): clusters that are coming about; [`turns`]: whose turn it is to reboot
//! - [`tokens`], [`audit`]: who may do what, and who did

pub mod audit;
pub mod catalog;
pub mod config;
pub mod db;
pub mod discovery;
pub mod events;
pub mod grants;
pub mod groups;
pub mod items;
pub mod machines;
pub mod marks;
mod migrations;
pub mod rollouts;
pub mod tokens;
pub mod turns;

use std::path::Path;

pub use db::{Db, Tx};
pub use items::Items;

use crate::policy::Time;

/// The database file inside the data folder.
pub const SQLITE_FILE: &str = "server.db";

/// The database refused, or holds what this version did not write.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database's own error.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// The tables could not be brought up to date.
    #[error("database tables: {0}; was this data folder written by a newer update-server?")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A statement and its reader do not fit each other.
    #[error("column {index} of a row is {got}, not {wanted}")]
    Column {
        /// Which.
        index: usize,
        /// What the reader expects.
        wanted: &'static str,
        /// What is there.
        got: String,
    },
    /// A stored document cannot be read.
    #[error("a stored document cannot be read: {0}")]
    Document(#[from] serde_json::Error),
    /// A stored version cannot be read.
    #[error("a stored version cannot be read: {0}")]
    Version(#[from] semver::Error),
    /// Another transaction changed the row first.
    #[error("{0} was changed by somebody else at the same moment; try again")]
    Conflict(String),
}

impl StoreError {
    /// Whether the same transaction may well succeed when it is run again: a lost race, not a fault.
    #[must_use]
    pub fn passing(&self) -> bool {
        // 40001 serialisation failure and 40P01 deadlock of Postgres; 5 and 517 are SQLITE_BUSY and its snapshot variant.
        match self {
            Self::Conflict(_) => true,
            Self::Database(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| ["40001", "40P01", "5", "517"].contains(&&*code))
            }
            _ => false,
        }
    }

    /// Whether a uniqueness rule refused the write.
    #[must_use]
    pub fn duplicate(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.is_unique_violation())
    }
}

/// Opens the database of the data folder, or the one at `url`.
///
/// # Errors
/// It cannot be opened.
pub async fn open(data: &Path, url: Option<&str>) -> Result<Db, StoreError> {
    match url {
        Some(url) => Db::postgres(url).await,
        None => Db::sqlite(&data.join(SQLITE_FILE)).await,
    }
}

/// Says that something changed which replicas hold in memory. Part of the transaction that changes it.
///
/// # Errors
/// The database's.
pub async fn touch_generation(tx: &mut Tx) -> Result<(), StoreError> {
    tx.run("UPDATE meta SET value = value + 1 WHERE name = 'generation'", &[]).await?;
    Ok(())
}

/// The present generation of what replicas hold in memory, and the time by the database's clock.
///
/// A time that is asked for before a lock is waited for is an early one: a ramp is judged a little too low, never too high.
///
/// # Errors
/// The database's.
pub async fn present(tx: &mut Tx) -> Result<(i64, Time), StoreError> {
    let sql = format!("SELECT value, {} FROM meta WHERE name = 'generation'", tx.clock());
    tx.row(sql, &[]).await?.map_or(Ok((0, Time(0))), |row| Ok((row.int(0)?, Time(row.int(1)?))))
}

/// The time by the database's clock.
///
/// # Errors
/// The database's.
pub async fn time(db: &Db) -> Result<Time, StoreError> {
    db.row(format!("SELECT {}", db.clock()), &[]).await?.map_or(Ok(Time(0)), |row| row.int(0).map(Time))
}
