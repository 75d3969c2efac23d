//! The order in which a release meets the machines: different for each release, the same on every replica.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Share;

/// What makes the order of one rollout unlike that of another. Random, made once when the rollout is made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Salt(pub String);

/// Where a machine stands in the order of one rollout: uniform over the whole range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

/// Keeps these hashes apart from any other use of SHA-256 over a machine id.
const DOMAIN: &[u8] = b"slipway rollout order 1\0";

impl Position {
    /// The position of `machine` under `salt`: the first eight bytes of SHA-256 over domain, salt, NUL and machine id.
    #[must_use]
    pub fn of(salt: &Salt, machine: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(salt.0.as_bytes())
            .chain_update([0u8])
            .chain_update(machine.as_bytes())
            .finalize();
        Self(digest.iter().take(8).fold(0, |sum: u64, byte| (sum << 8) | u64::from(*byte)))
    }

    /// The smallest share that reaches this machine.
    #[must_use]
    pub fn needs(self) -> Share {
        let parts = (u128::from(self.0) * u128::from(Share::ALL.as_ppm())) >> 64;
        Share::ppm(u32::try_from(parts).unwrap_or(u32::MAX).saturating_add(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.needs().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINES: usize = 20_000;

    fn positions(salt: &str) -> Vec<Position> {
        let salt = Salt(salt.to_owned());
        (0..MACHINES).map(|machine| Position::of(&salt, &format!("machine {machine}"))).collect()
    }

    #[test]
    fn the_order_is_part_of_the_format() {
        // Replicas of different versions must agree, so this may never change.
        assert_eq!(Position::of(&Salt("salt".to_owned()), "machine").needs(), Share::ppm(355_489));
    }

    #[test]
    fn positions_are_spread_evenly() {
        let mut tenths = [0usize; 10];
        for position in positions("a") {
            tenths[(position.needs().as_ppm() as usize - 1) / 100_000] += 1;
        }
        assert!(tenths.iter().all(|count| (1_800..2_200).contains(count)), "{tenths:?}");
    }

    #[test]
    fn two_releases_meet_different_machines_first() {
        let (one, two) = (positions("release one"), positions("release two"));
        let first = |positions: &[Position], machine: usize| positions[machine].needs() <= Share::percent(10);
        let (early, both) = (0..MACHINES).fold((0, 0), |(early, both), machine| {
            let early_once = first(&one, machine);
            (early + usize::from(early_once), both + usize::from(early_once && first(&two, machine)))
        });
        // Independent orders share a tenth of a tenth: 200 of 20,000, give or take 45 (3 sigma).
        assert!((1_800..2_200).contains(&early) && (150..250).contains(&both), "{early} early, {both} early twice");
    }

    #[test]
    fn salt_and_id_do_not_run_into_each_other() {
        assert_ne!(Position::of(&Salt("a".to_owned()), "bc"), Position::of(&Salt("ab".to_owned()), "c"));
    }
}
