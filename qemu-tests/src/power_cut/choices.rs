//! Which of several unflushed sectors survived a cut: all ways where they are few, a stated selection where they are many.

use serde::Serialize;

/// How many ways of each kind are tried where there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Limits {
    /// Up to this many ways are all tried.
    pub exhaustive: usize,
    /// Prefixes of the order in which sectors were written, spread evenly when there are more.
    pub prefixes: usize,
    /// Sectors that alone are lost, and sectors that alone are kept.
    pub singles: usize,
    /// Pairs of sectors that are lost together.
    pub pairs: usize,
    /// Random subsets.
    pub random: usize,
}

impl Limits {
    /// Twelve sectors with one unflushed content each in every way, and a broad selection beyond.
    pub const FINE: Self = Self { exhaustive: 1 << 12, prefixes: 256, singles: 96, pairs: 256, random: 64 };
    /// For the many moments at which only the firmware's flash changes.
    pub const COARSE: Self = Self { exhaustive: 16, prefixes: 6, singles: 2, pairs: 0, random: 4 };
}

/// One way: for each sector zero for what was there before, or which of its unflushed contents.
pub type Choice = Vec<u8>;

/// Whether all ways were tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Every one.
    All,
    /// A selection.
    Sampled,
}

/// The ways to choose for sectors of which `alternatives` says how many unflushed contents each has. `written` lists sector and
/// content in the order in which they were written.
#[must_use]
pub fn choices(alternatives: &[u8], written: &[(usize, u8)], limits: Limits, seed: u64) -> (Vec<Choice>, Extent) {
    let ways = alternatives.iter().try_fold(1_usize, |ways, count| ways.checked_mul(usize::from(*count) + 1));
    match ways.filter(|ways| *ways <= limits.exhaustive) {
        Some(ways) => (all(alternatives, ways), Extent::All),
        None => (sampled(alternatives, written, limits, seed), Extent::Sampled),
    }
}

fn all(alternatives: &[u8], ways: usize) -> Vec<Choice> {
    let way = |mut number: usize| {
        let digit = |count: &u8| {
            let base = usize::from(*count) + 1;
            let digit = (number % base) as u8;
            number /= base;
            digit
        };
        alternatives.iter().map(digit).collect()
    };
    (0..ways).map(way).collect()
}

fn sampled(alternatives: &[u8], written: &[(usize, u8)], limits: Limits, seed: u64) -> Vec<Choice> {
    let none = vec![0; alternatives.len()];
    let last: Choice = alternatives.to_vec();
    let mut found = Vec::new();
    let mut prefix = none.clone();
    let mut wanted = spread(written.len() + 1, limits.prefixes).into_iter().peekable();
    for done in 0..=written.len() {
        if wanted.next_if_eq(&done).is_some() {
            found.push(prefix.clone());
        }
        if let Some((sector, content)) = written.get(done) {
            prefix[*sector] = *content;
        }
    }
    found.push(last.clone());
    for sector in spread(alternatives.len(), limits.singles) {
        let (mut dropped, mut kept) = (last.clone(), none.clone());
        dropped[sector] = 0;
        kept[sector] = alternatives[sector];
        found.extend([dropped, kept]);
    }
    let count = alternatives.len();
    let pairs = spread(count * (count - 1) / 2, limits.pairs);
    let mut wanted = pairs.into_iter().peekable();
    let every = (0..count).flat_map(|one| (one + 1..count).map(move |two| (one, two)));
    for (number, (one, two)) in every.enumerate() {
        if wanted.next_if_eq(&number).is_some() {
            let mut lost = last.clone();
            (lost[one], lost[two]) = (0, 0);
            found.push(lost);
        }
        if wanted.peek().is_none() {
            break;
        }
    }
    let mut random = Random(seed);
    for _ in 0..limits.random {
        found.push(alternatives.iter().map(|count| (random.number() % (u64::from(*count) + 1)) as u8).collect());
    }
    found
}

/// At most `most` numbers below `count`, evenly spread, rising, with the first and the last.
fn spread(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    let mut numbers: Vec<usize> = (0..most).map(|index| index * (count - 1) / most.saturating_sub(1).max(1)).collect();
    numbers.dedup();
    numbers
}

/// SplitMix64 (Steele, Lea and Flood): small, and the same everywhere for the same seed.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const LIMITS: Limits = Limits { exhaustive: 4096, prefixes: 10, singles: 5, pairs: 7, random: 3 };

    #[test]
    fn few_sectors_are_tried_in_every_way() {
        let (found, extent) = choices(&[1, 2, 1], &[], LIMITS, 0);
        let distinct: HashSet<_> = found.iter().cloned().collect();
        assert_eq!((found.len(), distinct.len(), extent), (12, 12, Extent::All));
        assert!(distinct.contains(&vec![1, 2, 0]));
        assert_eq!(choices(&[1; 12], &[], LIMITS, 0).0.len(), 4096);
        assert_eq!(choices(&[], &[], LIMITS, 0).0, [Choice::new()]);
    }

    #[test]
    fn of_many_sectors_every_kind_is_tried() {
        let written: Vec<_> = (0..20).map(|sector| (sector, 1)).chain([(3, 2)]).collect();
        let mut alternatives = vec![1; 20];
        alternatives[3] = 2;
        let (found, extent) =
            choices(&alternatives, &written, Limits { exhaustive: 4096, prefixes: 99, singles: 99, pairs: 999, random: 4 }, 1);
        assert_eq!(extent, Extent::Sampled);
        assert_eq!(found.len(), 22 + 1 + 2 * 20 + 190 + 4);
        let half: Choice = (0..20).map(|sector| u8::from(sector < 10)).collect();
        let mut without_five = alternatives.clone();
        without_five[5] = 0;
        let only_three: Choice = (0..20).map(|sector| if sector == 3 { 2 } else { 0 }).collect();
        let mut without_pair = alternatives.clone();
        (without_pair[0], without_pair[19]) = (0, 0);
        for expected in [vec![0; 20], alternatives.clone(), half, without_five, only_three, without_pair] {
            assert!(found.contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn limits_hold_and_the_seed_decides() {
        let written: Vec<_> = (0..3000).map(|sector| (sector, 1)).collect();
        let (one, _) = choices(&[1; 3000], &written, LIMITS, 1);
        assert_eq!(one.len(), 10 + 1 + 2 * 5 + 7 + 3);
        assert_eq!(one, choices(&[1; 3000], &written, LIMITS, 1).0);
        assert_ne!(one, choices(&[1; 3000], &written, LIMITS, 2).0);
    }
}
