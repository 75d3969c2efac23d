//! The brake: stops a rollout by itself when too many machines came back from the release or fell silent.
//!
//! # What counts
//! A machine that was granted the release went wrong when it came back from it (rolled back, quarantined), when it was not
//! heard of for [`Brake::silence`], or when it failed to install it [`Brake::tries`] times or for [`Brake::patience`]. A
//! download that failed and is tried again counts for nothing: the machine still runs what it ran before.
//!
//! # How many are too many
//! While canaries go first, one. After that the share of [`Brake::max_failures`], and so many more that chance does not explain
//! it: of a release that is just good enough, two of the first two may well fail. The test is the score test, which is the
//! same as asking whether the lower end of Wilson's interval for the true share lies above the limit:
//! `bad - limit * judged > z * sqrt(judged * limit * (1 - limit))`. It is calculated in whole numbers, so that all replicas agree.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Counts, Share, Span, Time};

/// Machines that the share is taken of at least, unless a group sets another number: of twenty, four must go wrong at a limit of
/// 5 %. Fewer would let single broken machines stop a healthy release; more would let a bad one go further in small steps.
pub const SAMPLE: u64 = 20;
/// How long a granted machine may be silent: longer than a few polls (45 minutes) and a reboot.
pub const SILENCE: Span = Span::hours(3);
/// How often a machine may fail to install a release before it counts as gone wrong. A mirror that is away for an hour makes
/// three or four failures, with the pauses that machines make between them.
pub const TRIES: u64 = 5;
/// How long a machine may fail to install a release before it counts as gone wrong, however seldom it tries.
pub const PATIENCE: Span = Span::hours(24);
/// The square of `z`, in thousandths: 99 in 100 releases that are exactly at the limit pass one look at them (z = 2.576). The
/// brake looks again and again, so a release close below the limit may be stopped, one well below it is not.
const Z_SQUARED_PER_MILLE: u128 = 6_635;

/// When a rollout stops by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Brake {
    /// The largest share of judged grants that may have gone wrong; none means that the first one stops it.
    pub max_failures: Share,
    /// Below this many judged grants the share is taken of this number instead (of the whole group, if that is smaller): one
    /// failure among the first three is no third of the fleet.
    pub sample: u64,
    /// A granted machine without outcome that is not heard of for this long counts as gone wrong.
    pub silence: Span,
    /// A machine that failed to install the release this often counts as gone wrong.
    pub tries: u64,
    /// So does one that failed at least once and has not installed it this long after it was granted it.
    pub patience: Span,
}

impl Default for Brake {
    fn default() -> Self {
        Self { max_failures: Share::percent(5), sample: SAMPLE, silence: SILENCE, tries: TRIES, patience: PATIENCE }
    }
}

impl Brake {
    /// Whether `bad` of `judged` machines are more than chance explains if the release were just good enough.
    #[must_use]
    pub fn exceeded(&self, bad: u64, judged: u64) -> bool {
        let (all, limit) = (u128::from(Share::ALL.as_ppm()), u128::from(self.max_failures.as_ppm()));
        // Counts are of machines, of which a group holds a million; the clamp keeps the squares within 128 bits whatever comes.
        let (bad, judged) = (u128::from(bad.min(u64::from(u32::MAX))), u128::from(judged.min(u64::from(u32::MAX))));
        let (found, tolerated) = (bad * all, judged * limit);
        found > tolerated && (found - tolerated).pow(2) * 1_000 > Z_SQUARED_PER_MILLE * judged * limit * (all - limit)
    }

    /// How many the share is taken of.
    #[must_use]
    pub fn basis(&self, judged: u64, population: u64) -> u64 {
        judged.max(self.sample.min(population.max(1)))
    }

    /// The fewest machines gone wrong, out of `judged`, that stop a rollout; `None` when not even all of them would.
    #[must_use]
    pub fn fewest(&self, judged: u64) -> Option<u64> {
        let (mut low, mut high) = (0, judged);
        if !self.exceeded(high, judged) {
            return None;
        }
        while low + 1 < high {
            let middle = u64::midpoint(low, high);
            if self.exceeded(middle, judged) { high = middle } else { low = middle }
        }
        Some(high)
    }
}

