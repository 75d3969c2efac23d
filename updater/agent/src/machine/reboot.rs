//! When to reboot into a trial.

use std::time::Duration;

use super::persisted::shortened;
use super::window::Opening;
use super::{Effect, Machine, Now, State, TransitionError, Wait, Work};
use crate::config::Strategy;
use crate::daemon::host::Failure;
use crate::history::{Entry, What};

/// While a reboot waits for something on the wall clock it is looked at again this often: the clock may be set.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(10 * 60);
/// How often it is looked whether people are still logged in.
pub(super) const USERS_EVERY: Duration = Duration::from_secs(60);
/// Wait before a reboot that was refused is asked for again.
pub(super) const REBOOT_RETRY: Duration = Duration::from_secs(60);
/// A reboot that was granted but did not happen is asked for again after this: longer than a slow orderly shutdown.
pub(super) const REBOOT_OVERDUE: Duration = Duration::from_secs(15 * 60);

impl Machine {
    /// What keeps the reboot from happening now, and after what time that is looked at again. People who are logged in, and the turns
    /// that machines take, come after it.
    pub(super) fn obstacle(&self, now: Now) -> Option<(Wait, Option<Duration>)> {
        if self.turn.insisted {
            return None;
        }
        let plan = &self.settings.reboot;
        match plan.strategy {
            Strategy::Immediate => return None,
            Strategy::Off => return Some((Wait::Operator, None)),
            // Windows are for these where there are any.
            Strategy::EtcdLock | Strategy::FleetLock | Strategy::BestEffort if plan.windows.list.is_empty() => return None,
            Strategy::Window | Strategy::EtcdLock | Strategy::FleetLock | Strategy::BestEffort => {}
        }
        match plan.windows.at(now.wall) {
            Opening::Open { .. } => None,
            Opening::Never => Some((Wait::NoWindow, None)),
            Opening::Closed { opens } => {
                let left = Duration::try_from(opens.duration_since(now.wall)).unwrap_or_default();
                Some((Wait::Window { opens }, Some(left.min(LOOK_AGAIN))))
            }
        }
    }

    /// Looks whether the reboot may happen now, and what it waits for otherwise.
    pub(super) fn decide_reboot(&mut self, now: Now) -> Vec<Effect> {
        let wait_for_users = self.settings.reboot.wait_for_users;
        match self.obstacle(now) {
            Some((wait, again)) => {
                self.users_until = None;
                self.wake = again.map(|after| now.mono + after);
                self.wait_for(wait);
                self.give_up_turn()
            }
            None if wait_for_users.is_zero() || self.turn.insisted => self.go(now),
            None => {
                let until = *self.users_until.get_or_insert(now.mono + wait_for_users);
                if until <= now.mono {
                    return self.go(now);
                }
                // Should no answer come, the question is repeated, and the end of the waiting comes in any case.
                self.wake = Some(until.min(now.mono + USERS_EVERY));
                vec![Effect::AskUsers]
            }
        }
    }

    pub(super) fn users(&mut self, names: Vec<String>, now: Now) -> Vec<Effect> {
        let (State::WaitingForReboot { wait, trial }, Some(until)) = (&self.state, self.users_until) else { return Vec::new() };
        if names.is_empty() {
            return self.go(now);
        }
        let left = until.saturating_sub(now.mono);
        let first = !matches!(wait, Wait::Users { .. });
        let last = left <= USERS_EVERY;
        let version = trial.version.as_ref().map(|version| format!(" into version {version}")).unwrap_or_default();
        let until = now.after(left).unwrap_or(now.wall);
        self.wait_for(Wait::Users { names, until });
        self.wake = Some(now.mono + left.min(USERS_EVERY));
        if first || last {
            let text = format!("This machine reboots{version} in {} s. `updater cancel` prevents it.", left.as_secs());
            return vec![Effect::WarnUsers(text)];
        }
        Vec::new()
    }

    pub(super) fn begin_reboot(&mut self, now: Now) -> Vec<Effect> {
        let trial = match &self.state {
            State::WaitingForReboot { trial, .. } => Some(trial.clone()),
            State::Rebooting { trial } => trial.clone(),
            _ => None,
        };
        let version = trial.as_ref().and_then(|trial| trial.version.clone());
        self.users_until = None;
        self.wake = None;
        // Should the reboot not happen, it is decided anew, and the turn is asked for again: `cluster-agent` gives the same answer twice.
        self.turn.begin();
        self.state = State::Rebooting { trial };
        let entry = Entry { at: now.wall, what: What::Rebooting, version, text: String::new() };
        vec![Effect::Log(entry), Effect::Work(Work::Reboot)]
    }

    pub(super) fn rebooting(&mut self, result: Result<(), Failure>, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::Rebooting { .. } = &self.state else { return Err(self.state.unexpected("rebooting")) };
        self.wake = Some(now.mono + if result.is_ok() { REBOOT_OVERDUE } else { REBOOT_RETRY });
        if let Err(failure) = result {
            self.count_failure(failure.kind.name());
            self.persisted.last_error = Some(shortened(&format!("the reboot failed: {failure}")));
        }
        Ok(Vec::new())
    }

    pub(super) fn reboot_again(&mut self, now: Now) -> Vec<Effect> {
        let State::Rebooting { trial } = self.state.clone() else { return Vec::new() };
        match trial {
            // The conditions may have changed: the window may have closed, somebody may have logged in.
            Some(trial) => {
                self.state = State::WaitingForReboot { trial, wait: Wait::Deciding };
                self.decide_reboot(now)
            }
            None => vec![Effect::Work(Work::Reboot)],
        }
    }

    pub(super) fn wait_for(&mut self, what: Wait) {
        if let State::WaitingForReboot { wait, .. } = &mut self.state {
            *wait = what;
        }
    }
}
