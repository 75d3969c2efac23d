//! What the machine must still know after a power cut.

use jiff::Timestamp;
use payload::Version;
use serde::{Deserialize, Serialize};

use crate::daemon::host::{Event, HealthReport, Slot};

/// Version of the format of `state.json`.
pub const FORMAT: u32 = 1;
/// Quarantined releases that are remembered; the oldest is dropped. Nobody fails this often without an operator looking.
pub const QUARANTINE_MAX: usize = 64;
/// Unsent events that are kept; the oldest is dropped. One update makes four.
pub const OUTBOX_MAX: usize = 64;
/// Longest cause or error text that is kept, in bytes.
pub const TEXT_MAX: usize = 1024;

/// Everything that survives a reboot.
///
/// Fields it does not know are no damage: after a rollback, an updater reads what a newer one wrote, and must not lose the quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Persisted {
    /// See [`FORMAT`].
    pub format: u32,
    /// The highest version ever committed; nothing below it is installed.
    #[serde(default)]
    pub floor: Option<Version>,
    /// The highest rollback index ever committed; releases with a lower one are not installed.
    #[serde(default)]
    pub rollback_index: u64,
    /// The slot every normal boot starts.
    #[serde(default)]
    pub committed: Option<Slot>,
    /// What slot A holds, if it was written or booted under this state.
    #[serde(default)]
    pub slot_a: Option<Version>,
    /// What slot B holds.
    #[serde(default)]
    pub slot_b: Option<Version>,
    /// How far an update is.
    #[serde(default)]
    pub phase: Phase,
    /// Releases that failed here.
    #[serde(default)]
    pub quarantine: Vec<Quarantined>,
    /// Failed attempts on the release that was tried last.
    #[serde(default)]
    pub attempts: Option<Attempts>,
    /// Events the server has not acknowledged, oldest first.
    #[serde(default)]
    pub outbox: Vec<Event>,
    /// Number of the next event.
    #[serde(default)]
    pub next_event: u64,
    /// When the server last answered.
    #[serde(default)]
    pub last_checked: Option<Timestamp>,
    /// What went wrong last, for operators; cleared by the next thing that works.
    #[serde(default)]
    pub last_error: Option<String>,
    /// When the release metadata that was verified last expires.
    #[serde(default)]
    pub metadata_expires: Option<Timestamp>,
    /// When the release metadata was verified last.
    #[serde(default)]
    pub metadata_checked: Option<Timestamp>,
    /// Why the release metadata was refused, while it is.
    #[serde(default)]
    pub metadata_error: Option<String>,
    /// How the last trial ended.
    #[serde(default)]
    pub trial_passed: Option<bool>,
    /// What is known of the firmware's count of boots.
    #[serde(default)]
    pub boot_count: Option<BootCount>,
}

impl Default for Persisted {
    fn default() -> Self {
        Self {
            format: FORMAT,
            floor: None,
            rollback_index: 0,
            committed: None,
            slot_a: None,
            slot_b: None,
            phase: Phase::Idle,
            quarantine: Vec::new(),
            attempts: None,
            outbox: Vec::new(),
            next_event: 1,
            last_checked: None,
            last_error: None,
            metadata_expires: None,
            metadata_checked: None,
            metadata_error: None,
            trial_passed: None,
            boot_count: None,
        }
    }
}

/// How far an update is, as far as a reboot must know it. Each is written *before* the effect it announces.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "is")]
pub enum Phase {
    /// Nothing is under way.
    #[default]
    Idle,
    /// The passive slot is being written; it is nobody's.
    Writing {
        /// What is written.
        version: Version,
        /// Where.
        slot: Slot,
    },
    /// The next boot is about to be, or is, the trial of `slot`.
    Flipped {
        /// The trial.
        trial: Trial,
        /// The boot in which the flip was made; a later one has used it up.
        boot_id: String,
        /// The flip is known to have worked.
        confirmed: bool,
    },
    /// A trial boot was seen.
    Trial {
        /// The trial.
        trial: Trial,
        /// The boot that was seen last.
        boot_id: String,
        /// Boots of the slot so far, this one included.
        boots: u32,
        /// The health gate's word, once there is one.
        health: Option<HealthReport>,
    },
    /// The trial passed; the slot is becoming the default.
    Committing {
        /// The trial.
        trial: Trial,
    },
    /// The passive slot must not be booted: taking back the flip and its boot entry.
    Discarding {
        /// The slot.
        slot: Slot,
        /// The flip that may still be in force: should the machine boot meanwhile, it was a trial.
        trial: Option<Trial>,
        /// The boot in which the discarding began.
        boot_id: String,
    },
}

