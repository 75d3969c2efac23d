//! The brake: stops a rollout by itself when machines fail or fall silent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Counts, Share, Span, Time};

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

/// A brake that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no brake: write FAILURES:SAMPLE:SILENCE, e.g. 5:20:3h (5 % of at least 20 machines, silent for 3 hours)")]
pub struct BrakeError {
    /// What was written.
    pub text: String,
}

impl FromStr for Brake {
    type Err = BrakeError;

    fn from_str(text: &str) -> Result<Self, BrakeError> {
        let parts: Vec<&str> = text.splitn(4, ':').collect();
        let read = || {
            let [failures, sample, silence] = parts.as_slice() else { return None };
            Some(Self { max_failures: failures.parse().ok()?, sample: sample.parse().ok()?, silence: silence.parse().ok()? })
        };
        read().ok_or_else(|| BrakeError { text: text.chars().take(40).collect() })
    }
}

impl fmt::Display for Brake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", f64::from(self.max_failures), self.sample, self.silence)
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
    if canary || bad > brake.max_failures.of(judged.max(brake.sample)) {
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
    use super::*;
    use crate::policy::CanaryCounts;

    const BRAKE: Brake = Brake { max_failures: Share::percent(5), sample: 20, silence: Span::hours(3) };

    fn stops(completed: u64, failed: u64, rolled_back: u64, silent: u64) -> bool {
        let counts = Counts { population: 1_000, granted: 1_000, completed, failed, rolled_back, silent, ..Counts::NONE };
        judge(&counts, &BRAKE, false) != Verdict::Continue
    }

    #[test]
    fn stops_above_the_limit_and_not_at_it() {
        for (completed, failed, rolled_back, silent, stop) in [
            (0, 0, 0, 0, false),
            (95, 5, 0, 0, false),
            (94, 6, 0, 0, true),
            (94, 2, 2, 2, true),
            (950, 0, 50, 0, false),
            (949, 0, 0, 51, true),
            // Below the sample the share is taken of the sample: one of 20 may fail, the second stops it.
            (0, 1, 0, 0, false),
            (0, 2, 0, 0, true),
            (0, 0, 0, 2, true),
        ] {
            assert_eq!(stops(completed, failed, rolled_back, silent), stop, "{completed} {failed} {rolled_back} {silent}");
        }
    }

    #[test]
    fn one_bad_canary_is_enough_while_they_go_first() {
        let canaries = CanaryCounts { granted: 3, completed: 2, bad: 1 };
        let counts = Counts { population: 1_000, granted: 3, completed: 2, silent: 1, canaries, ..Counts::NONE };
        let Verdict::Stop(stop) = judge(&counts, &BRAKE, true) else { panic!("went on") };
        assert!(stop.canary);
        assert_eq!(stop.to_string(), "1 of 3 judged canaries went wrong (33.3333 %, 0 % allowed): 0 failed, 0 rolled back, 1 fell silent");
        assert_eq!(judge(&counts, &BRAKE, false), Verdict::Continue);
    }

    #[test]
    fn no_tolerance_means_the_first_failure_and_full_tolerance_means_never() {
        let strict = Brake { max_failures: Share::NONE, ..BRAKE };
        let careless = Brake { max_failures: Share::ALL, ..BRAKE };
        let counts = Counts { population: 10, granted: 10, failed: 1, ..Counts::NONE };
        assert!(judge(&counts, &strict, false) != Verdict::Continue);
        assert_eq!(judge(&Counts { failed: 10, ..counts }, &careless, false), Verdict::Continue);
    }

    #[test]
    fn silence_is_more_than_the_deadline() {
        assert!(!is_silent(Time(0), &BRAKE, Time(0) + Span::hours(3)));
        assert!(is_silent(Time(0), &BRAKE, Time(1) + Span::hours(3)));
        assert!(!is_silent(Time(10), &BRAKE, Time(0)), "a clock that steps back silences nobody");
    }

    #[test]
    fn brakes_survive_being_written() {
        assert_eq!(BRAKE.to_string().parse(), Ok(BRAKE));
        for text in ["", "5", "5:20", "5:20:3h:1", "x:20:3h", "5:-1:3h", "500:20:3h"] {
            assert!(text.parse::<Brake>().is_err(), "{text}");
        }
    }
}
