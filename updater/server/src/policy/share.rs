//! A share of a population, exact.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A share in parts per million; written as a percentage (`0.5`, `10`, `100`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u32);

impl Share {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(1_000_000);

    /// That many parts per million; more than everybody is everybody.
    #[must_use]
    pub const fn ppm(parts: u32) -> Self {
        if parts > Self::ALL.0 { Self::ALL } else { Self(parts) }
    }

    /// That many per cent; more than everybody is everybody.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::ppm(percent.saturating_mul(10_000))
    }

    /// In parts per million.
    #[must_use]
    pub const fn as_ppm(self) -> u32 {
        self.0
    }

    /// How many of `population` this share allows, rounded down: a share is never exceeded, not even by one machine.
    #[must_use]
    pub fn of(self, population: u64) -> u64 {
        let parts = u128::from(population) * u128::from(self.0) / u128::from(Self::ALL.0);
        u64::try_from(parts).unwrap_or(population)
    }

    /// The smallest share that allows `count` of `population`; `None` when not even everybody would do.
    #[must_use]
    pub fn needed_for(count: u64, population: u64) -> Option<Self> {
        if count > population {
            return None;
        }
        if population == 0 {
            return Some(Self::NONE);
        }
        let parts = (u128::from(count) * u128::from(Self::ALL.0)).div_ceil(u128::from(population));
        u32::try_from(parts).ok().map(Self::ppm)
    }

    /// The share that `part` is of `whole`, rounded down; nobody of nothing.
    #[must_use]
    pub fn ratio(part: u64, whole: u64) -> Self {
        let parts = (u128::from(part) * u128::from(Self::ALL.0)).checked_div(u128::from(whole)).unwrap_or(0);
        Self::ppm(u32::try_from(parts).unwrap_or(u32::MAX))
    }
}

/// A percentage that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no percentage: write a number between 0 and 100, with at most four decimals")]
pub struct ShareError {
    /// What was written.
    pub text: String,
}

impl TryFrom<f64> for Share {
    type Error = ShareError;

    fn try_from(percent: f64) -> Result<Self, ShareError> {
        if !(0.0..=100.0).contains(&percent) {
            return Err(ShareError { text: percent.to_string() });
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 1,000,000 by the line above
        Ok(Self((percent * 10_000.0).round() as u32))
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        Self::from(share.0) / 10_000.0
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let number = text.trim().trim_end_matches('%').trim_end().parse::<f64>();
        let error = || ShareError { text: text.chars().take(40).collect() };
        number.map_err(|_| error())?.try_into().map_err(|_| error())
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} %", f64::from(*self))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_share_is_rounded_down() {
        for (percent, population, allowed) in [(10, 9, 0), (10, 10, 1), (10, 19, 1), (50, 3, 1), (100, 3, 3), (0, 1_000_000, 0), (1, 99, 0)]
        {
            assert_eq!(Share::percent(percent).of(population), allowed, "{percent} % of {population}");
        }
        assert_eq!(Share::ALL.of(u64::MAX), u64::MAX);
    }

    #[test]
    fn refuses_what_is_no_percentage() {
        for text in ["", "x", "-1", "100.1", "nan", "inf", "1e9"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        assert_eq!("0.5 %".parse(), Ok(Share::ppm(5_000)));
        assert!(serde_json::from_str::<Share>("101").is_err());
    }

    proptest! {
        #[test]
        fn needed_for_is_the_smallest_share_that_will_do(population in 0u64..1_000_000, count in 0u64..1_000_000) {
            match Share::needed_for(count, population) {
                None => prop_assert!(count > population),
                Some(share) => {
                    prop_assert!(share.of(population) >= count);
                    prop_assert!(share == Share::NONE || Share::ppm(share.as_ppm() - 1).of(population) < count);
                }
            }
        }

        #[test]
        fn shares_survive_being_written(parts in 0u32..=1_000_000) {
            let share = Share::ppm(parts);
            prop_assert_eq!(serde_json::from_str::<Share>(&serde_json::to_string(&share).unwrap()).unwrap(), share);
            prop_assert_eq!(share.to_string().parse(), Ok(share));
        }
    }
}