/// A slot that has to prove itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Trial {
    /// The slot on trial.
    pub slot: Slot,
    /// What it holds, if known.
    pub version: Option<Version>,
    /// The version that ran before.
    pub previous: Version,
    /// Rollback index of the release.
    #[serde(default)]
    pub rollback_index: u64,
    /// An operator went back to this slot; committing it puts the version before into quarantine.
    pub rollback: bool,
    /// The firmware's count of boots when the next boot was directed to the slot, if the count can be relied upon.
    #[serde(default)]
    pub flipped_at: Option<u32>,
}

/// The firmware's count of boots, as seen by the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BootCount {
    /// In this boot ...
    pub boot_id: String,
    /// ... the count was this.
    pub count: u32,
    /// So many reboots in a row it went up.
    pub proven: u32,
}

/// A release that failed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Quarantined {
    /// The release.
    pub version: Version,
    /// What happened.
    pub cause: String,
    /// When.
    pub at: Timestamp,
}

/// Failed attempts on one release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Attempts {
    /// The release.
    pub version: Version,
    /// Failures so far.
    pub failures: u32,
    /// The last one.
    pub cause: String,
    /// When the last one was.
    pub at: Timestamp,
}

impl Persisted {
    /// What `slot` holds, as far as known.
    #[must_use]
    pub fn content(&self, slot: Slot) -> Option<&Version> {
        match slot {
            Slot::A => self.slot_a.as_ref(),
            Slot::B => self.slot_b.as_ref(),
        }
    }

    pub(super) fn set_content(&mut self, slot: Slot, version: Option<Version>) {
        match slot {
            Slot::A => self.slot_a = version,
            Slot::B => self.slot_b = version,
        }
    }

    /// Why `version` is in quarantine, if it is.
    #[must_use]
    pub fn quarantined(&self, version: &Version) -> Option<&Quarantined> {
        self.quarantine.iter().find(|entry| entry.version == *version)
    }

    pub(super) fn put_into_quarantine(&mut self, version: Version, cause: &str, at: Timestamp) {
        self.quarantine.retain(|entry| entry.version != version);
        self.quarantine.push(Quarantined { version, cause: shortened(cause), at });
        if self.quarantine.len() > QUARANTINE_MAX {
            self.quarantine.remove(0);
        }
    }

    pub(super) fn raise_floor(&mut self, version: &Version) {
        if self.floor.as_ref().is_none_or(|floor| floor < version) {
            self.floor = Some(version.clone());
        }
    }

    pub(super) fn fail_attempt(&mut self, version: &Version, cause: &str, at: Timestamp) {
        let failures = self.attempts.as_ref().filter(|attempts| attempts.version == *version).map_or(0, |attempts| attempts.failures);
        self.attempts = Some(Attempts { version: version.clone(), failures: failures.saturating_add(1), cause: shortened(cause), at });
    }

    pub(super) fn post(&mut self, event: Event) {
        self.outbox.push(Event { number: self.next_event, cause: event.cause.as_deref().map(shortened), ..event });
        self.next_event = self.next_event.saturating_add(1);
        if self.outbox.len() > OUTBOX_MAX {
            self.outbox.remove(0);
        }
    }
}

/// `text` on one line and within [`TEXT_MAX`].
pub(crate) fn shortened(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.len() <= TEXT_MAX {
        return line;
    }
    let end = (0..=TEXT_MAX - 3).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &line[..end])
}
