//! The atomic part: one grant more.

use serde::{Deserialize, Serialize};

use super::{CanaryCounts, Counts, Outcome, Reason, Rollout, Share, Time};

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
    /// How often the machine failed to install it.
    #[serde(default)]
    pub tries: u64,
}

impl Grant {
    /// One that was made just now.
    #[must_use]
    pub const fn new(at: Time, canary: bool) -> Self {
        Self { at, canary, outcome: Outcome::Pending, tries: 0 }
    }
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
/// changed by everything else that writes the row and taken from the very read that was decided on, and `ALLOWED` from here.
/// Not with a limit of parallel machines: outcomes change how many are busy.
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

/// Whether one more grant fits, by the numbers alone: the last rules of [`decide`](fn@super::decide).
///
/// `canary` says whether the machine is one of the canaries. While they go first, only they are let in, up to their
/// limit; the share does not apply to them, but they count in it: afterwards nobody else is let in until the share has
/// caught up. At a share of everybody there is no cap: machines come that the last count of the population did not know.
///
/// # Errors
/// The reason why it does not.
pub fn try_grant(rollout: &Rollout, counts: &Counts, parallel: Option<u64>, canary: bool, now: Time) -> Result<Ticket, Reason> {
    rollout.offers(now)?;
    let (canaries, share, granted) = (&rollout.settings.canaries, rollout.share(now), counts.granted);
    let soaking = rollout.ramp_elapsed(now).is_none();
    let allowed = match (soaking, canary) {
        (true, false) => {
            let Counts { canaries: CanaryCounts { completed, .. }, .. } = *counts;
            return Err(Reason::CanarySoak { completed, need: canaries.needed(), soak: canaries.soak });
        }
        (true, true) if counts.canaries.granted >= canaries.limit => {
            return Err(Reason::CanaryLimit { granted: counts.canaries.granted, limit: canaries.limit });
        }
        (true, true) => granted.saturating_add(canaries.limit.saturating_sub(counts.canaries.granted)),
        (false, _) if share == Share::ALL => counts.population.max(granted.saturating_add(1)),
        (false, _) => share.of(counts.population),
    };
    if granted >= allowed {
        return Err(Reason::Cap { granted, allowed, population: counts.population, share });
    }
    match parallel {
        Some(limit) if counts.in_flight() >= limit => Err(Reason::Parallel { busy: counts.in_flight(), limit }),
        _ => Ok(Ticket { canary: soaking, granted, allowed, share }),
    }
}
