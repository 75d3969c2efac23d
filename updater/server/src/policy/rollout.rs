//! A release spreading through a group: its states and its running time.

use serde::{Deserialize, Serialize};

use super::brake::Stop;
use super::{Counts, ReleaseId, Salt, Settings, Span, Time};

/// The storage's name of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RolloutId(pub i64);

/// One release spreading through one group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rollout {
    /// The storage's name of it.
    pub id: RolloutId,
    /// What spreads. One rollout per release (so one per architecture).
    pub release: ReleaseId,
    /// What makes its order of machines unlike any other's.
    pub salt: Salt,
    /// How it spreads.
    pub settings: Settings,
    /// Where it stands.
    pub state: State,
    /// When it was started; machines first seen later come last. In the future for a rollout that is planned.
    pub started_at: Time,
    /// How long it had been running before `running_since`: time while paused or stopped does not count.
    #[serde(default)]
    pub carried: Span,
    /// Since when it has been running without a break; `None` unless the state is [`State::Running`].
    pub running_since: Option<Time>,
    /// The running time at which enough canaries had completed; the soak begins there.
    #[serde(default)]
    pub canaries_held: Option<Span>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// It spreads.
    Running,
    /// A person holds it.
    Paused {
        /// Who.
        by: String,
        /// Why.
        why: String,
        /// Since when.
        at: Time,
    },
    /// The brake stopped it; only a person lets it go on.
    Stopped {
        /// Why.
        why: Stop,
        /// Since when.
        at: Time,
    },
    /// Everybody has it who was there when it began; newcomers still get it.
    Done {
        /// Since when.
        at: Time,
    },
}

/// What a person asks of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Offer nothing until told otherwise.
    Pause {
        /// Who asks.
        by: String,
        /// Why.
        why: String,
    },
    /// Go on where it stood; also releases the brake, which then judges from the counts as they are then: it counts from zero again.
    Resume,
}

/// A request that makes no sense in the state the rollout is in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It is running already.
    #[error("the rollout is not held, there is nothing to resume")]
    NotHeld,
    /// It is over.
    #[error("the rollout is done; to stop handing the release out, block the release")]
    Done,
}

/// What changed by itself: the storage writes the rollout back and notes this in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Enough canaries completed; the soak begins.
    CanariesHeld,
    /// The brake stopped it.
    Stopped(Stop),
    /// Everybody has it.
    Done,
}

impl Rollout {
    /// Applies what a person asks. Takes effect at the next decision.
    ///
    /// # Errors
    /// When the request makes no sense in the present state.
    pub fn control(&mut self, _control: Control, _counts: &Counts, _now: Time) -> Result<(), ControlError> {
        Ok(())
    }

    /// What happens by itself: to be called in the transaction of every change of the counts, and once a minute.
    pub fn advance(&mut self, _counts: &Counts, _now: Time) -> Option<Change> {
        None
    }
}
