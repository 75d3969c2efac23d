//! What machines reported, one row per report that means something.

use serde::Serialize;

use super::{Db, Items, StoreError, Tx};
use crate::args;
use crate::policy::Time;

/// One report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// The machine's number.
    #[serde(skip)]
    pub machine: i64,
    /// When.
    pub at: Time,
    /// Omaha event type.
    pub kind: u32,
    /// Omaha event result.
    pub result: u32,
    /// Error code without flag bits.
    pub code: Option<i64>,
    /// What the machine says was the cause.
    pub cause: Option<String>,
    /// The version it ran when it said so.
    pub version: String,
    /// The version it came from.
    pub previous: Option<String>,
    /// The release it speaks of.
    pub release: Option<String>,
}

/// Notes reports.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, events: &[Event]) -> Result<(), StoreError> {
    if events.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Items::ints("machine", events.iter().map(|event| event.machine)),
        Items::ints("at", events.iter().map(|event| event.at.0)),
        Items::ints("kind", events.iter().map(|event| i64::from(event.kind))),
        Items::ints("result", events.iter().map(|event| i64::from(event.result))),
        Items::ints("code", events.iter().map(|event| event.code)),
        Items::texts("cause", events.iter().map(|event| event.cause.as_deref())),
        Items::texts("version", events.iter().map(|event| event.version.as_str())),
        Items::texts("previous", events.iter().map(|event| event.previous.as_deref())),
        Items::texts("release", events.iter().map(|event| event.release.as_deref())),
    ];
    let mut args = Vec::new();
    let (items, names) = (tx.items(&mut args, columns), "machine, at, kind, result, code, cause, version, previous, release");
    tx.run(format!("INSERT INTO events ({names}) SELECT {names} FROM {items}"), &args).await?;
    Ok(())
}

/// The newest reports of a machine, newest first.
///
/// # Errors
/// The database's.
pub async fn of(db: &Db, machine: i64, limit: i64) -> Result<Vec<Event>, StoreError> {
    let sql = "SELECT machine, at, kind, result, code, cause, version, previous, release FROM events WHERE machine = $1 ORDER BY id DESC LIMIT $2";
    let small = |number: i64| u32::try_from(number).unwrap_or(0);
    db.rows(sql, args![machine, limit])
        .await?
        .iter()
        .map(|row| {
            Ok(Event {
                machine: row.int(0)?,
                at: Time(row.int(1)?),
                kind: small(row.int(2)?),
                result: small(row.int(3)?),
                code: row.maybe_int(4)?,
                cause: row.maybe_text(5)?,
                version: row.text(6)?.to_owned(),
                previous: row.maybe_text(7)?,
                release: row.maybe_text(8)?,
            })
        })
        .collect()
}

/// Forgets reports from before `before`.
///
/// # Errors
/// The database's.
pub async fn forget(tx: &mut Tx, before: Time) -> Result<u64, StoreError> {
    tx.run("DELETE FROM events WHERE at < $1", args![before.0]).await
}
