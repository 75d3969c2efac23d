//! What happens around the machine: what the server offers, what the operator wants, and what everybody got to know of it.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use payload::{PartName, Version};

use crate::stage::testing::TestRelease;

/// What a release is like in its trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Nature {
    /// It does its work.
    Good,
    /// Its health gate fails.
    Ill,
    /// Its kernel panics before anything is written.
    Panics,
}

/// The releases of these stories: what runs, and what comes.
pub(super) static RELEASES: LazyLock<Vec<TestRelease>> = LazyLock::new(|| {
    ["1.0.0", "1.1.0", "1.2.0"]
        .iter()
        .zip([101, 201, 301])
        .map(|(version, seed)| TestRelease::sized(version.parse().unwrap(), seed, 2 * 4096, 1300))
        .collect()
});

/// The release of a version.
pub(super) fn release(version: &Version) -> Option<&'static TestRelease> {
    RELEASES.iter().find(|release| release.release.version == *version)
}

/// The release that a boot entry belongs to.
pub(super) fn release_of(uki: &[u8]) -> Option<&'static TestRelease> {
    RELEASES.iter().find(|release| release.parts[&PartName::Uki] == uki)
}

/// Something from outside, once the machine is in a state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// Name of the state.
    pub(super) when: &'static str,
    pub(super) act: Act,
}

/// What comes from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// From now on the server offers this release, or none.
    Offer(Option<usize>),
    Reboot,
    Rollback,
    Cancel,
}

/// A scenario.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// What the server offers at first.
    pub(super) offer: Option<usize>,
    /// What the releases are like.
    pub(super) natures: [Nature; 3],
    /// The operator reboots; the machine does not by itself.
    pub(super) by_hand: bool,
    /// The firmware counts boots.
    pub(super) counts: bool,
    /// The machine runs 1.1.0 from slot B already, and slot A holds 1.0.0.
    pub(super) updated: bool,
    /// A download comes to a halt until it is cancelled.
    pub(super) stalls: bool,
    pub(super) steps: &'static [Step],
}

/// One event as the server got it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Told {
    pub(super) number: u64,
    pub(super) kind: u32,
    pub(super) result: u32,
    pub(super) code: Option<i64>,
    pub(super) release: Option<Version>,
    pub(super) cause: Option<String>,
    pub(super) repeated: bool,
    /// What ran when it was sent.
    pub(super) running: Version,
}

/// How far it is. It survives power cuts: it is what really happened.
#[derive(Debug, Clone, Hash)]
pub(super) struct Story {
    /// Steps done.
    pub(super) step: usize,
    pub(super) offer: Option<usize>,
    pub(super) told: Vec<Told>,
    /// Versions whose trial began.
    pub(super) tried: BTreeSet<Version>,
    /// Versions that failed a trial.
    pub(super) failed: BTreeSet<Version>,
    /// Boots so far.
    pub(super) boots: u32,
    /// Power cuts so far.
    pub(super) cuts: u32,
}

impl Story {
    pub(super) fn of(scenario: &Scenario) -> Self {
        Self { step: 0, offer: scenario.offer, told: Vec::new(), tried: BTreeSet::new(), failed: BTreeSet::new(), boots: 0, cuts: 0 }
    }
}
