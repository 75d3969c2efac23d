//! The states, what comes in, what goes out.

use jiff::Timestamp;
use payload::Version;

use super::judge::Reason;
use super::persisted::Trial;
use crate::config::Settings;
use crate::daemon::host::{CheckAnswer, Event, Failure, HealthReport, Offer, Refusal, Slot, TurnAnswer, VerifiedRelease};
use crate::history::Entry;

/// Where the machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Created, not yet told to start.
    Starting,
    /// Nothing to do until the next check.
    Idle,
    /// As [`State::Idle`], after a release failed its trial.
    RolledBack {
        /// The release that failed.
        version: Option<Version>,
        /// Why.
        cause: String,
    },
    /// The server is being asked.
    Checking(Purpose),
    /// Nothing is offered, and the metadata is looked at all the same: it must not have expired.
    Refreshing,
    /// The release's metadata is being verified; nothing was written yet.
    Verifying {
        /// What the server offered.
        offer: Offer,
        /// Why.
        purpose: Purpose,
    },
    /// The release is being written to the passive slot.
    Fetching {
        /// The release.
        release: Box<VerifiedRelease>,
        /// The passive slot.
        slot: Slot,
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// An operator wants the other slot; looking whether it is intact.
    Probing,
    /// The passive slot is complete; the next boot is being directed to it.
    Staged(Trial),
    /// The next boot is the trial.
    WaitingForReboot {
        /// The trial.
        trial: Trial,
        /// What the reboot waits for.
        wait: Wait,
    },
    /// The reboot was asked for.
    Rebooting {
        /// The trial to come; `None` when leaving one that failed.
        trial: Option<Trial>,
    },
    /// This boot is the trial: the health gate runs.
    Trial(Trial),
    /// This boot's slot is becoming the default.
    Committing {
        /// The trial that passed; `None` when a slot is adopted whose history is not known.
        trial: Option<Trial>,
        /// Failures so far.
        failures: u32,
    },
    /// The trial failed: the loader's default is being made sure of before the reboot.
    Leaving {
        /// The trial.
        trial: Trial,
        /// Why it failed.
        cause: String,
    },
    /// The passive slot is being made unbootable.
    Discarding {
        /// The passive slot.
        slot: Slot,
        /// Where to rest afterwards.
        rolled_back: Option<(Option<Version>, String)>,
    },
}

impl State {
    /// Name for D-Bus, JSON and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Idle => "idle",
            Self::RolledBack { .. } => "rolled-back",
            Self::Checking(_) => "checking",
            Self::Refreshing => "refreshing",
            Self::Verifying { .. } => "verifying",
            Self::Fetching { .. } => "fetching",
            Self::Probing => "probing",
            Self::Staged(_) => "staged",
            Self::WaitingForReboot { .. } => "waiting-for-reboot",
            Self::Rebooting { .. } => "rebooting",
            Self::Trial(_) => "trial",
            Self::Committing { .. } => "committing",
            Self::Leaving { .. } => "leaving-trial",
            Self::Discarding { .. } => "discarding",
        }
    }

    /// Every name there is, for metrics and documentation.
    pub const NAMES: [&'static str; 15] = [
        "starting",
        "idle",
        "rolled-back",
        "checking",
        "refreshing",
        "verifying",
        "fetching",
        "probing",
        "staged",
        "waiting-for-reboot",
        "rebooting",
        "trial",
        "committing",
        "leaving-trial",
        "discarding",
    ];

    /// Nothing is under way.
    #[must_use]
    pub fn is_resting(&self) -> bool {
        matches!(self, Self::Idle | Self::RolledBack { .. })
    }
}

/// Why a check is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purpose {
    /// A person asked, under this number.
    pub operation: Option<u64>,
    /// Install what is found even where updates by themselves are off.
    pub install: bool,
    /// This version may be installed although it is in quarantine.
    pub despite_quarantine: Option<Version>,
}

