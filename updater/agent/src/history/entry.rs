//! One line of the history.

use std::fmt;

use jiff::Timestamp;
use payload::Version;
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: What,
    /// The release it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// More, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// Sorts of things that happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum What {
    /// A release was found and is acceptable.
    Found,
    /// A release was refused.
    Refused,
    /// Writing the passive slot began.
    Started,
    /// Something failed and will be tried again.
    Failed,
    /// The passive slot is complete.
    Staged,
    /// The machine is rebooting into a trial.
    Rebooting,
    /// A trial boot began.
    Trial,
    /// A slot became the default.
    Committed,
    /// A trial failed and the machine went back.
    RolledBack,
    /// An operator asked for something.
    Operator,
    /// A staged release was discarded.
    Discarded,
    /// Something that an operator must look at.
    Alarm,
    /// A staged release waits for other machines.
    Waiting,
    /// A line a newer version wrote.
    #[serde(other)]
    Unknown,
}

impl What {
    /// `MESSAGE_ID` of the journal entry, see `journalctl MESSAGE_ID=...`. These never change; a new sort of entry gets a new one.
    #[must_use]
    pub const fn message_id(self) -> &'static str {
        match self {
            Self::Found => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e01",
            Self::Refused => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e02",
            Self::Started => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e03",
            Self::Failed => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e04",
            Self::Staged => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e05",
            Self::Rebooting => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e06",
            Self::Trial => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e07",
            Self::Committed => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e08",
            Self::RolledBack => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e09",
            Self::Operator => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e0a",
            Self::Discarded => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e0b",
            Self::Alarm => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e0c",
            Self::Waiting => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e0d",
            Self::Unknown => "5d0cc9a4a36b4c9e8d4f0f2a7f0c1e00",
        }
    }

    /// Whether its text says why something went wrong, and how bad that is.
    #[must_use]
    pub const fn is_trouble(self) -> bool {
        matches!(self, Self::Refused | Self::Failed | Self::RolledBack | Self::Alarm)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Found => "found",
            Self::Refused => "refused",
            Self::Started => "started",
            Self::Failed => "failed",
            Self::Staged => "staged",
            Self::Rebooting => "rebooting",
            Self::Trial => "trial",
            Self::Committed => "committed",
            Self::RolledBack => "rolled-back",
            Self::Operator => "operator",
            Self::Discarded => "discarded",
            Self::Alarm => "alarm",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
        })
    }
}
