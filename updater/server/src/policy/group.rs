//! Groups of machines, and the settings their rollouts start from.

use serde::{Deserialize, Serialize};

use super::{Brake, Machine, Ramp, Span, Version, Windows};

/// A named set of machines with one rollout policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Where its releases come from.
    pub follow: Follow,
    /// Whether its machines are offered anything at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// When releases are handed out; empty means always.
    #[serde(default)]
    pub windows: Windows,
    /// How many of its machines may be busy with an update at the same time.
    #[serde(default)]
    pub parallel: Option<u64>,
    /// What a rollout in this group starts with. A rollout keeps its own copy: changing these changes no running one.
    #[serde(default)]
    pub defaults: Settings,
}

/// Where a group's releases come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Follow {
    /// Whatever this channel points at.
    Channel(String),
    /// This version and no later one.
    Pinned(Version),
}

/// How one release spreads through a group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Settings {
    /// The share of machines that may have been granted the release, over time; without it everybody at once.
    pub ramp: Ramp,
    /// Who goes first.
    pub canaries: Canaries,
    /// When to stop by itself.
    pub brake: Brake,
}

/// The machines that go first, and how long they must hold before anybody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Canaries {
    /// By machine id.
    pub machines: Vec<String>,
    /// By a tag that an operator gave.
    pub tags: Vec<String>,
    /// By platform.
    pub oems: Vec<String>,
    /// How many of them are granted the release before the ramp begins; a careless tag must not mean the whole fleet.
    pub limit: u64,
    /// How many must complete before the soak begins; a canary that is switched off must not hold up everybody for ever.
    pub need: u64,
    /// How long they must hold after that.
    pub soak: Span,
}

impl Default for Canaries {
    fn default() -> Self {
        Self { machines: Vec::new(), tags: Vec::new(), oems: Vec::new(), limit: 10, need: 1, soak: Span::hours(1) }
    }
}

impl Canaries {
    /// Whether there are any; without canaries the ramp begins at once.
    #[must_use]
    pub fn any(&self) -> bool {
        !(self.machines.is_empty() && self.tags.is_empty() && self.oems.is_empty()) && self.limit > 0
    }

    /// How many must complete: never more than are let in.
    #[must_use]
    pub fn needed(&self) -> u64 {
        self.need.min(self.limit)
    }

    /// Whether `machine` is one.
    #[must_use]
    pub fn include(&self, machine: &Machine) -> bool {
        self.machines.contains(&machine.id) || self.oems.contains(&machine.oem) || self.tags.iter().any(|tag| machine.tags.contains(tag))
    }
}

const fn yes() -> bool {
    true
}
