//! Clusters that are coming about: tokens, who is written there, and what happened in which order.
//!
//! Every write locks its token's row and takes the next index from it, so indexes rise in the order of commits, on any number of
//! replicas, and across restarts. What is read together is read by one statement: a list never misses an entry that its index
//! covers.

use discovery::wire::Action;

use super::db::Row;
use super::{Db, Items, StoreError, Tx};
use crate::args;
use crate::policy::Time;

/// The index of a new token, whose size was written at it.
pub const FIRST_INDEX: u64 = 1;

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// Seats of the cluster.
    pub size: u64,
    /// The index of its newest event.
    pub index: u64,
    /// When it ends, if ever.
    pub expires_at: Option<Time>,
    /// The database's clock when this was read.
    pub read_at: Time,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is called.
    pub id: String,
    /// What it says.
    pub value: String,
    /// The index at which it was made: its place in the order.
    pub created: u64,
    /// The index of its last change.
    pub modified: u64,
    /// The hash of its machine's secret.
    pub secret: Option<String>,
}

/// What happened to an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its index.
    pub index: u64,
    /// What happened.
    pub action: Action,
    /// To which entry.
    pub id: String,
    /// What it says since; nothing when it is gone.
    pub value: Option<String>,
    /// The index at which the entry was made.
    pub created: u64,
}

const fn word(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Delete => "delete",
        Action::Update | Action::Get | Action::Other => "update",
    }
}

fn action(word: &str) -> Action {
    match word {
        "create" => Action::Create,
        "delete" => Action::Delete,
        _ => Action::Update,
    }
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn meeting(row: &Row) -> Result<Meeting, StoreError> {
    Ok(Meeting { size: row.count(0)?, index: row.count(1)?, expires_at: row.maybe_int(2)?.map(Time), read_at: Time(row.int(3)?) })
}

/// Makes a token, unless there are `most` already.
///
/// # Errors
/// The database's.
pub async fn create(tx: &mut Tx, token: &str, size: u64, now: Time, expires_at: Option<Time>, most: i64) -> Result<bool, StoreError> {
    // Postgres wants to be told the types of what a SELECT makes up.
    let sql = "INSERT INTO discovery (token, size, idx, created_at, expires_at) SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), \
               CAST($3 AS BIGINT), CAST($4 AS BIGINT), CAST($5 AS BIGINT) WHERE (SELECT COUNT(*) FROM discovery) < $6";
    let values = args![token, number(size), number(FIRST_INDEX), now.0, expires_at.map(|time| time.0), most];
    Ok(tx.run(sql, values).await? == 1)
}

/// A token with all its entries in order, as of one moment.
///
/// # Errors
/// The database's.
pub async fn read(db: &Db, token: &str) -> Result<Option<(Meeting, Vec<Entry>)>, StoreError> {
    let sql = format!(
        "SELECT d.size, d.idx, d.expires_at, {}, m.id, m.value, m.created, m.modified FROM discovery d \
         LEFT JOIN discovery_members m ON m.token = d.token WHERE d.token = $1 ORDER BY m.created",
        db.clock()
    );
    let rows = db.rows(sql, args![token]).await?;
    let Some(first) = rows.first() else { return Ok(None) };
    let meeting = meeting(first)?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some(id) = row.maybe_text(4)? {
            let value = row.text(5)?.to_owned();
            entries.push(Entry { id, value, created: row.count(6)?, modified: row.count(7)?, secret: None });
        }
    }
    Ok(Some((meeting, entries)))
}

/// A token, locked until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, token: &str) -> Result<Option<Meeting>, StoreError> {
    let sql = format!("SELECT size, idx, expires_at, {} FROM discovery WHERE token = $1{}", tx.clock(), tx.for_update());
    tx.row(sql, args![token]).await?.as_ref().map(meeting).transpose()
}

/// One entry of a locked token, and how many there are.
///
/// # Errors
/// The database's.
pub async fn entry(tx: &mut Tx, token: &str, id: &str) -> Result<(Option<Entry>, usize), StoreError> {
    let count = tx.row("SELECT COUNT(*) FROM discovery_members WHERE token = $1", args![token]).await?;
    let count = count.map_or(Ok(0), |row| row.count(0))?;
    let sql = "SELECT id, value, created, modified, secret FROM discovery_members WHERE token = $1 AND id = $2";
    let Some(row) = tx.row(sql, args![token, id]).await? else { return Ok((None, usize::try_from(count).unwrap_or(usize::MAX))) };
    let entry = Entry {
        id: row.text(0)?.to_owned(),
        value: row.text(1)?.to_owned(),
        created: row.count(2)?,
        modified: row.count(3)?,
        secret: row.maybe_text(4)?,
    };
    Ok((Some(entry), usize::try_from(count).unwrap_or(usize::MAX)))
}

