//! Taking turns: with a strategy that says so, the machine asks `cluster-agent` before it reboots, as the last thing.
//!
//! What was asked for is given up when the reboot is not to happen after all: a window closed, somebody cancelled. A turn that was granted is
//! never kept for later.

use std::time::Duration;

use super::persisted::shortened;
use super::{Effect, Machine, Now, State, TransitionError, Wait, Work};
use crate::config::Strategy;
use crate::daemon::host::TurnAnswer;
use crate::history::{Entry, What};

/// Wait before a turn that was refused is asked for again, the first time; doubled with each further refusal.
pub(super) const RETRY_FIRST: Duration = Duration::from_secs(5);
/// Longest such wait: short beside the reboot of the machine before, so that a cluster is not idle for long between two turns.
pub(super) const RETRY_MAX: Duration = Duration::from_secs(2 * 60);
/// How often it is looked, while the question is under way, whether the reboot is still wanted.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The turn that is wanted, if one is.
#[derive(Debug, Default)]
pub(super) struct Turn {
    /// `cluster-agent` was asked, and may think that we want to reboot.
    wanted: bool,
    /// The answer has not come yet.
    asking: bool,
    /// Refusals in a row.
    refusals: u32,
    /// What the history was told last.
    told: Option<String>,
    /// A person asked for the reboot: nothing but the turn is waited for.
    pub(super) insisted: bool,
}

impl Turn {
    /// The reboot begins; that the turn was asked for stays known, so that it can be given up.
    pub(super) fn begin(&mut self) {
        *self = Self { wanted: self.wanted, ..Self::default() };
    }
}

/// The wait after that many refusals in a row.
pub(super) fn retry_after(refusals: u32) -> Duration {
    RETRY_FIRST.saturating_mul(2_u32.saturating_pow(refusals.saturating_sub(1).min(31))).min(RETRY_MAX)
}

impl Machine {
    /// Nothing on this machine is in the way: reboots, or asks for a turn first.
    pub(super) fn go(&mut self, now: Now) -> Vec<Effect> {
        if !self.settings.reboot.strategy.takes_turns() {
            return self.begin_reboot(now);
        }
        self.wake = Some(now.mono + LOOK_EVERY);
        if self.turn.asking {
            return Vec::new();
        }
        (self.turn.wanted, self.turn.asking) = (true, true);
        if !matches!(self.state, State::WaitingForReboot { wait: Wait::Turn { .. }, .. }) {
            self.wait_for(Wait::Turn { reason: "cluster-agent is being asked".to_owned(), again: None });
        }
        let version = match &self.state {
            State::WaitingForReboot { trial, .. } => trial.version.clone(),
            _ => None,
        };
        vec![Effect::Work(Work::TakeTurn(version))]
    }

    /// The reboot is not to happen now: whoever asked for a turn says so.
    pub(super) fn give_up_turn(&mut self) -> Vec<Effect> {
        let turn = std::mem::take(&mut self.turn);
        match (turn.wanted, turn.asking) {
            (true, true) => vec![Effect::CancelWork, Effect::GiveUpTurn],
            (true, false) => vec![Effect::GiveUpTurn],
            (false, _) => Vec::new(),
        }
    }

    pub(super) fn turn_answered(&mut self, answer: TurnAnswer, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::WaitingForReboot { trial, .. } = &self.state else { return Err(self.state.unexpected("turn")) };
        if !self.turn.asking {
            return Err(self.state.unexpected("turn"));
        }
        let version = trial.version.clone();
        self.turn.asking = false;
        let reason = match answer {
            // Windows may have closed meanwhile; those who are logged in were waited for before the question.
            TurnAnswer::Granted if self.obstacle(now).is_some() => return Ok(self.decide_reboot(now)),
            TurnAnswer::Granted => return Ok(self.begin_reboot(now)),
            TurnAnswer::NoAgent(_) if self.settings.reboot.strategy == Strategy::BestEffort => return Ok(self.begin_reboot(now)),
            TurnAnswer::Refused(reason) | TurnAnswer::NoAgent(reason) | TurnAnswer::NoAnswer(reason) => shortened(&reason),
        };
        self.turn.refusals = self.turn.refusals.saturating_add(1);
        let wait = retry_after(self.turn.refusals);
        // Never sooner than it says, and not all machines at the same moment.
        let wait = wait + self.jitter.around(wait / 8, wait / 8);
        self.wake = Some(now.mono + wait);
        self.wait_for(Wait::Turn { reason: reason.clone(), again: now.after(wait) });
        if self.turn.told.as_ref() == Some(&reason) {
            return Ok(Vec::new());
        }
        self.turn.told = Some(reason.clone());
        let text = format!("for a turn to reboot: {reason}");
        Ok(vec![Effect::Log(Entry { at: now.wall, what: What::Waiting, version, text })])
    }
}
