//! What an operator can ask for.

use jiff::Timestamp;
use payload::Version;

use super::persisted::{Phase, Trial};
use super::{Effect, Machine, Now, Outcome, Purpose, State, TransitionError, Work};
use crate::daemon::host::Failure;
use crate::history::{Entry, What};

impl Machine {
    /// Number of the last thing an operator asked for; its end shows in [`super::Status::outcome`].
    #[must_use]
    pub fn operation(&self) -> u64 {
        self.operation
    }

    pub(super) fn check_on_demand(&mut self, now: Now) -> Result<Vec<Effect>, TransitionError> {
        self.ask("check", false, None, now)
    }

    pub(super) fn apply(&mut self, despite_quarantine: Option<Version>, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let entry = despite_quarantine.clone().map(|version| {
            let text = "apply despite quarantine".to_owned();
            Effect::Log(Entry { at: now.wall, what: What::Operator, version: Some(version), text })
        });
        let mut effects = self.ask("apply", true, despite_quarantine, now)?;
        effects.extend(entry);
        Ok(effects)
    }

    fn ask(
        &mut self,
        input: &'static str,
        install: bool,
        despite_quarantine: Option<Version>,
        now: Now,
    ) -> Result<Vec<Effect>, TransitionError> {
        if !self.has_server() {
            let why = "no update server is configured; set `server` in /etc/slipway/updater.toml".to_owned();
            return Err(TransitionError::Refused { why });
        }
        let operation = self.operation + 1;
        match &mut self.state {
            // A look at the metadata is dropped: the check leads to another one.
            State::Idle | State::RolledBack { .. } | State::Refreshing => {
                self.operation = operation;
                Ok(self.begin_check(Purpose { operation: Some(operation), install, despite_quarantine }, now))
            }
            // One is under way: let it serve the operator too.
            State::Checking(purpose) | State::Verifying { purpose, .. } => {
                self.operation = operation;
                purpose.operation = Some(operation);
                purpose.install |= install;
                purpose.despite_quarantine = despite_quarantine.or(purpose.despite_quarantine.take());
                Ok(Vec::new())
            }
            State::Fetching { .. } if despite_quarantine.is_none() => {
                self.operation = operation;
                Ok(Vec::new())
            }
            other => Err(other.busy(input)),
        }
    }

    pub(super) fn reboot_on_demand(&mut self, at_once: bool, now: Now) -> Result<Vec<Effect>, TransitionError> {
        match &self.state {
            State::WaitingForReboot { .. } if at_once => Ok(self.begin_reboot(now)),
            State::WaitingForReboot { .. } => {
                self.turn.insisted = true;
                Ok(self.decide_reboot(now))
            }
            state if state.is_resting() => {
                let why = "nothing is staged; to reboot all the same use `systemctl reboot`".to_owned();
                Err(TransitionError::Refused { why })
            }
            state => Err(state.busy("reboot")),
        }
    }

    pub(super) fn roll_back(&mut self, _now: Now) -> Result<Vec<Effect>, TransitionError> {
        if !self.state.is_resting() {
            return Err(self.state.busy("roll back"));
        }
        if self.persisted.committed != Some(self.booted.slot) {
            let why = "the running slot is not the default of the boot loader; any reboot leads to the other one".to_owned();
            return Err(TransitionError::Refused { why });
        }
        self.operation += 1;
        self.next_check = None;
        self.state = State::Probing;
        Ok(vec![Effect::Work(Work::Probe(self.booted.slot.other()))])
    }

    pub(super) fn probed(&mut self, result: Result<bool, Failure>, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::Probing = &self.state else { return Err(self.state.unexpected("probed")) };
        let slot = self.booted.slot.other();
        let refusal = match result {
            Ok(true) => None,
            Ok(false) => Some(format!("slot {slot} holds nothing that could be booted")),
            Err(failure) => Some(format!("slot {slot} could not be looked at: {failure}")),
        };
        if let Some(text) = refusal {
            self.state = State::Idle;
            self.finish(Outcome::Failed(text));
            self.plan_next_check(now);
            return Ok(Vec::new());
        }
        let version = self.persisted.content(slot).cloned();
        let flipped_at = self.reliable_boot_count();
        let trial =
            Trial { slot, version: version.clone(), previous: self.booted.version.clone(), rollback_index: 0, rollback: true, flipped_at };
        self.persisted.phase = Phase::Flipped { trial: trial.clone(), boot_id: self.booted.boot_id.clone(), confirmed: false };
        self.state = State::Staged(trial);
        let text = format!("roll back to slot {slot}");
        let entry = Entry { at: now.wall, what: What::Operator, version, text };
        Ok(vec![Effect::Persist, Effect::Log(entry), Effect::Work(Work::Flip(slot))])
    }

    pub(super) fn cancel(&mut self, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let mut effects = vec![Effect::CancelWork];
        match &self.state {
            State::Checking(_) | State::Refreshing | State::Verifying { .. } | State::Probing => self.state = State::Idle,
            State::Fetching { release, .. } => {
                effects.push(Effect::Log(cancelled(now.wall, Some(release.release.version.clone()))));
                self.persisted.phase = Phase::Idle;
                self.state = State::Idle;
                effects.push(Effect::Persist);
            }
            State::WaitingForReboot { trial, .. } => {
                effects.push(Effect::Log(cancelled(now.wall, trial.version.clone())));
                let slot = trial.slot;
                self.wake = None;
                self.users_until = None;
                effects.extend(self.give_up_turn().into_iter().filter(|effect| *effect != Effect::CancelWork));
                effects.extend(self.begin_discard(slot, None));
            }
            state if state.is_resting() => {
                return Err(TransitionError::Refused { why: "there is nothing to cancel".to_owned() });
            }
            state => return Err(state.busy("cancel")),
        }
        self.finish(Outcome::Cancelled);
        self.checked_before = true;
        self.plan_next_check(now);
        Ok(effects)
    }
}

fn cancelled(at: Timestamp, version: Option<Version>) -> Entry {
    Entry { at, what: What::Discarded, version, text: "cancelled by an operator".to_owned() }
}
