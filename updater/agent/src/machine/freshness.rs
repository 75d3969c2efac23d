//! Looking at the release metadata although nothing is offered.
//!
//! A server that is in the wrong hands cannot make a release, but it can say "nothing new" for ever. Signed metadata has a date, and it is
//! renewed all the time; so a machine that looks at it on a timer of its own notices within days that it is being kept from updates,
//! and says so in its status, its metrics and its journal. Only the agent's own files are written.

use std::time::Duration;

use jiff::Timestamp;

use super::persisted::shortened;
use super::{Effect, Machine, Now, State, TransitionError, Work};
use crate::daemon::host::Refusal;
use crate::history::{Entry, What};

/// After a look that could not be made, the next one comes after this part of the interval.
const RETRY_PART: u32 = 8;

impl Machine {
    /// Plans the next look: an interval after the last one, which may have been before a reboot.
    pub(super) fn plan_refresh(&mut self, now: Now) {
        let interval = self.settings.check.metadata;
        let age = self.persisted.metadata_checked.and_then(|at| Duration::try_from(now.wall.duration_since(at)).ok());
        // A clock that was set back, or metadata that was never seen: soon, but after the first check.
        let soon = (self.settings.check.first * 2).min(interval);
        let left = age.map_or(soon, |age| interval.saturating_sub(age)).max(soon);
        self.plan_refresh_in(left, now);
    }

    fn plan_refresh_in(&mut self, delay: Duration, now: Now) {
        let delay = self.jitter.around(delay, delay / RETRY_PART);
        self.next_refresh = (self.settings.enabled && self.has_server()).then_some(now.mono + delay);
    }

    pub(super) fn refresh_is_due(&self, now: Now) -> bool {
        self.next_refresh.is_some_and(|at| at <= now.mono)
    }

    pub(super) fn begin_refresh(&mut self) -> Vec<Effect> {
        self.next_refresh = None;
        self.state = State::Refreshing;
        vec![Effect::Work(Work::Refresh)]
    }

    pub(super) fn refreshed(&mut self, result: Result<Option<Timestamp>, Refusal>, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let State::Refreshing = &self.state else { return Err(self.state.unexpected("refreshed")) };
        self.state = State::Idle;
        if self.next_check.is_none() {
            self.plan_next_check(now);
        }
        match result {
            Ok(expires) => {
                self.metadata_is_good(expires, now);
                Ok(vec![Effect::Persist])
            }
            Err(refusal) => {
                self.plan_refresh_in(self.settings.check.metadata / RETRY_PART, now);
                if !refusal.kind.is_transient() {
                    return Ok(self.metadata_alarm(refusal.to_string(), now));
                }
                self.count_failure("verify");
                match self.persisted.metadata_expires.filter(|at| *at <= now.wall) {
                    Some(at) => Ok(self.metadata_alarm(format!("expired at {at}, and newer metadata could not be had"), now)),
                    None => Ok(Vec::new()),
                }
            }
        }
    }

    /// The chain was verified, here or for an offer.
    pub(super) fn metadata_is_good(&mut self, expires: Option<Timestamp>, now: Now) {
        self.persisted.metadata_expires = expires.or(self.persisted.metadata_expires);
        self.persisted.metadata_checked = Some(now.wall);
        self.persisted.metadata_error = None;
        self.plan_refresh(now);
    }

    /// Tells it once for each reason.
    fn metadata_alarm(&mut self, reason: String, now: Now) -> Vec<Effect> {
        self.count_failure("metadata");
        let text = shortened(&format!("the release metadata is not to be trusted, and new releases may be withheld: {reason}"));
        if self.persisted.metadata_error.as_deref() == Some(&text) {
            return Vec::new();
        }
        self.persisted.metadata_error = Some(text.clone());
        let entry = Entry { at: now.wall, what: What::Alarm, version: None, text };
        vec![Effect::Persist, Effect::Log(entry)]
    }
}
