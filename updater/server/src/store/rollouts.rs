//! Rollouts with their counts.

use serde::{Deserialize, Serialize};

use super::db::{Arg, Row};
use super::{Db, Items, StoreError, Tx};
use crate::args;
use crate::policy::counts::LIVE_DAYS;
use crate::policy::{CanaryCounts, Counts, Release, ReleaseId, Rollout, RolloutId, Share, Span, State, Time};

/// A rollout as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stored {
    /// In which group.
    pub group: String,
    /// How it spreads and where it stands.
    #[serde(flatten)]
    pub rollout: Rollout,
    /// What has become of it.
    pub counts: Counts,
    /// Changed by every write.
    #[serde(skip)]
    pub revision: i64,
    /// When it was made.
    pub created_at: Time,
}

/// One point of the progress chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Point {
    /// When.
    pub at: Time,
    /// The share the ramp allowed.
    pub share: Share,
    /// The counts then.
    pub counts: Counts,
}

const COLUMNS: &str = "id, release_id, group_name, doc, population, granted, completed, failed, rolled_back, silent, \
                       canary_granted, canary_completed, canary_bad, revision, created_at";

/// The word for a rollout's state.
#[must_use]
pub const fn state_name(state: &State) -> &'static str {
    match state {
        State::Running => "running",
        State::Paused { .. } => "paused",
        State::Stopped { .. } => "stopped",
        State::Done { .. } => "done",
    }
}

fn stored(row: &Row) -> Result<Stored, StoreError> {
    let mut rollout: Rollout = row.document(3)?;
    // The row's own columns are what the document was made from; ids are only known after the row is there.
    (rollout.id, rollout.release) = (RolloutId(row.int(0)?), ReleaseId(row.int(1)?));
    let counts = Counts {
        population: row.count(4)?,
        granted: row.count(5)?,
        completed: row.count(6)?,
        failed: row.count(7)?,
        rolled_back: row.count(8)?,
        silent: row.count(9)?,
        canaries: CanaryCounts { granted: row.count(10)?, completed: row.count(11)?, bad: row.count(12)? },
    };
    Ok(Stored { group: row.text(2)?.to_owned(), rollout, counts, revision: row.int(13)?, created_at: Time(row.int(14)?) })
}

/// All rollouts, newest first.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db) -> Result<Vec<Stored>, StoreError> {
    db.rows(format!("SELECT {COLUMNS} FROM rollouts ORDER BY id DESC"), &[]).await?.iter().map(stored).collect()
}

/// One rollout.
///
/// # Errors
/// The database's.
pub async fn get(db: &Db, id: RolloutId) -> Result<Option<Stored>, StoreError> {
    db.row(format!("SELECT {COLUMNS} FROM rollouts WHERE id = $1"), args![id.0]).await?.as_ref().map(stored).transpose()
}

/// Reads and locks rollouts, always in the order of their numbers so that two transactions cannot wait for each other.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, ids: &[RolloutId]) -> Result<Vec<Stored>, StoreError> {
    let mut args = Vec::new();
    let (items, lock) = (tx.items(&mut args, vec![Items::ints("wanted", ids.iter().map(|id| id.0))]), tx.for_update());
    let sql = format!("SELECT {COLUMNS} FROM rollouts WHERE id IN (SELECT wanted FROM {items}) ORDER BY id{lock}");
    tx.rows(sql, &args).await?.iter().map(stored).collect()
}

/// Which rollout there is for a release in a group.
///
/// # Errors
/// The database's.
pub async fn index(tx: &mut Tx) -> Result<Vec<(String, ReleaseId, RolloutId)>, StoreError> {
    let rows = tx.rows("SELECT group_name, release_id, id FROM rollouts", &[]).await?;
    rows.iter().map(|row| Ok((row.text(0)?.to_owned(), ReleaseId(row.int(1)?), RolloutId(row.int(2)?)))).collect()
}

