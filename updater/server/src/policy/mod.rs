//! Who gets which release, and when: pure decisions, without I/O and without a clock.
//!
//! The storage reads facts, [`decide`](fn@decide) turns them into a [`Decision`] whose every variant carries the values that
//! decided, and the storage writes the grant that the decision asks for. The fleet simulator calls the same functions
//! in virtual time. Where to look:
//!
//! - [`time`], [`share`], [`order`]: unix milliseconds, parts per million, and the salted order of machines
//! - [`release`], [`group`], [`machine`]: what is decided about
//! - [`ramp`], [`window`], [`rollout`]: how a release spreads, and its states
//! - [`counts`], [`brake`]: what has become of it so far, and when to stop by itself
//! - [`decide`](mod@decide), [`reason`]: the rules in their order, and why not
//! - [`discovery`](mod@discovery), [`turns`]: who may write at a discovery address, and whose turn it is to reboot
//! - [`grant`]: **what must be read and written in one transaction**
//!
//! Invariants, each with a property test: a share of the population is never exceeded, not even by one machine; a floor
//! is never skipped; nobody is offered an older version than it runs; a paused or stopped rollout offers nothing.

pub mod brake;
pub mod counts;
pub mod decide;
pub mod discovery;
pub mod grant;
pub mod group;
pub mod machine;
pub mod order;
pub mod ramp;
pub mod reason;
pub mod release;
pub mod rollout;
pub mod share;
pub mod time;
pub mod turns;
pub mod window;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod model;

pub use brake::{Brake, Verdict, judge};
pub use counts::{CanaryCounts, Counts, Outcome};
pub use decide::{Ask, Because, Decision, Live, NotNow, Step, Update, View, decide, explain, target};
pub use grant::{Grant, Ticket, try_grant};
pub use group::{Canaries, Follow, Group, Settings};
pub use machine::{Machine, Phase, Progress};
pub use order::{Position, Salt};
pub use ramp::{Ramp, RampError};
pub use reason::Reason;
pub use release::{Catalog, Channel, Floor, Release, ReleaseId};
pub use rollout::{Change, Control, ControlError, Rollout, RolloutId, State};
pub use share::Share;
pub use time::{Span, Time};
pub use window::{Window, Windows};

/// A version: semantic versioning; build metadata does not take part in comparisons.
pub type Version = semver::Version;

/// Whether `a` is a later version than `b`, by precedence alone.
#[must_use]
pub fn newer(a: &Version, b: &Version) -> bool {
    a.cmp_precedence(b).is_gt()
}