/// A brake that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no brake: write FAILURES:SAMPLE:SILENCE, e.g. 5:20:3h (5 % of at least 20 machines, silent for 3 hours), and behind it :TRIES:PATIENCE if need be, e.g. 5:20:3h:5:1d"
)]
pub struct BrakeError {
    /// What was written.
    pub text: String,
}

impl FromStr for Brake {
    type Err = BrakeError;

    fn from_str(text: &str) -> Result<Self, BrakeError> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let read = || {
            let (first, more) = parts.split_at_checked(3)?;
            let [failures, sample, silence] = first else { return None };
            let (tries, patience) = match more {
                [] => (TRIES, PATIENCE),
                [tries, patience] => (tries.parse().ok().filter(|tries| *tries > 0)?, patience.parse().ok()?),
                _ => return None,
            };
            let (max_failures, sample, silence) = (failures.parse().ok()?, sample.parse().ok()?, silence.parse().ok()?);
            Some(Self { max_failures, sample, silence, tries, patience })
        };
        read().ok_or_else(|| BrakeError { text: text.chars().take(40).collect() })
    }
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max_failures, sample, silence, tries, patience } = self;
        write!(f, "{}:{sample}:{silence}", f64::from(*max_failures))?;
        if (*tries, *patience) == (TRIES, PATIENCE) { Ok(()) } else { write!(f, ":{tries}:{patience}") }
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

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { canary, failed, rolled_back, silent, judged, share, limit } = self;
        let bad = failed + rolled_back + silent;
        write!(f, "{bad} of {judged} judged {} went wrong ", if *canary { "canaries" } else { "machines" })?;
        write!(f, "({share}, {limit} allowed): {failed} failed, {rolled_back} rolled back, {silent} fell silent")
    }
}

/// Judges what has become of a rollout so far; while the canaries go first (`soaking`) a single bad one is enough.
///
/// Counts hold nothing but grants, so a machine that was never granted the release cannot stop it, whatever it reports,
/// and each machine counts once, however often it reports.
#[must_use]
pub fn judge(counts: &Counts, brake: &Brake, soaking: bool) -> Verdict {
    let (bad, judged) = (counts.bad(), counts.judged());
    let Counts { failed, rolled_back, silent, .. } = *counts;
    let canary = soaking && counts.canaries.bad > 0;
    if canary || brake.exceeded(bad, brake.basis(judged, counts.population)) {
        let limit = if canary { Share::NONE } else { brake.max_failures };
        return Verdict::Stop(Stop { canary, failed, rolled_back, silent, judged, share: Share::ratio(bad, judged), limit });
    }
    Verdict::Continue
}