/// What a reboot waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Being decided.
    Deciding,
    /// The next maintenance window.
    Window {
        /// Its start.
        opens: Timestamp,
    },
    /// People who are logged in.
    Users {
        /// Who.
        names: Vec<String>,
        /// They are waited for no longer than this.
        until: Timestamp,
    },
    /// Other machines: they take turns.
    Turn {
        /// Why it is not this machine's turn.
        reason: String,
        /// When it asks again; `None` while it does.
        again: Option<Timestamp>,
    },
    /// A person: the configuration says never by itself.
    Operator,
    /// A window, of which there is none.
    NoWindow,
}

/// What happens to the machine.
#[derive(Debug, Clone)]
pub enum Input {
    /// The daemon started.
    Start,
    /// Time passed.
    Tick,
    /// The configuration was read.
    Settings(Box<Settings>),
    /// The configuration could not be read.
    SettingsError(String),
    /// An operator wants a check now.
    Check,
    /// An operator wants the update now.
    Apply {
        /// Although this version failed here before.
        despite_quarantine: Option<Version>,
    },
    /// An operator wants the reboot.
    Reboot {
        /// At once, without a turn even where machines take turns.
        now: bool,
    },
    /// An operator wants the other slot back.
    Rollback,
    /// An operator wants none of this now.
    Cancel,
    /// Answer to [`Work::Check`].
    Checked(Result<CheckAnswer, Failure>),
    /// Answer to [`Work::Refresh`]: when the first piece of the metadata expires.
    Refreshed(Result<Option<Timestamp>, Refusal>),
    /// Answer to [`Work::Verify`].
    Verified(Box<Result<VerifiedRelease, Refusal>>),
    /// News of [`Work::Stage`].
    Progress {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Answer to [`Work::Stage`].
    Staged(Result<(), Failure>),
    /// Answer to [`Work::Flip`].
    Flipped(Result<(), Failure>),
    /// Answer to [`Work::Discard`].
    Discarded(Result<(), Failure>),
    /// Answer to [`Work::Probe`].
    Probed(Result<bool, Failure>),
    /// Answer to [`Effect::AskUsers`].
    Users(Vec<String>),
    /// Answer to [`Work::TakeTurn`].
    Turn(TurnAnswer),
    /// Answer to [`Work::Reboot`].
    Rebooting(Result<(), Failure>),
    /// Answer to [`Work::Health`].
    Healthy(HealthReport),
    /// Answer to [`Work::Commit`].
    Committed(Result<(), Failure>),
    /// Answer to [`Work::RestoreDefault`].
    DefaultRestored(Result<(), Failure>),
    /// Answer to [`Effect::Ping`].
    Pinged(Result<(), Failure>),
    /// Answer to [`Effect::Report`].
    Reported {
        /// The event's number.
        number: u64,
        /// Whether the server has it.
        result: Result<(), Failure>,
    },
}

impl Input {
    fn name(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Tick => "tick",
            Self::Settings(_) | Self::SettingsError(_) => "settings",
            Self::Check => "check",
            Self::Apply { .. } => "apply",
            Self::Reboot { .. } => "reboot",
            Self::Rollback => "rollback",
            Self::Cancel => "cancel",
            Self::Checked(_) => "checked",
            Self::Refreshed(_) => "refreshed",
            Self::Verified(_) => "verified",
            Self::Progress { .. } => "progress",
            Self::Staged(_) => "staged",
            Self::Flipped(_) => "flipped",
            Self::Discarded(_) => "discarded",
            Self::Probed(_) => "probed",
            Self::Users(_) => "users",
            Self::Turn(_) => "turn",
            Self::Rebooting(_) => "rebooting",
            Self::Healthy(_) => "healthy",
            Self::Committed(_) => "committed",
            Self::DefaultRestored(_) => "default-restored",
            Self::Reported { .. } => "reported",
            Self::Pinged(_) => "pinged",
        }
    }
}

