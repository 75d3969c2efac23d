//! Grants: which machine was given which release, and what became of it.

use serde::Serialize;

use super::db::Row;
use super::{Db, Items, StoreError, Tx, rollouts};
use crate::args;
use crate::policy::{Grant, Outcome, RolloutId, Time};

/// A grant as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stored {
    /// The machine's number.
    #[serde(skip)]
    pub machine: i64,
    /// In which rollout.
    pub rollout: RolloutId,
    /// What decisions are made with.
    #[serde(flatten)]
    pub grant: Grant,
    /// The error code of a failure.
    pub code: Option<i64>,
    /// The cause the machine gave.
    pub cause: Option<String>,
}

const OUTCOMES: [(Outcome, &str); 6] = [
    (Outcome::Pending, "pending"),
    (Outcome::Completed, "completed"),
    (Outcome::Retrying, "retrying"),
    (Outcome::Failed, "failed"),
    (Outcome::RolledBack, "rolled-back"),
    (Outcome::Silent, "silent"),
];

/// As stored and shown.
#[must_use]
pub fn outcome_name(outcome: Outcome) -> &'static str {
    OUTCOMES.iter().find(|(known, _)| *known == outcome).map_or("pending", |(_, name)| name)
}

const COLUMNS: &str = "machine, rollout, at, canary, outcome, code, cause, tries";

fn stored(row: &Row) -> Result<Stored, StoreError> {
    let name = row.text(4)?;
    let outcome = OUTCOMES.iter().find(|(_, known)| *known == name).map_or(Outcome::Pending, |(outcome, _)| *outcome);
    let grant = Grant { at: Time(row.int(2)?), canary: row.int(3)? != 0, outcome, tries: row.count(7)? };
    Ok(Stored { machine: row.int(0)?, rollout: RolloutId(row.int(1)?), grant, code: row.maybe_int(5)?, cause: row.maybe_text(6)? })
}

/// All grants of some machines. Whoever changes them holds the rollouts' locks.
///
/// # Errors
/// The database's.
pub async fn of_machines(tx: &mut Tx, machines: &[i64]) -> Result<Vec<Stored>, StoreError> {
    if machines.is_empty() {
        return Ok(Vec::new());
    }
    let mut args = Vec::new();
    let items = tx.items(&mut args, vec![Items::ints("wanted", machines.iter().copied())]);
    let sql = format!("SELECT {COLUMNS} FROM grants WHERE machine IN (SELECT wanted FROM {items})");
    tx.rows(sql, &args).await?.iter().map(stored).collect()
}

/// All grants of one machine, newest first.
///
/// # Errors
/// The database's.
pub async fn of(db: &Db, machine: i64) -> Result<Vec<Stored>, StoreError> {
    db.rows(format!("SELECT {COLUMNS} FROM grants WHERE machine = $1 ORDER BY at DESC"), args![machine]).await?.iter().map(stored).collect()
}

/// Writes grants, new and changed.
///
/// # Errors
/// The database's.
pub async fn write(tx: &mut Tx, grants: &[Stored]) -> Result<(), StoreError> {
    if grants.is_empty() {
        return Ok(());
    }
    let columns = vec![
        Items::ints("machine", grants.iter().map(|stored| stored.machine)),
        Items::ints("rollout", grants.iter().map(|stored| stored.rollout.0)),
        Items::ints("at", grants.iter().map(|stored| stored.grant.at.0)),
        Items::ints("canary", grants.iter().map(|stored| i64::from(stored.grant.canary))),
        Items::texts("outcome", grants.iter().map(|stored| outcome_name(stored.grant.outcome))),
        Items::ints("code", grants.iter().map(|stored| stored.code)),
        Items::texts("cause", grants.iter().map(|stored| stored.cause.as_deref())),
        Items::ints("tries", grants.iter().map(|stored| rollouts::number(stored.grant.tries))),
    ];
    let mut args = Vec::new();
    let items = tx.items(&mut args, columns);
    let sql = format!(
        "INSERT INTO grants ({COLUMNS}) SELECT {COLUMNS} FROM {items} WHERE true ON CONFLICT (machine, rollout) \
         DO UPDATE SET outcome = excluded.outcome, code = excluded.code, cause = excluded.cause, tries = excluded.tries"
    );
    tx.run(sql, &args).await?;
    Ok(())
}

/// Grants of a rollout that wait for a word from machines not heard of since `since`, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn overdue(tx: &mut Tx, rollout: RolloutId, since: Time, limit: usize) -> Result<Vec<Stored>, StoreError> {
    let sql = "SELECT g.machine, g.rollout, g.at, g.canary, g.outcome, g.code, g.cause, g.tries FROM grants g \
               JOIN seen s ON s.machine = g.machine WHERE g.rollout = $1 AND g.outcome IN ('pending', 'retrying') \
               AND g.at < $2 AND s.at < $2 LIMIT $3";
    tx.rows(sql, args![rollout.0, since.0, rollouts::number(limit as u64)]).await?.iter().map(stored).collect()
}

/// Grants from before `since` of machines that still fail to install the release, at most `limit`.
///
/// # Errors
/// The database's.
pub async fn hopeless(tx: &mut Tx, rollout: RolloutId, since: Time, limit: usize) -> Result<Vec<Stored>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM grants WHERE rollout = $1 AND outcome = 'retrying' AND at < $2 LIMIT $3");
    tx.rows(sql, args![rollout.0, since.0, rollouts::number(limit as u64)]).await?.iter().map(stored).collect()
}

/// A machine that a release failed on, for good or for now, for the rollout's page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Casualty {
    /// Which machine.
    pub machine_id: String,
    /// What became of it.
    pub outcome: String,
    /// The error code.
    pub code: Option<i64>,
    /// The cause it gave.
    pub cause: Option<String>,
    /// When it was given the release.
    pub granted_at: Time,
}

/// The machines that a rollout went wrong on, newest first.
///
/// # Errors
/// The database's.
pub async fn casualties(db: &Db, rollout: RolloutId, limit: i64) -> Result<Vec<Casualty>, StoreError> {
    let sql = "SELECT m.machine_id, g.outcome, g.code, g.cause, g.at FROM grants g JOIN machines m ON m.id = g.machine \
               WHERE g.rollout = $1 AND g.outcome IN ('failed', 'rolled-back', 'silent', 'retrying') ORDER BY g.at DESC LIMIT $2";
    let casualty = |row: &Row| {
        Ok(Casualty {
            machine_id: row.text(0)?.to_owned(),
            outcome: row.text(1)?.to_owned(),
            code: row.maybe_int(2)?,
            cause: row.maybe_text(3)?,
            granted_at: Time(row.int(4)?),
        })
    };
    db.rows(sql, args![rollout.0, limit]).await?.iter().map(casualty).collect()
}
