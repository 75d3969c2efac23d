//! The share of machines that may have been granted a release, over the time the rollout has been running.
//!
//! Without a ramp everybody may have it at once. A good one to begin with on a larger fleet is
//! `0h:1,2h:5,12h:25,24h:60,48h:100`: slow at first, because most bad releases show themselves on the first per cent, and a
//! machine needs up to an hour to ask, install, reboot and report.
//!
//! Shares are shares of the machines that were there when the rollout began. Machines that appear later (*newcomers*: scaled
//! up, reinstalled, or invented by somebody) are not part of that number, so they wait until the ramp is at 100 % and then,
//! as without a ramp, get the release at once. Otherwise they would either exceed the share or take the place of others.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Share, Span};

/// Corners in one ramp: more than anybody draws, few enough to walk on every decision.
pub const MAX_POINTS: usize = 64;

/// A curve of shares that never falls. Written `0h:1,1h:10,24h:100` (straight lines between the corners) or
/// `steps 0h:1,1h:10,24h:100` (each share holds until the next corner).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ramp {
    steps: bool,
    points: Vec<(Span, Share)>,
}

/// A ramp that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RampError {
    /// A corner is not `SPAN:PERCENT`.
    #[error("corner `{corner}` of the ramp: {problem}; write e.g. 0h:1,1h:10,24h:100")]
    Corner {
        /// What was written.
        corner: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The corners are not in rising order.
    #[error("corner {after}:{share} of the ramp must come later than the one before it and must not be lower")]
    Order {
        /// Its time.
        after: Span,
        /// Its share.
        share: Share,
    },
    /// Too few or too many corners.
    #[error("a ramp has 1 to {MAX_POINTS} corners, not {0}")]
    Count(usize),
}

impl Ramp {
    /// Checks the corners. With `steps` each share holds until the next corner; otherwise straight lines join them.
    ///
    /// # Errors
    /// Too many corners or none, or corners that do not rise.
    pub fn new(steps: bool, points: Vec<(Span, Share)>) -> Result<Self, RampError> {
        if points.is_empty() || points.len() > MAX_POINTS {
            return Err(RampError::Count(points.len()));
        }
        for pair in points.windows(2) {
            let [before, (after, share)] = pair else { continue };
            if *after <= before.0 || *share < before.1 {
                return Err(RampError::Order { after: *after, share: *share });
            }
        }
        Ok(Self { steps, points })
    }

    /// Everybody, at once.
    #[must_use]
    pub fn at_once() -> Self {
        Self { steps: true, points: vec![(Span::ZERO, Share::ALL)] }
    }

    /// The corners.
    #[must_use]
    pub fn points(&self) -> &[(Span, Share)] {
        &self.points
    }

    /// The share after the ramp has been running for `elapsed`; nobody before the first corner.
    #[must_use]
    pub fn share(&self, elapsed: Span) -> Share {
        let next = self.points.partition_point(|(after, _)| *after <= elapsed);
        let Some(&(start, low)) = next.checked_sub(1).and_then(|last| self.points.get(last)) else { return Share::NONE };
        let Some(&(end, high)) = self.points.get(next) else { return low };
        if self.steps {
            return low;
        }
        let rise = u128::from(high.as_ppm() - low.as_ppm()) * u128::from(elapsed.0 - start.0) / u128::from(end.0 - start.0);
        Share::ppm(low.as_ppm() + u32::try_from(rise).unwrap_or(0))
    }

    /// The earliest moment at which the share is `wanted` or more; `None` if it never is.
    #[must_use]
    pub fn reaches(&self, wanted: Share) -> Option<Span> {
        let next = self.points.iter().position(|(_, share)| *share >= wanted)?;
        let &(end, high) = self.points.get(next)?;
        let Some(&(start, low)) = next.checked_sub(1).and_then(|last| self.points.get(last)) else { return Some(end) };
        if self.steps {
            return Some(end);
        }
        // The inverse of the division in `share`: floor(rise * t / width) >= missing exactly when t >= ceil(missing * width / rise).
        let missing = u128::from(wanted.as_ppm() - low.as_ppm()) * u128::from(end.0 - start.0);
        let wait = missing.div_ceil(u128::from(high.as_ppm() - low.as_ppm()));
        Some(start.plus(Span(u64::try_from(wait).unwrap_or(u64::MAX))))
    }
}

impl Default for Ramp {
    /// Nobody drew a ramp, so there is none: everybody at once, and newcomers too. A curve that nobody asked for would keep
    /// a new server's first machines waiting for days without anything being wrong. The brake watches all the same; see the
    /// [module](self) for a ramp to begin with.
    fn default() -> Self {
        Self::at_once()
    }
}