/// Writes what happened to an entry of a locked token at the next index: the event, the entry, and the token's index.
///
/// # Errors
/// The database's.
pub async fn write(tx: &mut Tx, token: &str, action: Action, entry: &Entry) -> Result<(), StoreError> {
    let index = number(entry.modified);
    match action {
        Action::Delete => {
            tx.run("DELETE FROM discovery_members WHERE token = $1 AND id = $2", args![token, entry.id.as_str()]).await?;
        }
        _ => {
            let sql = "INSERT INTO discovery_members (token, id, value, created, modified, secret) VALUES ($1, $2, $3, $4, $5, $6) \
                       ON CONFLICT (token, id) DO UPDATE SET value = excluded.value, modified = excluded.modified";
            let values = args![token, entry.id.as_str(), entry.value.as_str(), number(entry.created), index, entry.secret.clone()];
            tx.run(sql, values).await?;
        }
    }
    let value = (action != Action::Delete).then(|| entry.value.clone());
    let sql = "INSERT INTO discovery_events (token, idx, action, id, value, created) VALUES ($1, $2, $3, $4, $5, $6)";
    tx.run(sql, args![token, index, word(action), entry.id.as_str(), value, number(entry.created)]).await?;
    tx.run("UPDATE discovery SET idx = $2 WHERE token = $1", args![token, index]).await?;
    Ok(())
}

/// The first event of a token from index `from` on, of the entry `id` or of any; `None` when there is no such token.
///
/// # Errors
/// The database's.
pub async fn event(db: &Db, token: &str, id: Option<&str>, from: u64) -> Result<Option<(Meeting, Option<Event>)>, StoreError> {
    let of = if id.is_some() { "AND x.id = $3" } else { "" };
    let sql = format!(
        "SELECT d.size, d.idx, d.expires_at, {}, e.idx, e.action, e.id, e.value, e.created FROM discovery d \
         LEFT JOIN discovery_events e ON e.token = d.token AND e.idx = \
         (SELECT MIN(x.idx) FROM discovery_events x WHERE x.token = d.token AND x.idx >= $2 {of}) WHERE d.token = $1",
        db.clock()
    );
    let mut values = args![token, number(from)].to_vec();
    values.extend(id.map(super::db::Arg::from));
    let Some(row) = db.row(sql, &values).await? else { return Ok(None) };
    let event = match row.maybe_int(4)? {
        None => None,
        Some(_) => Some(Event {
            index: row.count(4)?,
            action: action(row.text(5)?),
            id: row.text(6)?.to_owned(),
            value: row.maybe_text(7)?,
            created: row.count(8)?,
        }),
    };
    Ok(Some((meeting(&row)?, event)))
}

/// The newest index of each of these tokens that is still there.
///
/// # Errors
/// The database's.
pub async fn newest(db: &Db, tokens: &[String]) -> Result<Vec<(String, u64)>, StoreError> {
    let mut values = Vec::new();
    let items = db.items(&mut values, vec![Items::texts("token", tokens.iter().map(String::as_str))]);
    let sql = format!("SELECT d.token, d.idx FROM {items} JOIN discovery d ON d.token = item.token");
    db.rows(sql, &values).await?.iter().map(|row| Ok((row.text(0)?.to_owned(), row.count(1)?))).collect()
}

/// Moves a token's end.
///
/// # Errors
/// The database's.
pub async fn keep_until(tx: &mut Tx, token: &str, end: Option<Time>) -> Result<(), StoreError> {
    tx.run("UPDATE discovery SET expires_at = $2 WHERE token = $1", args![token, end.map(|time| time.0)]).await?;
    Ok(())
}

/// Forgets tokens that have ended, with everything of theirs.
///
/// # Errors
/// The database's.
pub async fn forget(tx: &mut Tx, now: Time) -> Result<u64, StoreError> {
    tx.run("DELETE FROM discovery WHERE expires_at <= $1", args![now.0]).await
}
