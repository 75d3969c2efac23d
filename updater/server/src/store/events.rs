//! What machines reported, one row per report that means something.

use serde::Serialize;
use serde_json::json;

use super::{Db, StoreError, Tx};
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
    let row = |e: &Event| json!([e.machine, e.at.0, e.kind, e.result, e.code, e.cause, e.version, e.previous, e.release]);
    let list: Vec<_> = events.iter().map(row).collect();
    let items = tx.list("$1");
    let sql = format!(
        "INSERT INTO events (machine, at, kind, result, code, cause, version, previous, release) \
         SELECT CAST(item.value->>0 AS BIGINT), CAST(item.value->>1 AS BIGINT), CAST(item.value->>2 AS BIGINT), CAST(item.value->>3 AS BIGINT), \
         CAST(item.value->>4 AS BIGINT), item.value->>5, item.value->>6, item.value->>7, item.value->>8 FROM {items}"
    );
    tx.run(sql, args![serde_json::to_string(&list)?]).await?;
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
