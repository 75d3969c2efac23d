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
    /// A line a newer version wrote.
    #[serde(other)]
    Unknown,
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
            Self::Unknown => "unknown",
        })
    }
}
