//! The share of machines that may have been granted a release, over the time the rollout has been running.

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
    /// Two days, slow at first: most bad releases show themselves on the first per cent.
    fn default() -> Self {
        let corners = [(0, 1), (2, 5), (12, 25), (24, 60), (48, 100)];
        Self { steps: false, points: corners.map(|(hours, percent)| (Span::hours(hours), Share::percent(percent))).to_vec() }
    }
}

impl FromStr for Ramp {
    type Err = RampError;

    fn from_str(text: &str) -> Result<Self, RampError> {
        let (steps, corners) = match text.trim().strip_prefix("steps ") {
            Some(corners) => (true, corners),
            None => (false, text.trim()),
        };
        let point = |corner: &str| {
            let error = |problem: String| RampError::Corner { corner: corner.chars().take(40).collect(), problem };
            let (after, share) = corner.split_once(':').ok_or_else(|| error("there is no `:`".to_owned()))?;
            Ok((after.parse().map_err(|e| error(format!("{e}")))?, share.parse().map_err(|e| error(format!("{e}")))?))
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
