//! What the outside sees.

use jiff::Timestamp;
use payload::Version;
use serde::{Deserialize, Serialize};

use super::judge::Reason;
use super::persisted::{Attempts, Quarantined};
use super::{Machine, Outcome, State, Wait};
use crate::daemon::host::Slot;

/// A picture of the machine, for D-Bus and the command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// See [`State::name`].
    pub state: String,
    /// The version that runs.
    pub version: Version,
    /// The slot that runs.
    pub slot: Slot,
    /// The slot every normal boot starts.
    pub committed_slot: Option<Slot>,
    /// What the other slot holds, if known.
    pub other_version: Option<Version>,
    /// What the server offered last, if it is newer.
    pub available: Option<Version>,
    /// Download and write progress.
    pub progress: Option<Progress>,
    /// What the reboot waits for.
    pub waiting: Option<Waiting>,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// What is wrong with the configuration files; the settings are then the last good ones.
    pub configuration_error: Option<String>,
    /// What the server said when it had nothing.
    pub server_info: Option<String>,
    /// When the server last answered.
    pub last_checked: Option<Timestamp>,
    /// When the release metadata was verified last.
    #[serde(default)]
    pub metadata_checked: Option<Timestamp>,
    /// When the first piece of it expires.
    #[serde(default)]
    pub metadata_expires: Option<Timestamp>,
    /// Why it was refused, while it is: new releases may be withheld.
    #[serde(default)]
    pub metadata_error: Option<String>,
    /// When it will be asked next.
    pub next_check: Option<Timestamp>,
    /// The highest version ever committed.
    pub floor: Option<Version>,
    /// Releases that failed here.
    pub quarantine: Vec<Quarantined>,
    /// Failed attempts on the release tried last.
    pub attempts: Option<Attempts>,
    /// Events the server does not have yet.
    pub unsent_events: usize,
    /// Updates happen by themselves.
    pub enabled: bool,
    /// Group of the machine.
    pub group: String,
    /// How the last operation ended.
    pub outcome: Option<Ended>,
}

/// Bytes of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    /// Bytes done.
    pub done: u64,
    /// Bytes in all.
    pub total: u64,
}

/// What a reboot waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Waiting {
    /// `window`, `users`, `turn`, `operator`, `no-window` or `deciding`.
    pub reason: String,
    /// A sentence for people.
    pub text: String,
    /// The earliest time this can change by itself.
    pub until: Option<Timestamp>,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Ended {
    /// Which one; the method that started it returned this number.
    pub operation: u64,
    /// `up-to-date`, `available`, `staged`, `refused`, `failed` or `cancelled`.
    pub result: String,
    /// The version it is about.
    pub version: Option<Version>,
    /// A sentence for people.
    pub text: String,
    /// Why it was refused.
    pub refusal: Option<Reason>,
}

impl Machine {
    /// The picture now.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            state: self.state.name().to_owned(),
            version: self.booted.version.clone(),
            slot: self.booted.slot,
            committed_slot: self.persisted.committed,
            other_version: self.persisted.content(self.booted.slot.other()).cloned(),
            available: self.available.clone().filter(|version| *version > self.booted.version),
            progress: match &self.state {
                State::Fetching { done, total, .. } => Some(Progress { done: *done, total: *total }),
                _ => None,
            },
            waiting: self.waiting(),
            last_error: self.persisted.last_error.clone(),
            configuration_error: self.settings_error.clone(),
            server_info: self.server_info.clone(),
            last_checked: self.persisted.last_checked,
            metadata_checked: self.persisted.metadata_checked,
            metadata_expires: self.persisted.metadata_expires,
            metadata_error: self.persisted.metadata_error.clone(),
            next_check: self.next_check_wall.filter(|_| self.state.is_resting()),
            floor: self.persisted.floor.clone(),
            quarantine: self.persisted.quarantine.clone(),
            attempts: self.persisted.attempts.clone(),
            unsent_events: self.persisted.outbox.len(),
            enabled: self.settings.enabled,
            group: self.settings.group.clone(),
            outcome: self.outcome.as_ref().map(|(operation, outcome)| ended(*operation, outcome)),
        }
    }

    fn waiting(&self) -> Option<Waiting> {
        let State::WaitingForReboot { wait, .. } = &self.state else { return None };
        let (reason, text, until) = match wait {
            Wait::Deciding => ("deciding", "whether the machine may reboot now is being decided".to_owned(), None),
            Wait::Window { opens } => ("window", "the next maintenance window".to_owned(), Some(*opens)),
            Wait::Users { names, until } => ("users", format!("users who are logged in: {}", names.join(", ")), Some(*until)),
            Wait::Turn { reason, again } => ("turn", format!("a turn to reboot: {reason}"), *again),
            Wait::Operator => {
                let text = "an operator: the reboot strategy is `off`; run `updater reboot`, or reboot the machine in any way";
                ("operator", text.to_owned(), None)
            }
            Wait::NoWindow => ("no-window", "a maintenance window, of which the configuration has none".to_owned(), None),
        };
        Some(Waiting { reason: reason.to_owned(), text, until })
    }
}

fn ended(operation: u64, outcome: &Outcome) -> Ended {
    let (result, version, text, refusal) = match outcome {
        Outcome::UpToDate { info } => {
            let text =
                info.as_ref().map_or_else(|| "there is nothing newer".to_owned(), |info| format!("the server has nothing now: {info}"));
            ("up-to-date", None, text, None)
        }
        Outcome::Available(version) => ("available", Some(version), format!("version {version} is available"), None),
        Outcome::Staged(version) => ("staged", Some(version), format!("version {version} is ready; it starts with the next reboot"), None),
        Outcome::Refused { version, reason } => ("refused", Some(version), reason.text(version), Some(reason.clone())),
        Outcome::Failed(text) => ("failed", None, text.clone(), None),
        Outcome::Cancelled => ("cancelled", None, "it was cancelled".to_owned(), None),
    };
    Ended { operation, result: result.to_owned(), version: version.cloned(), text, refusal }
}
