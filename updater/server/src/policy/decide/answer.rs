//! What comes out of a decision.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::policy::{Reason, ReleaseId, Share, Ticket, Time, Version};

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

impl Decision {
    /// The new grant that this decision asks to be written, if any.
    #[must_use]
    pub const fn ticket(&self) -> Option<&Ticket> {
        match self {
            Self::Update(Update { because: Because::Turn { ticket, .. }, .. }) => Some(ticket),
            Self::Update(_) | Self::NotNow(_) => None,
        }
    }

    /// The rule that said no, if one did.
    #[must_use]
    pub const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::NotNow(NotNow { reason, .. }) => Some(reason),
            Self::Update(_) => None,
        }
    }
}

impl From<Reason> for NotNow {
    fn from(reason: Reason) -> Self {
        Self { reason, earliest: None }
    }
}

impl NotNow {
    /// That reason, until then.
    #[must_use]
    pub const fn until(reason: Reason, earliest: Option<Time>) -> Self {
        Self { reason, earliest }
    }
}

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        match self.earliest {
            Some(earliest) => write!(f, "; earliest {earliest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "release {} is offered", self.version)?;
        if let Some(target) = &self.floor_for {
            write!(f, " on the way to {target}")?;
        }
        match &self.because {
            Because::MachinePin => f.write_str(" because the machine is held at it"),
            Because::Granted { at } => write!(f, " again, it was granted at {at}"),
            Because::Turn { ticket: Ticket { canary: true, .. }, .. } => f.write_str(" to a canary"),
            Because::Turn { position, ticket } => write!(f, ": its turn was at {position}, the rollout is at {}", ticket.share),
        }
    }
}
