//! What came out of a run.

use std::collections::BTreeMap;

use serde::Serialize;

use super::scenario::Scenario;
use crate::policy::{Change, Counts, Share, State, Version};

/// The result of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcomes {
    /// What was simulated.
    pub scenario: Scenario,
    /// One row per hour.
    pub hours: Vec<Hour>,
    /// What the rollout did by itself, in order.
    pub events: Vec<Event>,
    /// Where the rollout stands in the end.
    #[serde(flatten)]
    pub state: State,
    /// Check-ins that were answered.
    pub checks: u64,
    /// Machines that the release silenced for ever.
    pub gone: u64,
    /// How often machines were told to wait, by rule.
    pub reasons: BTreeMap<&'static str, u64>,
    /// All versions, oldest first; the columns of [`Hour::versions`].
    pub versions: Vec<Version>,
    /// SHA-256 over everything that happened: equal digests, equal runs.
    pub digest: String,
}

/// One hour of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hour {
    /// The hour at whose end the numbers were taken.
    pub ends: u32,
    /// The share that the ramp allows.
    pub share: Share,
    /// Machines that share allows.
    pub allowed: u64,
    /// What has become of the rollout.
    pub counts: Counts,
    /// Machines that are switched off.
    pub away: u32,
    /// Bytes that were downloaded within the hour.
    pub bytes: u64,
    /// The most bytes per second within the hour.
    pub peak_rate: u64,
    /// Requests within the hour: check-ins and events.
    pub requests: u64,
    /// The most requests per second within the hour.
    pub peak_requests: u32,
    /// Machines by version.
    pub versions: Vec<u32>,
}

/// Something that a rollout did by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// Second of the run.
    pub second: u32,
    /// What.
    #[serde(flatten)]
    pub change: Change,
    /// The counts at that moment.
    pub counts: Counts,
}

impl Event {
    pub(super) const fn new(second: u32, change: Change, counts: &Counts) -> Self {
        Self { second, change, counts: *counts }
    }
}

impl Outcomes {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            scenario: scenario.clone(),
            hours: Vec::new(),
            events: Vec::new(),
            state: State::Running,
            checks: 0,
            gone: 0,
            reasons: BTreeMap::new(),
            versions: Vec::new(),
            digest: String::new(),
        }
    }

    /// Machines that the release harmed in the end: rolled back or silenced for ever.
    #[must_use]
    pub fn harmed(&self) -> u64 {
        self.counts().rolled_back + self.gone
    }

    /// The counts in the end.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.hours.last().map_or(Counts::NONE, |hour| hour.counts)
    }

    /// The moment at which the brake stopped the rollout, if it did.
    #[must_use]
    pub fn stopped(&self) -> Option<&Event> {
        self.events.iter().find(|event| matches!(event.change, Change::Stopped(_)))
    }
}
