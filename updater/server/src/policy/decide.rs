//! The rules, in the order in which they are asked.

use serde::{Deserialize, Serialize};

use super::{Catalog, Counts, Grant, Group, Machine, Position, Reason, Release, ReleaseId, Rollout, Share, Ticket, Time, Version};

/// One machine asks.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The time; with several replicas the database's.
    pub now: Time,
    /// Who asks.
    pub machine: &'a Machine,
    /// Its position in the rollout's order where somebody keeps it; worked out when `None`.
    pub position: Option<Position>,
}

/// What the machine asks about, read by the storage.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The machine's group; `None` when there is no such group.
    pub group: Option<&'a Group>,
    /// All releases and channels.
    pub catalog: &'a Catalog,
    /// The rollout in this group of the release that [`target`] names; `None` when there is none.
    pub live: Option<Live<'a>>,
}

/// A rollout with its numbers.
#[derive(Debug, Clone, Copy)]
pub struct Live<'a> {
    /// The rollout.
    pub rollout: &'a Rollout,
    /// Its counts.
    pub counts: &'a Counts,
    /// This machine's grant in it.
    pub grant: Option<&'a Grant>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "decision")]
pub enum Decision {
    /// Offer a release.
    Update(Update),
    /// Offer nothing.
    NotNow(NotNow),
}

/// An offer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Update {
    /// The release to offer.
    pub release: ReleaseId,
    /// Its version.
    pub version: Version,
    /// The version this machine is on its way to, when what it is offered is a floor that it must not skip.
    pub floor_for: Option<Version>,
    /// Why now.
    pub because: Because,
}

/// Why a machine is offered a release now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "because")]
pub enum Because {
    /// An operator holds the machine at this version; rollouts do not matter, and nothing is counted.
    MachinePin,
    /// It was granted the release before and asks again; nothing is counted twice.
    Granted {
        /// When.
        at: Time,
    },
    /// It is its turn: **a new grant, to be written in the same transaction** (see [`Ticket`]).
    Turn {
        /// The numbers.
        ticket: Ticket,
        /// The share that reaches this machine.
        position: Share,
    },
}

/// No offer, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NotNow {
    /// Why.
    pub reason: Reason,
    /// The earliest time at which the answer can be another one by itself; `None` when somebody has to act, or nobody knows.
    pub earliest: Option<Time>,
}

/// One line of an explanation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    /// The rule's name; the same words as `rule` in a [`Reason`].
    pub rule: String,
    /// Whether it lets the machine through; only the last step can say no.
    pub passed: bool,
    /// The rule with its values, for people.
    pub text: String,
}

/// The release that `machine` is headed for (before floors), so that the storage knows whose rollout to read.
///
/// # Errors
/// The reason why there is none.
pub fn target<'a>(machine: &Machine, group: &'a Group, catalog: &'a Catalog) -> Result<&'a Release, Reason> {
    let _ = catalog;
    Err(Reason::UpdatesDisabled { group: format!("{} {}", machine.group, group.name) })
}

/// Decides. Pure: the same facts, the same answer.
#[must_use]
pub fn decide(ask: &Ask<'_>, view: &View<'_>) -> Decision {
    let _ = view;
    Decision::NotNow(NotNow { reason: Reason::GroupUnknown { group: ask.machine.group.clone() }, earliest: None })
}

/// The rules that were asked for this decision, in their order, up to the one that decided.
#[must_use]
pub fn explain(ask: &Ask<'_>, view: &View<'_>) -> Vec<Step> {
    let _ = (ask, view);
    Vec::new()
}
