//! A machine whose release waits for a reboot asks for nothing, perhaps for days. So that the server does not take it for lost, it says
//! now and then that it is there.

use super::{Effect, Machine, Now, State};
use crate::daemon::host::Failure;

impl Machine {
    /// Sends a ping when one is due, at the interval of the checks it stands for. The state stays what it is.
    pub(super) fn keep_in_touch(&mut self, effects: &mut Vec<Effect>, now: Now) {
        if !matches!(self.state, State::WaitingForReboot { .. }) || !self.settings.enabled || !self.has_server() {
            self.next_ping = None;
            return;
        }
        if self.next_ping.is_some_and(|at| at > now.mono) {
            return;
        }
        if self.next_ping.is_some() {
            effects.push(Effect::Ping);
        }
        let (interval, jitter) = (self.interval(), self.settings.check.jitter);
        self.next_ping = Some(now.mono + self.jitter.around(interval, jitter));
    }

    /// A ping that was lost is followed by the next one.
    pub(super) fn pinged(&mut self, result: &Result<(), Failure>, now: Now) -> Vec<Effect> {
        if result.is_ok() {
            self.persisted.last_checked = Some(now.wall);
        }
        Vec::new()
    }
}
