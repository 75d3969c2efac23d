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
            .chain_update([0])
            .chain_update(machine.as_bytes())
            .finalize();
        Self(digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
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
