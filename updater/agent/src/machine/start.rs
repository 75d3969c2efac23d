//! From whatever a reboot or a crash left behind back to work.

use super::judge::ATTEMPTS_MAX;
use super::persisted::{Phase, Trial};
use super::schedule::RESUME_AFTER;
use super::{Effect, Input, Machine, Now, State, TransitionError, Wait, Work};
use crate::daemon::host::Slot;
use crate::history::{Entry, What};

/// Boots of one trial before the machine stops rebooting by itself. The second one happens only when somebody chose the slot in the boot
/// menu or a commit was interrupted; a machine that keeps coming back must not reboot for ever.
pub(super) const TRIAL_BOOTS_MAX: u32 = 3;

/// Cause of a rollback nobody could tell about.
const SILENCE: &str = "no word from the trial boot: it did not get as far as the health gate, or the boot loader went back";
/// Cause when the power was lost between asking for the flip and knowing that it worked.
const UNCLEAR: &str = "power was lost while the next boot was being directed to the slot, and nothing tells whether it was booted";
/// Cause of a failed attempt when it is certain that the slot was not booted.
const NOT_TRIED: &str = "power was lost before the next boot could be directed to its slot; it was not tried";

impl Machine {
    pub(super) fn start(&mut self, now: Now) -> Result<Vec<Effect>, TransitionError> {
        if self.state != State::Starting {
            return Err(self.state.unexpected(Input::Start.label()));
        }
        self.state = State::Idle;
        self.plan_next_check(now);
        self.plan_refresh(now);
        let slot = self.booted.slot;
        let noted = self.note_boot_count();
        let mut effects = match self.persisted.phase.clone() {
            Phase::Idle => self.start_at_rest(now),
            Phase::Writing { slot: written, .. } => {
                self.persisted.set_content(written, None);
                self.persisted.phase = Phase::Idle;
                self.plan_check_in(RESUME_AFTER.min(self.settings.check.first), now);
                self.start_at_rest(now)
            }
            Phase::Flipped { trial, boot_id, confirmed } if boot_id == self.booted.boot_id => {
                self.start_before_reboot(trial, confirmed, now)
            }
            Phase::Flipped { trial, .. } if trial.slot == slot => self.begin_trial(trial, 1, now),
            Phase::Flipped { trial, confirmed: false, .. } if self.was_not_tried(&trial) => self.flip_again(trial, now),
            Phase::Flipped { trial, confirmed, .. } => self.went_back(trial, if confirmed { SILENCE } else { UNCLEAR }.to_owned(), now),
            Phase::Trial { trial, boot_id, boots, health } if trial.slot == slot => {
                let boots = if boot_id == self.booted.boot_id { boots } else { boots.saturating_add(1) };
                match health.filter(|report| !report.passed) {
                    Some(report) => self.leave(trial, boots, report, now),
                    None if boots > TRIAL_BOOTS_MAX => {
                        let cause = format!("the slot was booted {boots} times without a result of the health gate");
                        self.leave(trial, boots, failed_gate(cause), now)
                    }
                    None => self.begin_trial(trial, boots, now),
                }
            }
            Phase::Trial { trial, health, .. } => {
                let cause = health.and_then(|report| report.cause).unwrap_or_else(|| SILENCE.to_owned());
                self.went_back(trial, cause, now)
            }
            Phase::Committing { trial } if trial.slot == slot => self.begin_commit(Some(trial)),
            Phase::Committing { trial } => self.commit_was_lost(trial, now),
            Phase::Discarding { trial: Some(trial), boot_id, .. } if boot_id != self.booted.boot_id => {
                if trial.slot == slot {
                    self.begin_trial(trial, 1, now)
                } else if self.was_not_tried(&trial) {
                    self.begin_discard(trial.slot, None)
                } else {
                    self.went_back(trial, UNCLEAR.to_owned(), now)
                }
            }
            Phase::Discarding { slot: unwanted, .. } if unwanted != slot => self.begin_discard(unwanted, None),
            Phase::Discarding { .. } => {
                self.persisted.phase = Phase::Idle;
                self.start_at_rest(now)
            }
        };
        // Last: nothing that follows from the phase depends on it.
        effects.extend(noted.filter(|_| !effects.contains(&Effect::Persist)));
        Ok(effects)
    }

    fn start_at_rest(&mut self, now: Now) -> Vec<Effect> {
        let slot = self.booted.slot;
        if self.persisted.committed == Some(slot) {
            return Vec::new();
        }
        let version = self.booted.version.clone();
        let staged_here = self.persisted.content(slot) == Some(&version);
        let never_committed = self.persisted.floor.as_ref().is_some_and(|floor| *floor < version);
        if self.persisted.committed.is_some() && staged_here && never_committed {
            // A flip that was taken back, or thought to have failed, happened after all: it is a trial like any other.
            let previous =
                self.persisted.content(slot.other()).or(self.persisted.floor.as_ref()).cloned().unwrap_or_else(|| version.clone());
            let trial = Trial { slot, version: Some(version), previous, rollback_index: 0, rollback: false, flipped_at: None };
            return self.begin_trial(trial, 1, now);
        }
        // Nothing is known against this slot, and it must be the default before the other one may be written.
        self.begin_commit(None)
    }