/// Adds a rollout; its number is only known afterwards.
///
/// # Errors
/// The database's; [`StoreError::duplicate`] when the group has a rollout of this release already.
pub async fn add(tx: &mut Tx, group: &str, rollout: &Rollout, population: u64, now: Time) -> Result<RolloutId, StoreError> {
    let sql =
        "INSERT INTO rollouts (group_name, release_id, doc, state, population, created_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id";
    let doc = serde_json::to_string(rollout)?;
    let values = args![group, rollout.release.0, doc, state_name(&rollout.state), number(population), now.0];
    let id = tx.row(sql, values).await?.map_or(Ok(0), |row| row.int(0))?;
    super::touch_generation(tx).await?;
    Ok(RolloutId(id))
}

/// Writes a rollout and its counts back, if nobody else did since it was read.
///
/// # Errors
/// [`StoreError::Conflict`] when somebody did: the whole transaction is to be run again.
pub async fn write(tx: &mut Tx, stored: &mut Stored) -> Result<(), StoreError> {
    let (rollout, counts) = (&stored.rollout, &stored.counts);
    let sql = "UPDATE rollouts SET doc = $3, state = $4, population = $5, granted = $6, completed = $7, failed = $8, rolled_back = $9, \
               silent = $10, canary_granted = $11, canary_completed = $12, canary_bad = $13, revision = revision + 1 \
               WHERE id = $1 AND revision = $2";
    let values = args![
        rollout.id.0,
        stored.revision,
        serde_json::to_string(rollout)?,
        state_name(&rollout.state),
        number(counts.population),
        number(counts.granted),
        number(counts.completed),
        number(counts.failed),
        number(counts.rolled_back),
        number(counts.silent),
        number(counts.canaries.granted),
        number(counts.canaries.completed),
        number(counts.canaries.bad),
    ];
    if tx.run(sql, values).await? != 1 {
        return Err(StoreError::Conflict(format!("rollout {}", rollout.id.0)));
    }
    stored.revision += 1;
    Ok(())
}

/// How many machines a rollout is a share of: see [`Counts::population`].
///
/// # Errors
/// The database's.
pub async fn population(tx: &mut Tx, group: &str, release: &Release, started: Time, now: Time) -> Result<u64, StoreError> {
    tx.row(POPULATION, &population_of(group, release, started, now)).await?.map_or(Ok(0), |row| row.count(0))
}

/// The same outside any transaction: counting a hundred thousand machines must keep no check-in waiting, and the number is
/// out of date a moment later anyway.
///
/// # Errors
/// The database's.
pub async fn recount(db: &Db, stored: &Stored, release: &Release, now: Time) -> Result<u64, StoreError> {
    let values = population_of(&stored.group, release, stored.rollout.started_at, now);
    db.row(POPULATION, &values).await?.map_or(Ok(0), |row| row.count(0))
}

const POPULATION: &str = "SELECT COUNT(*) FROM machines m JOIN seen s ON s.machine = m.id \
     WHERE m.group_name = $1 AND m.app = $2 AND m.arch = $3 AND m.first_seen <= $4 AND s.at >= $5";

fn population_of(group: &str, release: &Release, started: Time, now: Time) -> [Arg; 5] {
    let live = now - Span::hours(24 * LIVE_DAYS);
    [group.into(), release.app.as_str().into(), release.arch.as_str().into(), started.0.into(), live.0.into()]
}

/// Adds a point to a rollout's chart.
///
/// # Errors
/// The database's.
pub async fn add_point(tx: &mut Tx, id: RolloutId, point: &Point) -> Result<(), StoreError> {
    let sql = "INSERT INTO points (rollout, at, doc) VALUES ($1, $2, $3) ON CONFLICT (rollout, at) DO NOTHING";
    tx.run(sql, args![id.0, point.at.0, serde_json::to_string(point)?]).await?;
    Ok(())
}

/// The points of a rollout's chart, oldest first.
///
/// # Errors
/// The database's.
pub async fn points(db: &Db, id: RolloutId) -> Result<Vec<Point>, StoreError> {
    db.rows("SELECT doc FROM points WHERE rollout = $1 ORDER BY at", args![id.0]).await?.iter().map(|row| row.document(0)).collect()
}

pub(super) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