/// What the daemon must do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Write [`super::Machine::persisted`] to disk, durably, before anything that follows.
    Persist,
    /// Append to the history.
    Log(Entry),
    /// Start this; the one that runs, if any, is dropped.
    Work(Work),
    /// Drop the work that runs.
    CancelWork,
    /// Send an event beside the work.
    Report(Event),
    /// Tell the server that the machine is there, beside the work.
    Ping,
    /// Look who is logged in, beside the work.
    AskUsers,
    /// Tell everybody who is logged in.
    WarnUsers(String),
    /// Tell `cluster-agent`, beside the work, that no turn is wanted any more.
    GiveUpTurn,
}

/// Long work on the host; one at a time.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// Ask the server; then [`Input::Checked`].
    Check(Purpose),
    /// Fetch and verify the metadata alone; then [`Input::Refreshed`].
    Refresh,
    /// Verify an offer; then [`Input::Verified`].
    Verify(Offer),
    /// Write a release to the passive slot; then [`Input::Staged`].
    Stage {
        /// The release.
        release: Box<VerifiedRelease>,
        /// The passive slot.
        slot: Slot,
    },
    /// Look whether a slot could be booted; then [`Input::Probed`].
    Probe(Slot),
    /// Direct the next boot; then [`Input::Flipped`].
    Flip(Slot),
    /// Take back a flip, then make the passive slot unbootable; then [`Input::Discarded`].
    Discard(Slot),
    /// Ask `cluster-agent` whether it is this machine's turn to reboot into this version, if it is known; then [`Input::Turn`].
    TakeTurn(Option<Version>),
    /// Reboot; then [`Input::Rebooting`].
    Reboot,
    /// Run the health gate; then [`Input::Healthy`].
    Health,
    /// Make the active slot the default; then [`Input::Committed`].
    Commit(Slot),
    /// Make sure this slot is the default; then [`Input::DefaultRestored`].
    RestoreDefault(Slot),
}

/// How something an operator asked for ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is nothing newer.
    UpToDate {
        /// The server's words.
        info: Option<String>,
    },
    /// There is something, and it was only looked at.
    Available(Version),
    /// A release is ready and waits for the reboot.
    Staged(Version),
    /// A release is not acceptable here.
    Refused {
        /// The release.
        version: Version,
        /// Why.
        reason: Reason,
    },
    /// It did not work.
    Failed(String),
    /// Somebody cancelled it.
    Cancelled,
}

/// An input the machine has no use for now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// An operator asked for something that cannot be done now.
    #[error("cannot {input} now: {why}")]
    Busy {
        /// What was asked.
        input: &'static str,
        /// Why not, and what to do instead.
        why: String,
    },
    /// An operator asked for something that is not possible here.
    #[error("{why}")]
    Refused {
        /// Why not.
        why: String,
    },
    /// An answer to a question that was not asked: a late one after a cancellation, or a fault of the daemon.
    #[error("`{input}` has no meaning in state {state}")]
    Unexpected {
        /// The input.
        input: &'static str,
        /// The state.
        state: &'static str,
    },
}

impl State {
    pub(super) fn unexpected(&self, input: &'static str) -> TransitionError {
        TransitionError::Unexpected { input, state: self.name() }
    }

    pub(super) fn busy(&self, input: &'static str) -> TransitionError {
        let why = match self {
            Self::Starting => "the updater is starting".to_owned(),
            Self::Trial(_) | Self::Committing { .. } => "this boot is a trial that is still being judged".to_owned(),
            Self::Leaving { .. } | Self::Rebooting { .. } => "the machine is about to reboot".to_owned(),
            Self::WaitingForReboot { trial, .. } => format!(
                "version {} waits for a reboot; run `updater reboot`, or `updater cancel` to discard it",
                trial.version.as_ref().map_or_else(|| "of the other slot".to_owned(), ToString::to_string)
            ),
            other => format!("the updater is {}; wait, or run `updater cancel`", other.name()),
        };
        TransitionError::Busy { input, why }
    }
}

impl Input {
    /// Name for logs.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.name()
    }
}
