//! What the server knows about one machine.

use serde::{Deserialize, Serialize};

use super::{Time, Version};

/// The facts about a machine that decide. Everything but group and pin is what the machine said of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Machine {
    /// Its id.
    pub id: String,
    /// Application id, normalised by the storage.
    pub app: String,
    /// Architecture, e.g. `amd64`.
    pub arch: String,
    /// The version it runs.
    pub version: Version,
    /// The group it belongs to.
    pub group: String,
    /// Its platform, e.g. `qemu`; may be empty.
    #[serde(default)]
    pub oem: String,
    /// Tags that an operator gave it.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The version an operator holds it at: it is moved there (never backwards) and then left alone.
    #[serde(default)]
    pub pin: Option<Version>,
    /// Versions that failed on it and that it will never try again.
    #[serde(default)]
    pub quarantined: Vec<Version>,
    /// When the server first heard of it. Machines that appear after a rollout began get the release when its ramp is at 100 %.
    pub first_seen: Time,
    /// When the server last heard of it.
    pub last_seen: Time,
    /// The update it is busy with, from its own events.
    #[serde(default)]
    pub progress: Option<Progress>,
}

/// An update that a machine has begun. Cleared by the storage on completion, failure and on a changed boot id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    /// How far it is.
    pub phase: Phase,
    /// When it said so.
    pub at: Time,
}

/// How far an update on a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It fetches the release (event 13).
    Downloading,
    /// It has all the bytes (event 14).
    Downloaded,
    /// It waits for its reboot (event 3/1).
    Staged,
}

impl Phase {
    /// As a part of a sentence.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Downloading => "downloading",
            Self::Downloaded => "writing what it downloaded",
            Self::Staged => "waiting for its reboot",
        }
    }
}
