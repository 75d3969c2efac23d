//! The door to the database: one SQL text for SQLite and Postgres, plain values in, plain rows out.
//!
//! Every statement of this crate is written in the subset that both speak (`$1` placeholders, `ON CONFLICT`, `RETURNING`,
//! `CAST(.. AS BIGINT)`); the few words that differ are asked of [`Tx`]. Lists are parameters as well: see [`Items`].

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, Postgres, Row as _, Sqlite, SqliteConnection, Transaction, TypeInfo, ValueRef,
};

use super::{Items, StoreError, items, migrations};

/// How long a write waits for another process's write to the same SQLite file.
const BUSY: Duration = Duration::from_secs(10);
/// How long a request waits for a free connection before it is told to come again.
const ACQUIRE: Duration = Duration::from_secs(10);
/// Readers beside the one writer: pages and exports must not wait for each other.
const READERS: u32 = 4;
/// How long a connection to Postgres may have been idle before it is asked whether it is still there. A busy one is not asked
/// before each use: it shows at the first statement, and [`Db::begin`] tries again.
const IDLE: Duration = Duration::from_secs(1);
/// SQLite's clock, in unix milliseconds.
const SQLITE_CLOCK: &str = "CAST(unixepoch('subsec') * 1000 AS BIGINT)";
/// Postgres' clock, in unix milliseconds: at this moment, not at the beginning of the transaction.
const POSTGRES_CLOCK: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)";
/// Connections of one replica to Postgres: the batch writer, the background task, and requests of people.
const POSTGRES_CONNECTIONS: u32 = 8;

/// A connected database.
#[derive(Debug, Clone)]
pub enum Db {
    /// One file in the data folder.
    Sqlite {
        /// For everything that only reads.
        readers: SqlitePool,
        /// One connection: writers queue here instead of polling the file's lock.
        writer: SqlitePool,
    },
    /// A server that several replicas share.
    Postgres(PgPool),
}

/// A transaction that writes.
#[derive(Debug)]
pub enum Tx {
    /// Of the one writer; took the write lock when it began.
    Sqlite(Transaction<'static, Sqlite>),
    /// Read committed: rows that are decided upon are locked with [`Tx::for_update`].
    Postgres(Transaction<'static, Postgres>),
}

/// A parameter of a statement. `None` is NULL, which Postgres wants typed as well.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// BIGINT
    Int(Option<i64>),
    /// TEXT
    Text(Option<String>),
    /// One column of a list, for Postgres alone: [`Tx::items`] makes them.
    Items(Items),
}

impl From<i64> for Arg {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}
impl From<Option<i64>> for Arg {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}
impl From<&str> for Arg {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}
impl From<String> for Arg {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}
impl From<Option<String>> for Arg {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

/// The parameters of a statement, in order.
#[macro_export]
#[doc(hidden)]
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::store::db::Arg::from($value)),*] };
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Int(i64),
    Text(String),
}

/// One row of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Row(Vec<Cell>);

impl Row {
    /// The integer in column `index`.
    ///
    /// # Errors
    /// The column is not there, NULL, or no integer: the statement and its reader do not fit each other.
    pub fn int(&self, index: usize) -> Result<i64, StoreError> {
        match self.0.get(index) {
            Some(Cell::Int(value)) => Ok(*value),
            other => Err(StoreError::Column { index, wanted: "integer", got: format!("{other:?}") }),
        }
    }

    /// The count in column `index`; what is stored negative by mistake is none.
    ///
    /// # Errors
    /// As [`Self::int`].
    pub fn count(&self, index: usize) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.int(index)?).unwrap_or(0))
    }

    /// The integer in column `index`, or `None` for NULL.
    ///
    /// # Errors
    /// As [`Self::int`].
    pub fn maybe_int(&self, index: usize) -> Result<Option<i64>, StoreError> {
        if matches!(self.0.get(index), Some(Cell::Null)) { Ok(None) } else { self.int(index).map(Some) }
    }

    /// The text in column `index`.
    ///
    /// # Errors
    /// As [`Self::int`].
    pub fn text(&self, index: usize) -> Result<&str, StoreError> {
        match self.0.get(index) {
            Some(Cell::Text(value)) => Ok(value),
            other => Err(StoreError::Column { index, wanted: "text", got: format!("{other:?}") }),
        }
    }

    /// Moves the text out of column `index`, where a row of a large answer is read once.
    ///
    /// # Errors
    /// As [`Self::int`].
    pub fn take(&mut self, index: usize) -> Result<String, StoreError> {
        match self.0.get_mut(index) {
            Some(Cell::Text(value)) => Ok(std::mem::take(value)),
            other => Err(StoreError::Column { index, wanted: "text", got: format!("{other:?}") }),
        }
    }

    /// The text in column `index`, or `None` for NULL.
    ///
    /// # Errors
    /// As [`Self::int`].
    pub fn maybe_text(&self, index: usize) -> Result<Option<String>, StoreError> {
        if matches!(self.0.get(index), Some(Cell::Null)) { Ok(None) } else { self.text(index).map(|text| Some(text.to_owned())) }
    }

    /// The JSON document in column `index`.
    ///
    /// # Errors
    /// As [`Self::int`], or the document is not what this version of the server writes.
    pub fn document<T: serde::de::DeserializeOwned>(&self, index: usize) -> Result<T, StoreError> {
        Ok(serde_json::from_str(self.text(index)?)?)
    }
}