impl FromStr for Ramp {
    type Err = RampError;

    fn from_str(text: &str) -> Result<Self, RampError> {
        let (steps, corners) = match text.trim().strip_prefix("steps ") {
            Some(corners) => (true, corners),
            None => (false, text.trim()),
        };
        let point = |corner: &str| -> Result<(Span, Share), RampError> {
            let error = |problem: String| RampError::Corner { corner: corner.chars().take(40).collect(), problem };
            let (after, share) = corner.split_once(':').ok_or_else(|| error("there is no `:`".to_owned()))?;
            Ok((after.parse::<Span>().map_err(|e| error(format!("{e}")))?, share.parse::<Share>().map_err(|e| error(format!("{e}")))?))
        };
        // One more than allowed is enough to refuse it.
        Self::new(steps, corners.split(',').take(MAX_POINTS + 1).map(point).collect::<Result<_, _>>()?)
    }
}

impl TryFrom<String> for Ramp {
    type Error = RampError;

    fn try_from(text: String) -> Result<Self, RampError> {
        text.parse()
    }
}

impl From<Ramp> for String {
    fn from(ramp: Ramp) -> Self {
        ramp.to_string()
    }
}

impl fmt::Display for Ramp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.steps { "steps " } else { "" })?;
        for (index, (after, share)) in self.points.iter().enumerate() {
            write!(f, "{}{after}:{}", if index > 0 { "," } else { "" }, f64::from(*share))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ramp: &str, minutes: u64) -> Share {
        ramp.parse::<Ramp>().unwrap().share(Span::minutes(minutes))
    }

    #[test]
    fn straight_lines_join_the_corners() {
        let ramp = "0h:1,1h:10,24h:100";
        for (minutes, ppm) in [(0, 10_000), (30, 55_000), (60, 100_000), (24 * 60, 1_000_000), (99 * 60, 1_000_000)] {
            assert_eq!(at(ramp, minutes), Share::ppm(ppm), "after {minutes} minutes");
        }
        assert_eq!(at("1h:50", 59), Share::NONE);
        assert_eq!(at("1h:50", 60), Share::percent(50));
    }

    #[test]
    fn steps_hold_until_the_next_corner() {
        assert_eq!(at("steps 0h:1,1h:10", 59), Share::percent(1));
        assert_eq!(at("steps 0h:1,1h:10", 60), Share::percent(10));
    }

    #[test]
    fn refuses_ramps_that_do_not_rise() {
        for text in ["", "0h", "0h:1,0h:2", "2h:1,1h:2", "0h:5,1h:4", "0h:101", "x:1", "0h:1,", "steps", "0h:1;1h:2"] {
            assert!(text.parse::<Ramp>().is_err(), "{text}");
        }
        let many: Vec<String> = (0..=MAX_POINTS).map(|hour| format!("{hour}h:1")).collect();
        assert_eq!(many.join(",").parse::<Ramp>(), Err(RampError::Count(MAX_POINTS + 1)));
    }

    fn ramps() -> impl Strategy<Value = Ramp> {
        let corners = prop::collection::btree_map(0u64..1_000_000_000, 0u32..=1_000_000, 1..10);
        (any::<bool>(), corners).prop_map(|(steps, corners)| {
            let mut shares: Vec<u32> = corners.values().copied().collect();
            shares.sort_unstable();
            Ramp::new(steps, corners.keys().zip(shares).map(|(after, share)| (Span(*after), Share::ppm(share))).collect()).unwrap()
        })
    }

    proptest! {
        #[test]
        fn a_share_never_falls(ramp in ramps(), a in 0u64..1_100_000_000, b in 0u64..1_100_000_000) {
            prop_assert!(ramp.share(Span(a.min(b))) <= ramp.share(Span(a.max(b))));
        }

        #[test]
        fn reaches_is_the_first_moment(ramp in ramps(), wanted in 0u32..=1_000_000) {
            let wanted = Share::ppm(wanted);
            match ramp.reaches(wanted) {
                None => prop_assert!(ramp.share(Span(u64::MAX)) < wanted),
                Some(at) => {
                    prop_assert!(ramp.share(at) >= wanted);
                    prop_assert!(at == Span::ZERO || ramp.share(Span(at.0 - 1)) < wanted || wanted == Share::NONE);
                }
            }
        }

        #[test]
        fn ramps_survive_being_written(ramp in ramps()) {
            prop_assert_eq!(ramp.to_string().parse::<Ramp>(), Ok(ramp));
        }
    }
}