    fn start_before_reboot(&mut self, trial: Trial, confirmed: bool, now: Now) -> Vec<Effect> {
        if trial.slot == self.booted.slot {
            self.persisted.phase = Phase::Idle;
            return self.start_at_rest(now);
        }
        if confirmed {
            self.state = State::WaitingForReboot { trial, wait: Wait::Deciding };
            return self.decide_reboot(now);
        }
        let slot = trial.slot;
        self.state = State::Staged(trial);
        vec![Effect::Work(Work::Flip(slot))]
    }

    /// The slot is complete, and nobody booted it: the flip is made again. That it failed counts, so that a machine which dies of the flip
    /// itself does not do so for ever.
    fn flip_again(&mut self, trial: Trial, now: Now) -> Vec<Effect> {
        if let Some(version) = trial.version.as_ref().filter(|_| !trial.rollback) {
            self.persisted.fail_attempt(version, NOT_TRIED, now.wall);
            let failures = self.persisted.attempts.as_ref().map_or(0, |attempts| attempts.failures);
            if failures >= ATTEMPTS_MAX {
                return self.begin_discard(trial.slot, None);
            }
        }
        let trial = Trial { flipped_at: self.reliable_boot_count(), ..trial };
        let entry = Entry { at: now.wall, what: What::Failed, version: trial.version.clone(), text: NOT_TRIED.to_owned() };
        self.persisted.phase = Phase::Flipped { trial: trial.clone(), boot_id: self.booted.boot_id.clone(), confirmed: false };
        let slot = trial.slot;
        self.state = State::Staged(trial);
        vec![Effect::Persist, Effect::Log(entry), Effect::Work(Work::Flip(slot))]
    }

    /// The trial's slot is not the one that runs: the machine went back.
    fn went_back(&mut self, trial: Trial, cause: String, now: Now) -> Vec<Effect> {
        if let Some(version) = &trial.version {
            self.persisted.put_into_quarantine(version.clone(), &cause, now.wall);
        }
        self.persisted.trial_passed = Some(false);
        self.count_failure("trial");
        let mut event = self.event(3, 0, trial.version.as_ref());
        event.error_code = Some(ROLLBACK_DETECTED);
        event.cause = Some(cause.clone());
        event.previous_version = Some(trial.previous.clone());
        self.persisted.post(event);
        self.persisted.attempts = None;
        let name =
            trial.version.as_ref().map_or_else(|| format!("the release in slot {}", trial.slot), |version| format!("version {version}"));
        self.persisted.last_error = Some(super::persisted::shortened(&format!("{name} failed its trial: {cause}")));
        let log = Effect::Log(Entry { at: now.wall, what: What::RolledBack, version: trial.version.clone(), text: cause.clone() });
        let mut effects = self.begin_discard(trial.slot, Some((trial.version, cause)));
        effects.insert(1, log);
        effects
    }

    /// Passed its trial, but the power was lost before it became the default: not the release's fault.
    fn commit_was_lost(&mut self, trial: Trial, now: Now) -> Vec<Effect> {
        if let Some(version) = trial.version.as_ref().filter(|_| !trial.rollback) {
            self.persisted.fail_attempt(version, "power was lost while its slot was becoming the default", now.wall);
        }
        let failures = self.persisted.attempts.as_ref().map_or(0, |attempts| attempts.failures);
        self.persisted.phase = Phase::Idle;
        if failures < ATTEMPTS_MAX {
            self.plan_check_in(RESUME_AFTER.min(self.settings.check.first), now);
        }
        let mut effects = vec![Effect::Persist];
        effects.extend(self.start_at_rest(now));
        effects
    }

    /// Makes the passive `slot` unbootable and forgets what it held.
    pub(super) fn begin_discard(&mut self, slot: Slot, rolled_back: Option<(Option<payload::Version>, String)>) -> Vec<Effect> {
        let this_boot = self.booted.boot_id.clone();
        let trial = match &self.persisted.phase {
            Phase::Flipped { trial, boot_id, .. } if *boot_id == this_boot => Some(trial.clone()),
            Phase::Discarding { trial, boot_id, .. } if *boot_id == this_boot => trial.clone(),
            _ => None,
        };
        self.persisted.phase = Phase::Discarding { slot, trial, boot_id: this_boot };
        self.persisted.set_content(slot, None);
        self.state = State::Discarding { slot, rolled_back };
        vec![Effect::Persist, Effect::Work(Work::Discard(slot))]
    }
}

/// Omaha error code "rollback detected".
pub(super) const ROLLBACK_DETECTED: i64 = 44;

/// A gate that never spoke.
pub(super) fn failed_gate(cause: String) -> crate::daemon::host::HealthReport {
    crate::daemon::host::HealthReport { passed: false, cause: Some(cause), checks: Vec::new() }
}
