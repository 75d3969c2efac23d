//! Groups.

use super::{Db, StoreError, Tx};
use crate::args;
use crate::policy::{Group, Time};

/// All groups by name.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db) -> Result<Vec<Group>, StoreError> {
    db.rows("SELECT doc FROM groups ORDER BY name", &[]).await?.iter().map(|row| row.document(0)).collect()
}

/// One group.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, name: &str) -> Result<Option<Group>, StoreError> {
    let sql = format!("SELECT doc FROM groups WHERE name = $1{}", tx.for_update());
    tx.row(sql, args![name]).await?.map(|row| row.document(0)).transpose()
}

/// Writes a group, new or changed.
///
/// # Errors
/// The database's.
pub async fn put(tx: &mut Tx, group: &Group, now: Time) -> Result<(), StoreError> {
    let sql = "INSERT INTO groups (name, doc, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO UPDATE SET doc = excluded.doc";
    tx.run(sql, args![group.name.as_str(), serde_json::to_string(group)?, now.0]).await?;
    super::touch_generation(tx).await
}

/// Removes a group; its machines stay and are told that their group is unknown.
///
/// # Errors
/// The database's.
pub async fn remove(tx: &mut Tx, name: &str) -> Result<(), StoreError> {
    tx.run("DELETE FROM groups WHERE name = $1", args![name]).await?;
    super::touch_generation(tx).await
}
