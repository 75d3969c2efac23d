//! Latencies: counts in buckets whose width grows with the value, so that every quantile is within 1 %.

/// Buckets per doubling, as a power of two: 128, so a bucket is at most 1/128 of its value wide.
const BITS: u32 = 7;
/// Values below `1 << (BITS + 1)` have a bucket each; above that, every doubling up to 2^64 has `1 << BITS` of them.
const BUCKETS: usize = ((64 - BITS) as usize + 1) << BITS;

/// Counts of microseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn add(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(bucket(value)) {
            *count += 1;
        }
        self.total += 1;
        self.max = self.max.max(value);
    }

    /// Counts everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many values were counted.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The largest value.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// The value that `per_mille` of a thousand values do not exceed, rounded up by at most 1 %; 0 when nothing was counted.
    #[must_use]
    pub fn quantile(&self, per_mille: u64) -> u64 {
        let wanted = (u128::from(self.total) * u128::from(per_mille)).div_ceil(1_000).max(1);
        let mut sum = 0;
        for (index, count) in self.counts.iter().enumerate() {
            sum += u128::from(*count);
            if sum >= wanted {
                return highest(index).min(self.max);
            }
        }
        self.max
    }
}

/// The bucket of `value`.
const fn bucket(value: u64) -> usize {
    let shift = (64 - value.leading_zeros()).saturating_sub(BITS + 1);
    ((shift as usize) << BITS) + (value >> shift) as usize
}

/// The largest value in a bucket.
const fn highest(index: usize) -> u64 {
    let shift = (index >> BITS).saturating_sub(1);
    let head = (index - (shift << BITS)) as u64;
    (head << shift) | ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantiles_of_a_thousand() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(500), 0);
        (1..=1_000).for_each(|value| histogram.add(value));
        for (per_mille, value) in [(1, 1), (500, 500), (990, 990), (999, 999), (1_000, 1_000)] {
            let found = histogram.quantile(per_mille);
            assert!((value..=value + value / 100).contains(&found), "{per_mille}: {found}");
        }
        assert_eq!((histogram.total(), histogram.max()), (1_000, 1_000));
    }

    #[test]
    fn merging_counts_both() {
        let (mut one, mut two) = (Histogram::default(), Histogram::default());
        one.add(1);
        two.add(1_000_000);
        one.merge(&two);
        assert_eq!((one.total(), one.quantile(500), one.quantile(1_000)), (2, 1, 1_000_000));
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_value_and_is_narrow(value in any::<u64>(), shift in 0u32..64) {
            let value = value >> shift;
            let (index, highest) = (bucket(value), highest(bucket(value)));
            prop_assert!(index < BUCKETS && highest >= value && highest - value <= value / 128, "{index} {highest}");
            prop_assert!(value == 0 || bucket(value - 1) <= index);
        }
    }
}