/// Whether a granted machine without outcome counts as silent.
#[must_use]
pub fn is_silent(last_seen: Time, brake: &Brake, now: Time) -> bool {
    now.since(last_seen) > brake.silence
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::CanaryCounts;

    const BRAKE: Brake = Brake { max_failures: Share::percent(5), sample: SAMPLE, silence: SILENCE, tries: TRIES, patience: PATIENCE };

    fn stops(population: u64, completed: u64, failed: u64, rolled_back: u64, silent: u64) -> bool {
        let counts = Counts { population, granted: population, completed, failed, rolled_back, silent, ..Counts::NONE };
        judge(&counts, &BRAKE, false) != Verdict::Continue
    }

    #[test]
    fn stops_above_the_limit_and_not_by_chance() {
        for (population, completed, failed, rolled_back, silent, stop) in [
            (1_000_000, 0, 0, 0, 0, false),
            // The first words of a large fleet say little: four of less than twenty are too many, three are not.
            (1_000_000, 0, 0, 2, 0, false),
            (1_000_000, 0, 0, 3, 0, false),
            (1_000_000, 0, 0, 4, 0, true),
            (1_000_000, 17, 0, 3, 0, false),
            (1_000_000, 16, 0, 4, 0, true),
            // All three kinds count alike.
            (1_000_000, 16, 1, 2, 1, true),
            (1_000_000, 16, 0, 0, 4, true),
            (1_000_000, 16, 4, 0, 0, true),
            // The more is known, the closer to the limit.
            (1_000_000, 90, 0, 10, 0, false),
            (1_000_000, 89, 0, 11, 0, true),
            (1_000_000, 933, 0, 67, 0, false),
            (1_000_000, 932, 0, 68, 0, true),
            (1_000_000, 947_000, 0, 53_000, 0, true),
            (1_000_000, 950_000, 0, 50_000, 0, false),
            (1_000_000, 999_000, 0, 1_000, 0, false),
            // A group smaller than the sample is judged as a whole.
            (1, 0, 0, 1, 0, true),
            (2, 0, 0, 1, 0, true),
            (3, 0, 0, 1, 0, false),
            (3, 0, 0, 2, 0, true),
            (10, 8, 0, 2, 0, false),
            (10, 0, 0, 3, 0, true),
        ] {
            assert_eq!(
                stops(population, completed, failed, rolled_back, silent),
                stop,
                "{population}: {completed} {failed} {rolled_back} {silent}"
            );
        }
    }

    #[test]
    fn how_many_are_too_many() {
        for (limit, judged, fewest) in [
            (5, 20, Some(4)),
            (5, 100, Some(11)),
            (5, 1_000, Some(68)),
            (5, 10_000, Some(557)),
            (5, 1_000_000, Some(50_562)),
            (1, 20, Some(2)),
            (1, 100, Some(4)),
            (30, 20, Some(12)),
            (0, 20, Some(1)),
            (100, 20, None),
            (90, 1, None),
            (5, 0, None),
        ] {
            let brake = Brake { max_failures: Share::percent(limit), ..BRAKE };
            assert_eq!(brake.fewest(judged), fewest, "{limit} % of {judged}");
        }
    }

    #[test]
    fn one_bad_canary_is_enough_while_they_go_first() {
        for (granted, completed) in [(1, 0), (3, 2), (10, 9), (500, 499)] {
            let canaries = CanaryCounts { granted, completed, bad: 1 };
            let counts = Counts { population: 1_000_000, granted, completed, silent: 1, canaries, ..Counts::NONE };
            let Verdict::Stop(stop) = judge(&counts, &BRAKE, true) else { panic!("went on") };
            assert!(stop.canary, "{granted}");
            assert_eq!(judge(&counts, &BRAKE, false), Verdict::Continue, "{granted}");
            let careless = Brake { max_failures: Share::ALL, ..BRAKE };
            assert!(judge(&counts, &careless, true) != Verdict::Continue, "canaries do not ask what the fleet tolerates");
        }
        let canaries = CanaryCounts { granted: 3, completed: 2, bad: 1 };
        let counts = Counts { population: 1_000, granted: 3, completed: 2, silent: 1, canaries, ..Counts::NONE };
        let Verdict::Stop(stop) = judge(&counts, &BRAKE, true) else { panic!("went on") };
        assert_eq!(stop.to_string(), "1 of 3 judged canaries went wrong (33.3333 %, 0 % allowed): 0 failed, 0 rolled back, 1 fell silent");
    }

    #[test]
    fn no_tolerance_means_the_first_failure_and_full_tolerance_means_never() {
        let strict = Brake { max_failures: Share::NONE, ..BRAKE };
        let careless = Brake { max_failures: Share::ALL, ..BRAKE };
        let counts = Counts { population: 10, granted: 10, failed: 1, ..Counts::NONE };
        assert!(judge(&counts, &strict, false) != Verdict::Continue);
        assert_eq!(judge(&Counts { failed: 10, ..counts }, &careless, false), Verdict::Continue);
        assert_eq!(judge(&Counts::NONE, &strict, false), Verdict::Continue, "nothing went wrong");
    }

    #[test]
    fn silence_is_more_than_the_deadline() {
        assert!(!is_silent(Time(0), &BRAKE, Time(0) + Span::hours(3)));
        assert!(is_silent(Time(0), &BRAKE, Time(1) + Span::hours(3)));
        assert!(!is_silent(Time(10), &BRAKE, Time(0)), "a clock that steps back silences nobody");
    }

    #[test]
    fn brakes_survive_being_written() {
        let patient = Brake { tries: 9, patience: Span::hours(48), ..BRAKE };
        for brake in [BRAKE, patient] {
            assert_eq!(brake.to_string().parse(), Ok(brake));
        }
        assert_eq!((BRAKE.to_string().as_str(), patient.to_string().as_str()), ("5:20:3h", "5:20:3h:9:2d"));
        for text in ["", "5", "5:20", "5:20:3h:1", "5:20:3h:0:1d", "5:20:3h:5:1d:1", "x:20:3h", "5:-1:3h", "500:20:3h"] {
            assert!(text.parse::<Brake>().is_err(), "{text}");
        }
        let old: Brake = serde_json::from_str(r#"{"max-failures":5,"sample":20,"silence":"3h"}"#).unwrap();
        assert_eq!(old, BRAKE, "rollouts stored before there were tries");
    }

    proptest! {
        #[test]
        fn it_never_stops_at_or_below_the_limit_and_always_when_all_go_wrong(limit in 0u32..=50, judged in 20u64..2_000_000, bad in 0u64..2_000_000) {
            let (brake, bad) = (Brake { max_failures: Share::percent(limit), ..BRAKE }, bad.min(judged));
            if bad <= brake.max_failures.of(judged) {
                prop_assert!(!brake.exceeded(bad, judged));
            }
            prop_assert!(brake.exceeded(judged, judged));
        }

        #[test]
        fn one_more_gone_wrong_never_releases_it_and_one_more_completed_never_pulls_it(
            limit in 0u32..=100, judged in 1u64..1_000_000, bad in 0u64..1_000_000,
        ) {
            let (brake, bad) = (Brake { max_failures: Share::percent(limit), ..BRAKE }, bad.min(judged));
            if brake.exceeded(bad, judged) {
                prop_assert!(bad == judged || brake.exceeded(bad + 1, judged));
            } else {
                prop_assert!(!brake.exceeded(bad, judged + 1));
            }
        }

        #[test]
        fn the_fewest_is_where_it_changes(limit in 0u32..=100, judged in 1u64..1_000_000) {
            let brake = Brake { max_failures: Share::percent(limit), ..BRAKE };
            match brake.fewest(judged) {
                Some(fewest) => prop_assert!(brake.exceeded(fewest, judged) && !brake.exceeded(fewest - 1, judged)),
                None => prop_assert!(!brake.exceeded(judged, judged)),
            }
        }

        /// The whole numbers say what Wilson's formula says, wherever that is not a matter of the last digit.
        #[test]
        fn it_is_wilsons_lower_bound(limit in 1u32..=99, judged in 1u32..1_000_000, bad in 0u32..1_000_000) {
            let (brake, bad) = (Brake { max_failures: Share::percent(limit), ..BRAKE }, bad.min(judged));
            let (n, p, z2) = (f64::from(judged), f64::from(bad) / f64::from(judged), 6.635_f64);
            let lower = (p + z2 / (2.0 * n) - (z2 * (p * (1.0 - p) / n + z2 / (4.0 * n * n))).sqrt()) / (1.0 + z2 / n);
            let distance = lower - f64::from(limit) / 100.0;
            if distance.abs() > 1e-9 {
                prop_assert_eq!(brake.exceeded(bad.into(), judged.into()), distance > 0.0);
            }
        }

        #[test]
        fn no_count_is_too_large(bad in any::<u64>(), judged in any::<u64>(), ppm in any::<u32>()) {
            let brake = Brake { max_failures: Share::ppm(ppm), ..BRAKE };
            let _ = brake.exceeded(bad, judged);
        }
    }
}
