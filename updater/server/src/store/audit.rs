//! The audit log: who changed what, from what, to what.

use serde::Serialize;
use serde_json::Value;

use super::{Db, StoreError, Tx};
use crate::args;
use crate::policy::Time;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: Time,
    /// The token's name, or `local` for the command line on the data folder, or `server` for what happens by itself.
    pub who: String,
    /// What was done, e.g. `rollout.pause`.
    pub action: String,
    /// To what, e.g. `group/stable/rollout/3`.
    pub object: String,
    /// What it was.
    pub before: Option<Value>,
    /// What it became.
    pub after: Option<Value>,
}

/// Notes one change, in the transaction that makes it.
///
/// # Errors
/// The database's.
pub async fn note(
    tx: &mut Tx,
    now: Time,
    who: &str,
    action: &str,
    object: &str,
    before: Option<&impl Serialize>,
    after: Option<&impl Serialize>,
) -> Result<(), StoreError> {
    let before = before.map(serde_json::to_string).transpose()?;
    let after = after.map(serde_json::to_string).transpose()?;
    let sql = "INSERT INTO audit (at, who, action, object, before, after) VALUES ($1, $2, $3, $4, $5, $6)";
    tx.run(sql, args![now.0, who, action, object, before, after]).await?;
    Ok(())
}

/// The newest changes before number `before`, newest first.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db, before: i64, limit: i64) -> Result<Vec<Entry>, StoreError> {
    let sql = "SELECT id, at, who, action, object, before, after FROM audit WHERE id < $1 ORDER BY id DESC LIMIT $2";
    let rows = db.rows(sql, args![before, limit]).await?;
    let json = |text: Option<String>| text.map(|text| serde_json::from_str(&text)).transpose();
    rows.iter()
        .map(|row| {
            Ok(Entry {
                id: row.int(0)?,
                at: Time(row.int(1)?),
                who: row.text(2)?.to_owned(),
                action: row.text(3)?.to_owned(),
                object: row.text(4)?.to_owned(),
                before: json(row.maybe_text(5)?)?,
                after: json(row.maybe_text(6)?)?,
            })
        })
        .collect()
}