/// A statement with its parameters.
fn sqlite<'q>(sql: String, args: &[Arg]) -> Query<'q, Sqlite, SqliteArguments> {
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for arg in args {
        query = match arg {
            Arg::Int(value) => query.bind(*value),
            Arg::Text(value) => query.bind(value.clone()),
            // A list is one JSON text there; this kind of parameter is never made.
            Arg::Items(_) => query.bind(None::<i64>),
        };
    }
    query
}

/// The same for Postgres.
fn postgres<'q>(sql: String, args: &[Arg]) -> Query<'q, Postgres, PgArguments> {
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for arg in args {
        query = match arg {
            Arg::Int(value) => query.bind(*value),
            Arg::Text(value) => query.bind(value.as_deref()),
            Arg::Items(Items::Ints(_, values)) => query.bind(values.as_slice()),
            Arg::Items(Items::Texts(_, values)) => query.bind(values.as_slice()),
        };
    }
    query
}

macro_rules! cells {
    ($rows:expr) => {{
        let rows = $rows;
        let mut out = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut cells = Vec::with_capacity(row.len());
            for index in 0..row.len() {
                let raw = row.try_get_raw(index)?;
                let kind = if raw.is_null() { Kind::Null } else { Kind::of(raw.type_info().name()) };
                cells.push(match kind {
                    Kind::Null => Cell::Null,
                    Kind::Long => Cell::Int(row.try_get_unchecked::<i64, _>(index)?),
                    Kind::Short => Cell::Int(i64::from(row.try_get_unchecked::<i32, _>(index)?)),
                    Kind::Text => Cell::Text(row.try_get_unchecked::<String, _>(index)?),
                });
            }
            out.push(Row(cells));
        }
        out
    }};
}

/// How a value is read.
#[derive(Clone, Copy)]
enum Kind {
    Null,
    Long,
    Short,
    Text,
}

impl Kind {
    fn of(name: &str) -> Self {
        match name {
            "INTEGER" | "BIGINT" | "INT8" => Self::Long,
            "INT4" => Self::Short,
            _ => Self::Text,
        }
    }
}

type Judged<'a> = Pin<Box<dyn Future<Output = Result<bool, sqlx::Error>> + Send + 'a>>;

/// Whether a connection that was given back may be used again. After some faults (a full disk) SQLite rolls back by itself,
/// which the library does not know: it would take the next transaction for one inside the last and refuse it, for ever.
fn sound(connection: &mut SqliteConnection) -> Judged<'_> {
    Box::pin(async move {
        // Answered behind a rollback that is under way.
        connection.ping().await?;
        Ok(!connection.is_in_transaction())
    })
}

/// Whether a connection that was idle for so long is still there.
fn there(connection: &mut PgConnection, idle: Duration) -> Judged<'_> {
    Box::pin(async move {
        if idle >= IDLE {
            connection.ping().await?;
        }
        Ok(true)
    })
}

