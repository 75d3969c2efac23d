//! Whose turn it is to reboot.

use super::{Db, StoreError, Tx};
use crate::args;
use crate::policy::turns::{GROUPS_MAX, Holder, SLOTS_DEFAULT, Turns};
use crate::policy::{Span, Time};

/// All groups that an operator set or somebody has a turn of, by name.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db) -> Result<Vec<Turns>, StoreError> {
    let sql = "SELECT g.name, g.slots, g.hold_max, t.id, t.since, t.asked_at FROM turn_groups g \
               LEFT JOIN turns t ON t.group_name = g.name ORDER BY g.name, t.since, t.id";
    let mut all: Vec<Turns> = Vec::new();
    for row in db.rows(sql, &[]).await? {
        if all.last().is_none_or(|last| row.text(0).is_ok_and(|name| name != last.group)) {
            all.push(group(&row)?);
        }
        if let (Some(id), Some(last)) = (row.maybe_text(3)?, all.last_mut()) {
            last.holders.push(Holder { id, since: Time(row.int(4)?), asked_at: Time(row.int(5)?) });
        }
    }
    Ok(all)
}

fn group(row: &super::db::Row) -> Result<Turns, StoreError> {
    let slots = row.maybe_int(1)?.map_or(SLOTS_DEFAULT, |slots| u64::try_from(slots).unwrap_or(0));
    let hold_max = row.maybe_int(2)?.and_then(|millis| u64::try_from(millis).ok()).map(Span);
    Ok(Turns { group: row.text(0)?.to_owned(), slots, hold_max, holders: Vec::new() })
}

/// Makes sure that there is such a group, unless there are too many; says whether there is.
///
/// # Errors
/// The database's.
pub async fn ensure(tx: &mut Tx, name: &str) -> Result<bool, StoreError> {
    let sql = "INSERT INTO turn_groups (name) SELECT CAST($1 AS TEXT) WHERE (SELECT COUNT(*) FROM turn_groups) < $2 \
               ON CONFLICT (name) DO NOTHING";
    tx.run(sql, args![name, GROUPS_MAX]).await?;
    Ok(tx.row("SELECT name FROM turn_groups WHERE name = $1", args![name]).await?.is_some())
}

/// A group with its holders, locked until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, name: &str) -> Result<Option<Turns>, StoreError> {
    let sql = format!("SELECT name, slots, hold_max FROM turn_groups WHERE name = $1{}", tx.for_update());
    let Some(row) = tx.row(sql, args![name]).await? else { return Ok(None) };
    let mut turns = group(&row)?;
    for row in tx.rows("SELECT id, since, asked_at FROM turns WHERE group_name = $1 ORDER BY since, id", args![name]).await? {
        turns.holders.push(Holder { id: row.text(0)?.to_owned(), since: Time(row.int(1)?), asked_at: Time(row.int(2)?) });
    }
    Ok(Some(turns))
}

/// Notes that it is a machine's turn, or that it asked once more.
///
/// # Errors
/// The database's.
pub async fn take(tx: &mut Tx, group: &str, id: &str, now: Time) -> Result<(), StoreError> {
    let sql = "INSERT INTO turns (group_name, id, since, asked_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (group_name, id) DO UPDATE SET asked_at = excluded.asked_at";
    tx.run(sql, args![group, id, now.0, now.0]).await?;
    Ok(())
}

/// Ends a machine's turn in a locked group (without the lock, a turn that is given at this moment would go with the group); says
/// whether it had one. A group that nobody set and nobody has a turn of is forgotten.
///
/// # Errors
/// The database's.
pub async fn release(tx: &mut Tx, group: &str, id: &str) -> Result<bool, StoreError> {
    let had = end(tx, group, id).await?;
    tidy(tx, group).await?;
    Ok(had)
}

/// Ends a machine's turn in a locked group, which stays; says whether it had one.
///
/// # Errors
/// The database's.
pub async fn end(tx: &mut Tx, group: &str, id: &str) -> Result<bool, StoreError> {
    Ok(tx.run("DELETE FROM turns WHERE group_name = $1 AND id = $2", args![group, id]).await? > 0)
}

/// Forgets a locked group that nobody set and nobody has a turn of.
///
/// # Errors
/// The database's.
pub async fn tidy(tx: &mut Tx, group: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM turn_groups WHERE name = $1 AND slots IS NULL AND hold_max IS NULL \
               AND NOT EXISTS (SELECT 1 FROM turns WHERE group_name = $1)";
    tx.run(sql, args![group]).await?;
    Ok(())
}

/// What an operator sets of a group that is there.
///
/// # Errors
/// The database's.
pub async fn set(tx: &mut Tx, group: &str, slots: u64, hold_max: Option<Span>) -> Result<(), StoreError> {
    let hold_max = hold_max.map(|span| i64::try_from(span.0).unwrap_or(i64::MAX));
    let slots = i64::try_from(slots).unwrap_or(i64::MAX);
    tx.run("UPDATE turn_groups SET slots = $2, hold_max = $3 WHERE name = $1", args![group, slots, hold_max]).await?;
    Ok(())
}

/// Forgets a group and what was set of it.
///
/// # Errors
/// The database's.
pub async fn remove(tx: &mut Tx, group: &str) -> Result<(), StoreError> {
    tx.run("DELETE FROM turn_groups WHERE name = $1", args![group]).await?;
    Ok(())
}
