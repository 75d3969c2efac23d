//! Why not now: one variant per rule, each with the values that decided.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::brake::Stop;
use super::{Phase, Share, Span, Time, Version};

/// Why a machine is offered nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "rule")]
#[non_exhaustive]
pub enum Reason {
    /// The machine names a group that does not exist.
    GroupUnknown {
        /// The group it named.
        group: String,
    },
    /// An operator switched updates off for the group.
    UpdatesDisabled {
        /// The group.
        group: String,
    },
    /// The machine is held at a version that it has reached (or passed).
    MachinePin {
        /// The version it is held at.
        pin: Version,
        /// The version it runs.
        runs: Version,
    },
    /// The group is held at a version that the machine has reached (or passed).
    GroupPin {
        /// The group.
        group: String,
        /// The version it is held at.
        pin: Version,
        /// The version it runs.
        runs: Version,
    },
    /// The group's channel offers nothing for this application.
    ChannelEmpty {
        /// The channel.
        channel: String,
        /// The application id.
        app: String,
    },
    /// There is such a release, but not for this architecture.
    ArchMismatch {
        /// The machine's.
        arch: String,
        /// Those there is a release for.
        available: Vec<String>,
    },
    /// The version that machine or group are held at does not exist here.
    ReleaseUnknown {
        /// That version.
        version: Version,
    },
    /// The machine runs the release, or a later one: nobody is offered an older version than it runs.
    UpToDate {
        /// The version it runs.
        runs: Version,
        /// The version on offer.
        offered: Version,
    },
    /// An operator blocked the release.
    Blocked {
        /// The release.
        version: Version,
        /// Why.
        why: String,
    },
    /// The release that this machine must take next failed on it before.
    Quarantined {
        /// The release.
        version: Version,
        /// Set when it is a floor on the way to this one.
        floor_for: Option<Version>,
    },
    /// Releases are handed out in windows, and none is open.
    Window {
        /// When the next one opens.
        opens: Option<Time>,
    },
    /// The machine is busy with an update.
    InProgress {
        /// How far it is.
        phase: Phase,
        /// Since when.
        since: Time,
    },
    /// The release is on the channel, but nobody started a rollout in this group.
    NoRollout {
        /// The release.
        version: Version,
    },
    /// The rollout is planned for later.
    NotStarted {
        /// For when.
        starts: Time,
    },
    /// A person holds the rollout.
    Paused {
        /// Who.
        by: String,
        /// Why.
        why: String,
        /// Since when.
        at: Time,
    },
    /// The brake stopped the rollout.
    Braked {
        /// Why.
        stop: Stop,
        /// Since when.
        at: Time,
    },
    /// The canaries have not held long enough.
    CanarySoak {
        /// Canaries that completed.
        completed: u64,
        /// Canaries that must.
        need: u64,
        /// How long they must hold after that.
        soak: Span,
    },
    /// Enough canaries were granted the release.
    CanaryLimit {
        /// Canaries granted.
        granted: u64,
        /// The limit.
        limit: u64,
    },
    /// The machine was first seen after the rollout began, and its ramp is not at 100 % yet; the shares before that are shares
    /// of those that were there.
    Newcomer {
        /// When it was first seen.
        first_seen: Time,
        /// When the rollout began.
        started: Time,
        /// The share now; newcomers come when it is everybody.
        share: Share,
    },
    /// The ramp has not reached the machine's place in the order.
    Wave {
        /// The share that reaches it.
        position: Share,
        /// The share now.
        share: Share,
    },
    /// One more would be more than the share allows.
    Cap {
        /// Machines granted so far.
        granted: u64,
        /// Machines allowed.
        allowed: u64,
        /// Machines there are.
        population: u64,
        /// The share now.
        share: Share,
    },
    /// As many machines as the group allows are busy at the same time.
    Parallel {
        /// Machines busy with the release.
        busy: u64,
        /// The group's limit.
        limit: u64,
    },
}

