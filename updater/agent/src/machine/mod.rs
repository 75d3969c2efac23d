//! The pure state machine: every decision of the updater, without a clock, a disk or a network of its own.
//!
//! [`Machine::step`] takes one [`Input`] and the time and answers with [`Effect`]s in the order in which they must happen. An effect
//! that another one relies on after a power cut is preceded by [`Effect::Persist`]: the intention is on disk before the deed. From
//! any [`Phase`] found on disk, [`Input::Start`] finds the way back to rest.
//!
//! | module | holds |
//! | --- | --- |
//! | [`state`] | [`State`], [`Input`], [`Effect`], [`TransitionError`] |
//! | [`persisted`] | what survives a reboot |
//! | [`judge`] | which release is acceptable here, and why not |
//! | [`window`] | maintenance windows |
//! | [`schedule`] | when to ask: jitter, backoff, the server's wish |
//! | [`status`] | what the outside sees |
//! | `freshness` | looking at the metadata although nothing is offered |
//! | `evidence` | whether a trial boot happened that left nothing behind |
//! | `start`, `update`, `reboot`, `turn`, `trial`, `operator`, `outbox`, `ping` | the transitions |

mod evidence;
mod freshness;
pub mod judge;
mod operator;
mod outbox;
pub mod persisted;
mod ping;
mod reboot;
pub mod schedule;
mod start;
pub mod state;
pub mod status;
#[cfg(test)]
pub(crate) mod test_support;
#[cfg(test)]
mod tests;
mod trial;
mod turn;
mod update;
pub mod window;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use payload::Version;

pub use persisted::{Persisted, Phase, Trial};
pub use state::{Effect, Input, Outcome, Purpose, State, TransitionError, Wait, Work};
pub use status::Status;

use crate::config::Settings;
use crate::daemon::host::{Booted, Event, Identity};
use schedule::Jitter;

/// The time, twice: intervals must not follow a clock that is set, windows must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since the daemon started; never goes back.
    pub mono: Duration,
    /// The clock on the wall.
    pub wall: Timestamp,
}

impl Now {
    /// The time on the wall after `delay`, in whole seconds: people read it.
    fn after(self, delay: Duration) -> Option<Timestamp> {
        self.wall.checked_add(SignedDuration::try_from(delay).ok()?).ok().map(whole_seconds)
    }
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// The updater's mind.
#[derive(Debug)]
pub struct Machine {
    state: State,
    persisted: Persisted,
    booted: Booted,
    settings: Settings,
    /// What is wrong with the configuration files; the settings are then the last good ones.
    settings_error: Option<String>,
    jitter: Jitter,
    /// When the next check is due, on [`Now::mono`]; `None` while none is planned.
    next_check: Option<Duration>,
    /// The same on the wall, for people.
    next_check_wall: Option<Timestamp>,
    /// When the metadata is looked at next, on [`Now::mono`]; `None` while that is not planned.
    next_refresh: Option<Duration>,
    /// When something else than a check has to be looked at again.
    wake: Option<Duration>,
    checked_before: bool,
    check_failures: u32,
    poll_interval: Option<Duration>,
    /// The newest version the server offered, acceptable or not.
    available: Option<Version>,
    /// The server's words when it had nothing.
    server_info: Option<String>,
    /// When `last_checked` was last written to disk.
    checked_on_disk: Option<Timestamp>,
    operation: u64,
    outcome: Option<(u64, Outcome)>,
    /// The refusal that was reported last, so that the same one is not reported at every check.
    reported_refusal: Option<(Version, String)>,
    sending: Option<u64>,
    send_failures: u32,
    send_after: Duration,
    /// Until when people who are logged in may hold back the reboot.
    users_until: Option<Duration>,
    /// The turn to reboot, where machines take turns.
    turn: turn::Turn,
    /// When the server is to hear next that a machine that waits for its reboot is there.
    next_ping: Option<Duration>,
    /// When the server was asked last.
    last_asked: Option<Timestamp>,
    /// Failures since the daemon started, by kind.
    failures: BTreeMap<&'static str, u64>,
}

impl Machine {
    /// A machine in the state a reboot left behind; give it [`Input::Start`] first.
    #[must_use]
    pub fn new(booted: Booted, persisted: Persisted, settings: Settings) -> Self {
        let jitter = Jitter::new(&booted.machine_id, &booted.boot_id);
        Self {
            state: State::Starting,
            checked_on_disk: persisted.last_checked,
            persisted,
            booted,
            settings,
            settings_error: None,
            jitter,
            next_check: None,
            next_check_wall: None,
            next_refresh: None,
            wake: None,
            checked_before: false,
            check_failures: 0,
            poll_interval: None,
            available: None,
            server_info: None,
            operation: 0,
            outcome: None,
            reported_refusal: None,
            sending: None,
            send_failures: 0,
            send_after: Duration::ZERO,
            users_until: None,
            turn: turn::Turn::default(),
            next_ping: None,
            last_asked: None,
            failures: BTreeMap::new(),
        }
    }

