//! What is simulated: a fleet, a release and a policy.

use serde::Serialize;

use crate::policy::{Settings, Share, Span, Version, newer};

/// Machines in one run: a million take 30 MB, so that this many fit a small computer.
pub const MAX_MACHINES: u32 = 10_000_000;
/// Hours in one run: a month, longer than any ramp people use.
pub const MAX_HOURS: u32 = 31 * 24;
/// Different versions in one run.
pub const MAX_VERSIONS: usize = 64;

/// Everything a run depends on. The same scenario gives the same run, to the last bit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Scenario {
    /// How many machines there are.
    pub machines: u32,
    /// How long to look at them.
    pub hours: u32,
    /// What chance is made of.
    pub seed: u64,
    /// How the release spreads.
    pub settings: Settings,
    /// How many machines may be busy at the same time.
    pub parallel: Option<u64>,
    /// What the machines run in the beginning; the shares add up to 100 %.
    pub versions: Vec<(Version, Share)>,
    /// The release that spreads.
    pub release: Version,
    /// Releases that must not be skipped on the way.
    pub floors: Vec<Version>,
    /// Time between two check-ins of a machine.
    pub poll: Span,
    /// How much earlier or later a check-in happens.
    pub jitter: Span,
    /// Machines on which the release does not come up healthy, so that they roll back.
    pub failures: Share,
    /// Machines that the release silences for ever.
    pub silent: Share,
    /// Downloads that fail and are tried again later.
    pub download_failures: Share,
    /// Machines that are switched off at any moment.
    pub offline: Share,
    /// How long a machine stays switched off, on average.
    pub offline_for: Span,
    /// What a machine downloads.
    pub payload_bytes: u64,
    /// How fast a machine downloads on average, in bytes per second; each has its own speed, from a quarter to 1.75 times this.
    pub rate_bytes: u64,
}

/// A scenario that cannot be simulated.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// A number is out of bounds.
    #[error("{what} must be between {low} and {high}, not {value}")]
    Bounds {
        /// Which number.
        what: &'static str,
        /// The least.
        low: u64,
        /// The most.
        high: u64,
        /// What it is.
        value: u64,
    },
    /// The shares of the versions do not add up.
    #[error("the shares of the versions in the beginning add up to {0}, not to 100 %")]
    Versions(f64),
    /// The release is older than what machines run or must take first.
    #[error("release {release} must be newer than {other}, which machines run or must take first")]
    Older {
        /// The release.
        release: Version,
        /// The other version.
        other: Version,
    },
}

impl Default for Scenario {
    fn default() -> Self {
        let version = |minor| Version::new(1, minor, 0);
        Self {
            machines: 100_000,
            hours: 24,
            seed: 1,
            settings: Settings::default(),
            parallel: None,
            versions: vec![(version(0), Share::ALL)],
            release: version(1),
            floors: Vec::new(),
            poll: Span::minutes(45),
            jitter: Span::minutes(5),
            failures: Share::NONE,
            silent: Share::NONE,
            download_failures: Share::ppm(5_000),
            offline: Share::percent(2),
            offline_for: Span::hours(4),
            payload_bytes: 200_000_000,
            rate_bytes: 50_000_000 / 8,
        }
    }
}

impl Scenario {
    /// Checks that it can be simulated.
    ///
    /// # Errors
    /// What is out of bounds, or contradicts itself.
    pub fn check(&self) -> Result<(), ScenarioError> {
        let bound = |what, value: u64, low, high| {
            if (low..=high).contains(&value) { Ok(()) } else { Err(ScenarioError::Bounds { what, low, high, value }) }
        };
        bound("the number of machines", self.machines.into(), 1, MAX_MACHINES.into())?;
        bound("the number of hours", self.hours.into(), 1, MAX_HOURS.into())?;
        bound("the number of versions", (self.versions.len() + self.floors.len() + 1) as u64, 2, MAX_VERSIONS as u64)?;
        bound("the time between check-ins in ms", self.poll.0, 60_000, Span::hours(24).0)?;
        bound("the jitter in ms", self.jitter.0, 0, self.poll.0 / 2)?;
        bound("the download speed in bytes per second", self.rate_bytes, 1_000, 10_000_000_000)?;
        bound("the download in bytes", self.payload_bytes, 1, 1_000_000_000_000)?;
        bound("the share of machines that are switched off, in ppm,", self.offline.as_ppm().into(), 0, 900_000)?;
        let sum: u32 = self.versions.iter().map(|(_, share)| share.as_ppm()).sum();
        if sum != Share::ALL.as_ppm() {
            return Err(ScenarioError::Versions(f64::from(sum) / 10_000.0));
        }
        let others = self.versions.iter().map(|(version, _)| version).chain(&self.floors);
        match others.into_iter().find(|other| !newer(&self.release, other)) {
            Some(other) => Err(ScenarioError::Older { release: self.release.clone(), other: other.clone() }),
            None => Ok(()),
        }
    }
}
