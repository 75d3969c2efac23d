//! Events on their way to the server.
//!
//! Each is on disk before it is sent and stays there until the server has it. Before the first attempt it is marked as possibly sent, so
//! that one that is sent again after a crash says so.

use super::schedule::backoff;
use super::{Effect, Machine, Now};
use crate::daemon::host::Failure;

impl Machine {
    /// Sends the oldest event if none is on its way.
    pub(super) fn pump_outbox(&mut self, effects: &mut Vec<Effect>, now: Now) {
        if self.sending.is_some() || self.send_after > now.mono || !self.has_server() {
            return;
        }
        let Some(event) = self.persisted.outbox.first_mut() else { return };
        let copy = event.clone();
        self.sending = Some(event.number);
        if !event.repeated {
            event.repeated = true;
            effects.push(Effect::Persist);
        }
        effects.push(Effect::Report(copy));
    }

    pub(super) fn reported(&mut self, number: u64, result: Result<(), Failure>, now: Now) -> Vec<Effect> {
        if self.sending != Some(number) {
            return Vec::new();
        }
        self.sending = None;
        if result.is_err() {
            self.send_failures = self.send_failures.saturating_add(1);
            let wait = backoff(self.send_failures, self.interval());
            self.send_after = now.mono + self.jitter.around(wait, wait / 4);
            return Vec::new();
        }
        self.send_failures = 0;
        self.persisted.outbox.retain(|event| event.number != number);
        vec![Effect::Persist]
    }
}