    /// The one transition function.
    ///
    /// # Errors
    /// An input the present state has no use for; nothing has changed then.
    pub fn step(&mut self, input: Input, now: Now) -> Result<Vec<Effect>, TransitionError> {
        let now = Now { wall: whole_seconds(now.wall), ..now };
        let mut effects = match input {
            Input::Start => self.start(now)?,
            Input::Tick => self.tick(now),
            Input::Settings(settings) => self.settings_changed(*settings, now),
            Input::SettingsError(text) => self.settings_failed(text, now),
            Input::Check => self.check_on_demand(now)?,
            Input::Apply { despite_quarantine } => self.apply(despite_quarantine, now)?,
            Input::Reboot { now: at_once } => self.reboot_on_demand(at_once, now)?,
            Input::Rollback => self.roll_back(now)?,
            Input::Cancel => self.cancel(now)?,
            Input::Checked(answer) => self.checked(answer, now)?,
            Input::Refreshed(result) => self.refreshed(result, now)?,
            Input::Verified(result) => self.verified(*result, now)?,
            Input::Progress { done, total } => self.progressed(done, total)?,
            Input::Staged(result) => self.staged(result, now)?,
            Input::Flipped(result) => self.flipped(result, now)?,
            Input::Discarded(result) => self.discarded(result, now)?,
            Input::Probed(result) => self.probed(result, now)?,
            Input::Users(names) => self.users(names, now),
            Input::Turn(answer) => self.turn_answered(answer, now)?,
            Input::Rebooting(result) => self.rebooting(result, now)?,
            Input::Healthy(report) => self.health_known(report, now)?,
            Input::Committed(result) => self.committed(result, now)?,
            Input::DefaultRestored(result) => self.default_restored(result, now)?,
            Input::Reported { number, result } => self.reported(number, result, now),
            Input::Pinged(result) => self.pinged(&result, now),
        };
        self.keep_in_touch(&mut effects, now);
        self.pump_outbox(&mut effects, now);
        Ok(effects)
    }

    /// How long nothing will happen by itself; `None` means: until somebody asks.
    #[must_use]
    pub fn sleep(&self, now: Now) -> Option<Duration> {
        let outbox = (self.sending.is_none() && !self.persisted.outbox.is_empty() && self.has_server()).then_some(self.send_after);
        let check = self.next_check.filter(|_| self.state.is_resting());
        let refresh = self.next_refresh.filter(|_| self.state.is_resting());
        [check, refresh, self.wake, outbox, self.next_ping].into_iter().flatten().min().map(|at| at.saturating_sub(now.mono))
    }

    /// What must be on disk when [`Effect::Persist`] is executed.
    #[must_use]
    pub fn persisted(&self) -> &Persisted {
        &self.persisted
    }

    /// Where the machine is.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What runs.
    #[must_use]
    pub fn booted(&self) -> &Booted {
        &self.booted
    }

    /// Who this machine is to the server.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity {
            app_id: self.settings.app_id.clone().unwrap_or_else(|| self.booted.app_id.clone()),
            machine_id: self.booted.machine_id.clone(),
            boot_id: self.booted.boot_id.clone(),
            version: self.booted.version.clone(),
            arch: self.booted.arch.clone(),
            group: self.settings.group.clone(),
        }
    }

    /// Whether no check was made since the machine booted.
    #[must_use]
    pub fn first_check(&self) -> bool {
        !self.checked_before
    }

    /// Whether the settings in force are not those of the files.
    #[must_use]
    pub fn has_configuration_error(&self) -> bool {
        self.settings_error.is_some()
    }

    /// Failures since the daemon started, by kind.
    #[must_use]
    pub fn failures(&self) -> &BTreeMap<&'static str, u64> {
        &self.failures
    }

    /// When the server was asked last since the daemon started.
    #[must_use]
    pub fn last_asked(&self) -> Option<Timestamp> {
        self.last_asked
    }

    fn count_failure(&mut self, kind: &'static str) {
        let count = self.failures.entry(kind).or_default();
        *count = count.saturating_add(1);
    }

    fn has_server(&self) -> bool {
        !self.settings.access.server.is_empty()
    }

    fn tick(&mut self, now: Now) -> Vec<Effect> {
        if self.state.is_resting() {
            return match self.next_check {
                Some(at) if at <= now.mono => self.begin_check(Purpose::default(), now),
                _ if self.refresh_is_due(now) => self.begin_refresh(),
                _ => Vec::new(),
            };
        }
        if self.wake.is_none_or(|at| at > now.mono) {
            return Vec::new();
        }
        self.wake = None;
        match &self.state {
            State::WaitingForReboot { .. } => self.decide_reboot(now),
            State::Rebooting { .. } => self.reboot_again(now),
            State::Trial { .. } => self.health_silent(now),
            State::Committing { .. } => self.commit_again(),
            _ => Vec::new(),
        }
    }

    fn settings_changed(&mut self, settings: Settings, now: Now) -> Vec<Effect> {
        self.settings_error = None;
        if settings == self.settings {
            return Vec::new();
        }
        let check_plan_changed = settings.check != self.settings.check || settings.enabled != self.settings.enabled;
        let had_server = self.has_server();
        self.settings = settings;
        if check_plan_changed || had_server != self.has_server() {
            self.plan_next_check(now);
            self.plan_refresh(now);
        }
        if matches!(self.state, State::WaitingForReboot { .. }) { self.decide_reboot(now) } else { Vec::new() }
    }

    fn settings_failed(&mut self, text: String, _now: Now) -> Vec<Effect> {
        self.settings_error = Some(persisted::shortened(&text));
        Vec::new()
    }

    /// An event about `release`; its number is given when it is posted.
    fn event(&self, kind: u32, result: u32, release: Option<&Version>) -> Event {
        Event { number: 0, kind, result, error_code: None, previous_version: None, release: release.cloned(), cause: None, repeated: false }
    }
}
