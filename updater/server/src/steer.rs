//! Pause and resume, for the API and the page alike: one transaction that asks the policy, writes, and notes who it was.

use serde_json::json;

use crate::checkin::batch::note_change;
use crate::clock::Clock;
use crate::policy::{Control, ControlError, RolloutId};
use crate::store::{Db, StoreError, audit, rollouts};

/// How often a lost race is run again: machines write the same row all the time.
const TRIES: usize = 5;

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SteerError {
    /// There is none of that number.
    #[error("there is no rollout {}", .0.0)]
    Missing(RolloutId),
    /// It makes no sense in the state the rollout is in.
    #[error(transparent)]
    Refused(#[from] ControlError),
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks `control` of a rollout in the name of `who`; `action` is what the audit log calls it.
///
/// What went wrong while the rollout was held is judged in the same transaction, before any machine is given the release again:
/// a rollout that is resumed may well be stopped by the brake at the same moment.
///
/// # Errors
/// Why nothing was changed.
pub async fn steer(db: &Db, id: RolloutId, action: &str, who: &str, control: &Control, clock: &Clock) -> Result<(), SteerError> {
    let mut tries = 1;
    loop {
        match once(db, id, action, who, control.clone(), clock).await {
            Err(SteerError::Store(error)) if error.passing() && tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

async fn once(db: &Db, id: RolloutId, action: &str, who: &str, control: Control, clock: &Clock) -> Result<(), SteerError> {
    let mut tx = db.begin().await?;
    let now = clock.within(&mut tx).await?;
    let mut stored = rollouts::lock(&mut tx, &[id]).await?.into_iter().next().ok_or(SteerError::Missing(id))?;
    let before = json!(stored.rollout.state);
    stored.rollout.control(control, &stored.counts, now)?;
    let asked = json!(stored.rollout.state);
    let changes = stored.rollout.settle(&stored.counts, now);
    rollouts::write(&mut tx, &mut stored).await?;
    let object = format!("group/{}/rollout/{}", stored.group, id.0);
    audit::note(&mut tx, now, who, action, &object, Some(&before), Some(&asked)).await?;
    for change in &changes {
        note_change(&mut tx, now, id, change).await?;
    }
    Ok(tx.commit().await?)
}
