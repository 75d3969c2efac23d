//! What a run found out: for CI ([`junit()`]), for people ([`page()`]), and over many runs ([`history`]).

pub mod history;
mod junit;
mod page;

use std::time::Duration;

use anyhow::Context;
use camino::{Utf8Path, Utf8PathBuf};

pub use history::{Flakiness, History};
pub(crate) use junit::escape;
pub use junit::junit;
pub use page::page;

/// How one scenario ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The promise is kept.
    Passed,
    /// The promise is broken; the story.
    Failed(String),
    /// It is broken, and that was known: the story, and why it does not count for now.
    Snoozed {
        /// What happened.
        story: String,
        /// Why it is known, and until when that excuses it.
        excuse: String,
    },
}

impl Outcome {
    /// One word for tables.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Snoozed { .. } => "snoozed",
        }
    }

    /// What happened, when something did.
    #[must_use]
    pub fn story(&self) -> Option<&str> {
        match self {
            Self::Passed => None,
            Self::Failed(story) | Self::Snoozed { story, .. } => Some(story),
        }
    }
}

/// One scenario's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Name of the scenario.
    pub name: String,
    /// Image variant it ran on.
    pub variant: String,
    /// The promise it proves.
    pub promise: String,
    /// How long it took, without waiting for its turn.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// Directory with the logs of its machines, if they are kept.
    pub logs: Utf8PathBuf,
}

/// Writes `junit.xml` and `report.html` into `logs` and adds the run to `history.jsonl` there. Returns the page's path.
pub fn write(logs: &Utf8Path, cases: &[Case], when: jiff::Timestamp) -> anyhow::Result<Utf8PathBuf> {
    std::fs::create_dir_all(logs).with_context(|| format!("making {logs}"))?;
    let history = History::at(logs);
    history.add(cases, when)?;
    let path = logs.join("junit.xml");
    std::fs::write(&path, junit(cases)).with_context(|| format!("writing {path}"))?;
    let path = logs.join("report.html");
    std::fs::write(&path, page(logs, cases, &history.flakiness()?, when)?).with_context(|| format!("writing {path}"))?;
    Ok(path)
}
