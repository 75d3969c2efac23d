//! Which release is acceptable here, and why not. Pure: the same code decides and explains.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use payload::{Release, Version};
use serde::{Deserialize, Serialize};

use super::persisted::Persisted;
use crate::daemon::host::{Refusal, RefusalKind};

/// Failed attempts on one release before it is left alone for [`ATTEMPTS_PAUSE`]: with the growing waits between them that is most of a day.
pub const ATTEMPTS_MAX: u32 = 12;
/// How long a release rests after [`ATTEMPTS_MAX`] failures; then it gets one attempt per pause.
pub const ATTEMPTS_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// Why a release is not installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "reason")]
pub enum Reason {
    /// The configuration pins another version.
    Pinned {
        /// The pinned version.
        pin: Version,
    },
    /// It is what runs.
    Running,
    /// It is older than what runs.
    OlderThanRunning {
        /// What runs.
        running: Version,
    },
    /// It is older than something that was committed here before.
    BelowFloor {
        /// The highest version ever committed.
        floor: Version,
    },
    /// It failed here before.
    Quarantined {
        /// How.
        cause: String,
    },
    /// It could not be installed too many times.
    TooManyFailures {
        /// How many times.
        failures: u32,
        /// The last failure.
        cause: String,
        /// When it is tried again.
        again: Timestamp,
    },
    /// What runs is too old to update to it directly.
    MinimumVersion {
        /// The oldest version that may.
        minimum: Version,
    },
    /// It is of a generation that was withdrawn.
    RollbackIndex {
        /// Its rollback index.
        index: u64,
        /// The lowest that is accepted.
        lowest: u64,
    },
    /// Its metadata was refused.
    Metadata {
        /// What sort of reason.
        kind: RefusalKind,
        /// The reason.
        text: String,
    },
}

impl Reason {
    /// The refusal as a reason.
    #[must_use]
    pub fn of(refusal: &Refusal) -> Self {
        Self::Metadata { kind: refusal.kind, text: refusal.text.clone() }
    }

    /// A sentence for people, with what could be done.
    #[must_use]
    pub fn text(&self, version: &Version) -> String {
        match self {
            Self::Pinned { pin } => format!("version {version} is not the pinned version {pin}"),
            Self::Running => format!("version {version} is running already"),
            Self::OlderThanRunning { running } => format!("version {version} is older than the running version {running}"),
            Self::BelowFloor { floor } => {
                format!("version {version} is older than {floor}, which was committed on this machine before; downgrades are refused")
            }
            Self::Quarantined { cause } => format!(
                "version {version} is in quarantine on this machine ({cause}); it is not tried again unless an operator runs `updater apply --despite-quarantine {version}`"
            ),
            Self::TooManyFailures { failures, cause, again } => {
                format!("version {version} could not be installed {failures} times ({cause}); the next attempt is not before {again}")
            }
            Self::MinimumVersion { minimum } => {
                format!(
                    "version {version} can only be reached from version {minimum} or later; an intermediate release has to be offered first"
                )
            }
            Self::RollbackIndex { index, lowest } => {
                format!("version {version} has rollback index {index}, this machine accepts {lowest} or more: it was withdrawn")
            }
            Self::Metadata { kind, text } => format!("version {version} was refused: {kind}: {text}"),
        }
    }
}

/// What is decided before the server's offer is looked at more closely. `insisted` means that a person asked for the installation.
pub fn judge_offer(
    persisted: &Persisted,
    running: &Version,
    pin: Option<&Version>,
    version: &Version,
    insisted: bool,
    despite_quarantine: Option<&Version>,
    now: Timestamp,
) -> Result<(), Reason> {
    if version == running {
        return Err(Reason::Running);
    }
    if let Some(pin) = pin.filter(|pin| *pin != version) {
        return Err(Reason::Pinned { pin: pin.clone() });
    }
    if version < running {
        return Err(Reason::OlderThanRunning { running: running.clone() });
    }
    if let Some(floor) = persisted.floor.as_ref().filter(|floor| version < *floor) {
        return Err(Reason::BelowFloor { floor: floor.clone() });
    }
    if let Some(entry) = persisted.quarantined(version).filter(|_| despite_quarantine != Some(version)) {
        return Err(Reason::Quarantined { cause: entry.cause.clone() });
    }
    if !insisted {
        budget(persisted, version, now)?;
    }
    Ok(())
}

/// What is decided once the release's own description is verified.
pub fn judge_release(persisted: &Persisted, running: &Version, offered: &Version, release: &Release) -> Result<(), Reason> {
    if release.version != *offered {
        let text = format!("the server offered {offered}, the signed description says {}", release.version);
        return Err(Reason::Metadata { kind: RefusalKind::WrongVersion, text });
    }
    if let Some(minimum) = release.minimum_version.as_ref().filter(|minimum| running < *minimum) {
        return Err(Reason::MinimumVersion { minimum: minimum.clone() });
    }
    if release.rollback_index < persisted.rollback_index {
        return Err(Reason::RollbackIndex { index: release.rollback_index, lowest: persisted.rollback_index });
    }
    Ok(())
}

fn budget(persisted: &Persisted, version: &Version, now: Timestamp) -> Result<(), Reason> {
    let Some(attempts) = persisted.attempts.as_ref().filter(|attempts| attempts.version == *version && attempts.failures >= ATTEMPTS_MAX)
    else {
        return Ok(());
    };
    let pause = SignedDuration::try_from(ATTEMPTS_PAUSE).unwrap_or(SignedDuration::MAX);
    let again = attempts.at.checked_add(pause).unwrap_or(Timestamp::MAX);
    // A clock that went back must not prolong the pause.
    if now < attempts.at || now >= again {
        return Ok(());
    }
    Err(Reason::TooManyFailures { failures: attempts.failures, cause: attempts.cause.clone(), again })
}