impl Db {
    /// Opens (and creates) the SQLite file and brings its tables up to date.
    ///
    /// WAL so that readers never wait for the writer. `synchronous=FULL` and not NORMAL: in WAL mode NORMAL does not sync
    /// the log at a commit, so a power cut may take back check-ins and grants that were answered already, and an accepted
    /// write must never be lost. What a sync costs is paid once per batch of check-ins, not once per check-in.
    ///
    /// # Errors
    /// The file cannot be opened or is not ours.
    pub async fn sqlite(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .pragma("cache_size", "-65536")
            .disable_statement_logging();
        // A file does not go away between two uses.
        let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE).test_before_acquire(false);
        let writer = pool().max_connections(1).after_release(|connection, _| sound(connection)).connect_with(options.clone()).await?;
        migrations::sqlite().run(&writer).await?;
        let readers = pool().max_connections(READERS).connect_with(options.read_only(true)).await?;
        Ok(Self::Sqlite { readers, writer })
    }

    /// Connects to Postgres and brings its tables up to date.
    ///
    /// # Errors
    /// The URL is wrong, the server does not answer, or its tables are not ours.
    pub async fn postgres(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url)?.disable_statement_logging();
        let pool = PgPoolOptions::new().max_connections(POSTGRES_CONNECTIONS).acquire_timeout(ACQUIRE).test_before_acquire(false);
        let pool = pool.before_acquire(|connection, meta| there(connection, meta.idle_for)).connect_with(options).await?;
        migrations::postgres().run(&pool).await?;
        Ok(Self::Postgres(pool))
    }

    /// Begins a transaction that will write.
    ///
    /// # Errors
    /// No connection, or another process holds the write lock for too long.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Tx::Postgres(match pool.begin().await {
                // It went away since it was last used, and nothing was asked of it yet.
                Err(sqlx::Error::Io(_) | sqlx::Error::Protocol(_)) => pool.begin().await?,
                begun => begun?,
            }),
        })
    }

    /// The expression for the database's clock.
    #[must_use]
    pub const fn clock(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => SQLITE_CLOCK,
            Self::Postgres(_) => POSTGRES_CLOCK,
        }
    }

    /// Reads outside any transaction.
    ///
    /// # Errors
    /// The database's.
    pub async fn rows(&self, sql: impl Into<String>, args: &[Arg]) -> Result<Vec<Row>, StoreError> {
        let sql: String = sql.into();
        Ok(match self {
            Self::Sqlite { readers, .. } => cells!(sqlite(sql, args).fetch_all(readers).await?),
            Self::Postgres(pool) => cells!(postgres(sql, args).fetch_all(pool).await?),
        })
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// The database's.
    pub async fn row(&self, sql: impl Into<String>, args: &[Arg]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// As [`Tx::items`], for what is read outside any transaction.
    #[must_use]
    pub fn items(&self, args: &mut Vec<Arg>, columns: Vec<Items>) -> String {
        items::bind(matches!(self, Self::Sqlite { .. }), args, columns)
    }

    /// Lets go of all connections; what is written is written.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { readers, writer } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    /// Reads inside the transaction.
    ///
    /// # Errors
    /// The database's.
    pub async fn rows(&mut self, sql: impl Into<String>, args: &[Arg]) -> Result<Vec<Row>, StoreError> {
        let sql: String = sql.into();
        Ok(match self {
            Self::Sqlite(tx) => cells!(sqlite(sql, args).fetch_all(&mut **tx).await?),
            Self::Postgres(tx) => cells!(postgres(sql, args).fetch_all(&mut **tx).await?),
        })
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// The database's.
    pub async fn row(&mut self, sql: impl Into<String>, args: &[Arg]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Writes; says how many rows it touched.
    ///
    /// # Errors
    /// The database's.
    pub async fn run(&mut self, sql: impl Into<String>, args: &[Arg]) -> Result<u64, StoreError> {
        let sql: String = sql.into();
        Ok(match self {
            Self::Sqlite(tx) => sqlite(sql, args).execute(&mut **tx).await?.rows_affected(),
            Self::Postgres(tx) => postgres(sql, args).execute(&mut **tx).await?.rows_affected(),
        })
    }

    /// Makes it durable. Nothing is answered before this returns.
    ///
    /// # Errors
    /// The database's; then nothing was written.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// The expression for the database's clock.
    #[must_use]
    pub const fn clock(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => SQLITE_CLOCK,
            Self::Postgres(_) => POSTGRES_CLOCK,
        }
    }

    /// The words that lock what a `SELECT` reads. SQLite needs none: the transaction holds the one write lock already.
    #[must_use]
    pub const fn for_update(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "",
            Self::Postgres(_) => " FOR UPDATE",
        }
    }

    /// Adds the columns of a list to the parameters; what stands behind `FROM` for them, a table `item` with those columns.
    #[must_use]
    pub fn items(&self, args: &mut Vec<Arg>, columns: Vec<Items>) -> String {
        items::bind(matches!(self, Self::Sqlite(_)), args, columns)
    }
}