impl Reason {
    /// The rule's name: what `rule` says in JSON, what a metric is labelled with, what Omaha's `info` begins with.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::GroupUnknown { .. } => "group-unknown",
            Self::UpdatesDisabled { .. } => "updates-disabled",
            Self::MachinePin { .. } => "machine-pin",
            Self::GroupPin { .. } => "group-pin",
            Self::ChannelEmpty { .. } => "channel-empty",
            Self::ArchMismatch { .. } => "arch-mismatch",
            Self::ReleaseUnknown { .. } => "release-unknown",
            Self::UpToDate { .. } => "up-to-date",
            Self::Blocked { .. } => "blocked",
            Self::Quarantined { .. } => "quarantined",
            Self::Window { .. } => "window",
            Self::InProgress { .. } => "in-progress",
            Self::NoRollout { .. } => "no-rollout",
            Self::NotStarted { .. } => "not-started",
            Self::Paused { .. } => "paused",
            Self::Braked { .. } => "braked",
            Self::CanarySoak { .. } => "canary-soak",
            Self::CanaryLimit { .. } => "canary-limit",
            Self::Newcomer { .. } => "newcomer",
            Self::Wave { .. } => "wave",
            Self::Cap { .. } => "cap",
            Self::Parallel { .. } => "parallel",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GroupUnknown { group } => write!(f, "there is no group `{group}`"),
            Self::UpdatesDisabled { group } => write!(f, "updates are switched off for group `{group}`"),
            Self::MachinePin { pin, runs } => write!(f, "the machine is held at {pin} and runs {runs}"),
            Self::GroupPin { group, pin, runs } => write!(f, "group `{group}` is held at {pin} and the machine runs {runs}"),
            Self::ChannelEmpty { channel, app } => write!(f, "channel `{channel}` has no release of {app}"),
            Self::ArchMismatch { arch, available } => write!(f, "there is no release for {arch}, only for {}", available.join(", ")),
            Self::ReleaseUnknown { version } => write!(f, "release {version} is not known here"),
            Self::UpToDate { runs, offered } => write!(f, "the machine runs {runs}, the release on offer is {offered}"),
            Self::Blocked { version, why } => write!(f, "release {version} is blocked: {why}"),
            Self::Quarantined { version, floor_for: None } => write!(f, "release {version} failed on this machine and is not tried again"),
            Self::Quarantined { version, floor_for: Some(target) } => {
                write!(
                    f,
                    "release {version}, which must not be skipped on the way to {target}, failed on this machine and is not tried again"
                )
            }
            Self::Window { opens: Some(opens) } => write!(f, "no window is open; the next one opens at {opens}"),
            Self::Window { opens: None } => write!(f, "no window is open"),
            Self::InProgress { phase, since } => write!(f, "the machine has been {} since {since}", phase.text()),
            Self::NoRollout { version } => write!(f, "nobody started a rollout of {version} in this group"),
            Self::NotStarted { starts } => write!(f, "the rollout starts at {starts}"),
            Self::Paused { by, why, at } => write!(f, "paused by {by} at {at}: {why}"),
            Self::Braked { stop, at } => write!(f, "stopped by the brake at {at}: {stop}"),
            Self::CanarySoak { completed, need, soak } => {
                write!(f, "canaries go first: {completed} of {need} completed, then they must hold for {soak}")
            }
            Self::CanaryLimit { granted, limit } => write!(f, "{granted} of at most {limit} canaries were granted the release"),
            Self::Newcomer { first_seen, started, share } => {
                write!(f, "first seen at {first_seen}, after the rollout began at {started}; newcomers come at 100 %, now {share}")
            }
            Self::Wave { position, share } => write!(f, "the machine's turn is at {position}, the rollout is at {share}"),
            Self::Cap { granted, allowed, population, share } => {
                write!(f, "{granted} machines were granted the release, {share} of {population} allow {allowed}")
            }
            Self::Parallel { busy, limit } => write!(f, "{busy} machines are busy with the release, {limit} may be at the same time"),
        }
    }
}
