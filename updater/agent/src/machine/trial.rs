//! The boot in which a slot must prove itself, and what follows from it.

use std::time::Duration;

use super::persisted::{Phase, Trial, shortened};
use super::start::{TRIAL_BOOTS_MAX, failed_gate};
use super::{Effect, Machine, Now, State, TransitionError, Work};
use crate::daemon::host::{Failure, HealthReport};
use crate::history::{Entry, What};

/// How long after its own deadline the health gate is given up.
pub(super) const HEALTH_GRACE: Duration = Duration::from_secs(60);
/// Attempts to make a slot the default; firmware that refuses this often will not change its mind.
pub(super) const COMMIT_TRIES: u32 = 5;
/// Wait between two of them.
pub(super) const COMMIT_RETRY: Duration = Duration::from_secs(30);

impl Machine {
    pub(super) fn begin_trial(&mut self, trial: Trial, boots: u32, now: Now) -> Vec<Effect> {
        self.persisted.phase = Phase::Trial { trial: trial.clone(), boot_id: self.booted.boot_id.clone(), boots, health: None };
        self.wake = Some(now.mono + self.settings.health.deadline + HEALTH_GRACE);
        let text = format!("slot {}, before: {}", trial.slot, trial.previous);
        let entry = Entry { at: now.wall, what: What::Trial, version: trial.version.clone(), text };
        self.state = State::Trial(trial);
        vec![Effect::Persist, Effect::Log(entry), Effect::Work(Work::Health)]
    }

    pub(super) fn health_known(&mut self, report: HealthReport, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::Trial(trial) = &self.state else { return Err(self.state.unexpected("healthy")) };
        let trial = trial.clone();
        self.wake = None;
        if report.passed {
            return Ok(self.begin_commit(Some(trial)));
        }
        let boots = match &self.persisted.phase {
            Phase::Trial { boots, .. } => *boots,
            _ => 1,
        };
        Ok(self.leave(trial, boots, report, now))
    }

    /// The gate did not even fail in time.
    pub(super) fn health_silent(&mut self, now: Now) -> Vec<Effect> {
        let cause = format!("the health gate gave no result within {} s", (self.settings.health.deadline + HEALTH_GRACE).as_secs());
        self.health_known(failed_gate(cause), now).unwrap_or_default()
    }

    /// Back to the slot before.
    pub(super) fn leave(&mut self, trial: Trial, boots: u32, report: HealthReport, now: Now) -> Vec<Effect> {
        let cause = report.cause.clone().unwrap_or_else(|| "the health gate failed without saying why".to_owned());
        if let Some(version) = &trial.version {
            self.persisted.put_into_quarantine(version.clone(), &cause, now.wall);
        }
        self.persisted.trial_passed = Some(false);
        self.count_failure("trial");
        self.persisted.last_error = Some(shortened(&format!("the trial failed: {cause}")));
        if boots > TRIAL_BOOTS_MAX {
            // Going back did not work three times. A machine that runs is better than one that reboots for ever.
            let text =
                format!("the trial failed ({cause}), and {boots} boots did not lead back to slot {}; staying here", trial.slot.other());
            self.persisted.last_error = Some(shortened(&text));
            self.persisted.phase = Phase::Trial { trial: trial.clone(), boot_id: self.booted.boot_id.clone(), boots, health: Some(report) };
            self.state = State::RolledBack { version: trial.version, cause };
            return vec![Effect::Persist];
        }
        self.persisted.phase = Phase::Trial { trial: trial.clone(), boot_id: self.booted.boot_id.clone(), boots, health: Some(report) };
        let entry = Entry { at: now.wall, what: What::Failed, version: trial.version.clone(), text: cause.clone() };
        let good = trial.slot.other();
        self.state = State::Leaving { trial, cause };
        vec![Effect::Persist, Effect::Log(entry), Effect::Work(Work::RestoreDefault(good))]
    }

    pub(super) fn default_restored(&mut self, result: Result<(), Failure>, _now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::Leaving { .. } = &self.state else { return Err(self.state.unexpected("default-restored")) };
        if let Err(failure) = result {
            // The flip was for one boot only; the reboot most likely leads back all the same.
            self.persisted.last_error = Some(shortened(&failure.text));
        }
        self.state = State::Rebooting { trial: None };
        Ok(vec![Effect::Work(Work::Reboot)])
    }

    /// Makes the running slot the default; without a trial when its history is not known.
    pub(super) fn begin_commit(&mut self, trial: Option<Trial>) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(trial) = &trial {
            self.persisted.phase = Phase::Committing { trial: trial.clone() };
            effects.push(Effect::Persist);
        }
        self.state = State::Committing { trial, failures: 0 };
        effects.push(Effect::Work(Work::Commit(self.booted.slot)));
        effects
    }

    pub(super) fn commit_again(&mut self) -> Vec<Effect> {
        // What could not be written the first time must be written now: a commit that the disk knows nothing of would be a trial again
        // at the next boot.
        let trial = matches!(&self.state, State::Committing { trial: Some(_), .. }).then_some(Effect::Persist);
        trial.into_iter().chain([Effect::Work(Work::Commit(self.booted.slot))]).collect()
    }

    pub(super) fn committed(&mut self, result: Result<(), Failure>, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::Committing { trial, failures } = self.state.clone() else { return Err(self.state.unexpected("committed")) };
        match result {
            Ok(()) => Ok(self.is_default_now(trial, now)),
            Err(failure) if failures + 1 < COMMIT_TRIES => {
                self.persisted.last_error = Some(shortened(&failure.text));
                self.state = State::Committing { trial, failures: failures + 1 };
                self.wake = Some(now.mono + COMMIT_RETRY);
                Ok(Vec::new())
            }
            Err(failure) => match trial {
                Some(trial) => {
                    let boots = TRIAL_BOOTS_MAX;
                    Ok(self.leave(trial, boots, failed_gate(format!("the slot could not be made the default: {failure}")), now))
                }
                None => {
                    self.persisted.last_error = Some(shortened(&format!("the running slot could not be made the default: {failure}")));
                    self.state = State::Idle;
                    self.plan_next_check(now);
                    Ok(vec![Effect::Persist])
                }
            },
        }
    }

    fn is_default_now(&mut self, trial: Option<Trial>, now: Now) -> Vec<Effect> {
        let version = self.booted.version.clone();
        self.persisted.committed = Some(self.booted.slot);
        self.persisted.set_content(self.booted.slot, Some(version.clone()));
        self.persisted.raise_floor(&version);
        self.persisted.phase = Phase::Idle;
        self.persisted.last_error = None;
        self.state = State::Idle;
        let mut text = format!("slot {}", self.booted.slot);
        if let Some(trial) = trial {
            self.persisted.rollback_index = self.persisted.rollback_index.max(trial.rollback_index);
            self.persisted.attempts = None;
            self.persisted.trial_passed = Some(true);
            self.persisted.quarantine.retain(|entry| entry.version != version);
            if trial.rollback && trial.previous != version {
                let cause = format!("an operator went back from it to {version}");
                self.persisted.put_into_quarantine(trial.previous.clone(), &cause, now.wall);
            }
            let mut event = self.event(3, 2, Some(&version));
            event.previous_version = Some(trial.previous.clone());
            self.persisted.post(event);
            text = format!("{text}, before: {}", trial.previous);
        }
        let entry = Entry { at: now.wall, what: What::Committed, version: Some(version), text };
        vec![Effect::Persist, Effect::Log(entry)]
    }
}
