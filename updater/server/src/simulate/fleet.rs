//! The machines, packed, so that a million of them fit where a real fleet's rows would not.

use sha2::{Digest, Sha256};

use super::random::Random;
use super::scenario::Scenario;
use super::wheel::NOBODY;
use crate::policy::{Outcome, Position, Salt};

/// What a machine is doing; each has exactly one next event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Doing {
    /// Waits for its next check-in.
    Waiting,
    /// Is switched off; its next event is coming back.
    Away,
    /// Downloads; its next event is the end of that.
    Downloading,
    /// Reboots into what it downloaded; its next event is the word about that.
    Trying,
    /// Never comes back.
    Gone,
}

/// What the release does to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Fate {
    Completes,
    RollsBack,
    FallsSilent,
}

/// One machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host {
    /// Its place in the rollout's order.
    pub(crate) position: Position,
    /// Second of its last sign of life.
    pub(crate) seen: u32,
    /// Second at which it was granted the release.
    pub(crate) granted_at: u32,
    /// Download speed in kilobytes per second.
    pub(crate) rate: u32,
    /// Index of the version it runs.
    pub(crate) version: u8,
    /// Index of the version it installs.
    pub(crate) installs: u8,
    pub(crate) doing: Doing,
    pub(crate) fate: Fate,
    /// What has become of its grant; `None` without one.
    pub(crate) outcome: Option<Outcome>,
    /// Whether it was granted the release as a canary.
    pub(crate) canary: bool,
    /// Whether it waits in the watch for silence.
    pub(crate) watched: bool,
    /// Downloads that failed in a row.
    pub(crate) retries: u8,
    /// Downloads that failed since it was granted the release.
    pub(crate) tries: u8,
}

/// What one machine may take, with its links in the two wheels.
const MACHINE_BYTES: usize = 64;
const _: () = assert!(size_of::<Host>() + 2 * size_of_val(&NOBODY) <= MACHINE_BYTES, "a machine is too large");

/// Writes the id of machine `index` into `id`: 32 hex digits, like a machine-id. The same for a seed everywhere, so that the
/// load generator finds the machines that a server was filled with.
pub fn write_id(seed: u64, index: u32, id: &mut String) {
    let mut random = Random::of(seed, u64::from(index));
    id.clear();
    for word in [random.next(), random.next()] {
        for shift in (0..16).rev() {
            let digit = u32::try_from((word >> (shift * 4)) & 0xf).unwrap_or(0);
            id.push(char::from_digit(digit, 16).unwrap_or('0'));
        }
    }
}

/// The id of machine `index`.
pub(crate) fn machine_id(seed: u64, index: u32) -> String {
    let mut id = String::new();
    write_id(seed, index, &mut id);
    id
}

/// Keeps the machines' properties apart from their ids.
const TRAITS: u64 = 0x7472_6169_7473;

/// All machines, as they are before the first second.
pub(crate) fn fleet(scenario: &Scenario, salt: &Salt) -> Vec<Host> {
    let mut id = String::new();
    let host = |index| {
        write_id(scenario.seed, index, &mut id);
        let mut random = Random::of(scenario.seed ^ TRAITS, u64::from(index));
        let roll = random.below(1_000_000);
        let mut below = 0;
        let starts = scenario.versions.iter().position(|(_, share)| {
            below += u64::from(share.as_ppm());
            roll < below
        });
        let (fails, silent) = (u64::from(scenario.failures.as_ppm()), u64::from(scenario.silent.as_ppm()));
        let fate = match random.below(1_000_000) {
            roll if roll < fails => Fate::RollsBack,
            roll if roll < fails + silent => Fate::FallsSilent,
            _ => Fate::Completes,
        };
        let kilobytes = scenario.rate_bytes / 1_000;
        let rate = random.between((kilobytes / 4).max(1), (kilobytes * 7 / 4).max(1));
        Host {
            position: Position::of(salt, &id),
            seen: 0,
            granted_at: 0,
            rate: u32::try_from(rate).unwrap_or(u32::MAX),
            version: u8::try_from(starts.unwrap_or(0)).unwrap_or(0),
            installs: 0,
            doing: Doing::Waiting,
            fate,
            outcome: None,
            canary: false,
            watched: false,
            retries: 0,
            tries: 0,
        }
    };
    (0..scenario.machines).map(host).collect()
}

/// A running digest over everything that happens, to compare two runs.
pub(crate) struct Trail {
    hash: Sha256,
    buffer: Vec<u8>,
}

/// Bytes hashed at a time: large enough that hashing costs next to nothing per event.
const TRAIL_BYTES: usize = 64 * 1024;

impl Trail {
    pub(crate) fn new() -> Self {
        Self { hash: Sha256::new(), buffer: Vec::with_capacity(TRAIL_BYTES) }
    }

    /// Notes that `what` happened to `machine` at second `at`.
    pub(crate) fn note(&mut self, at: u32, machine: u32, what: u8) {
        if self.buffer.len() + 9 > TRAIL_BYTES {
            self.hash.update(&self.buffer);
            self.buffer.clear();
        }
        self.buffer.extend_from_slice(&at.to_le_bytes());
        self.buffer.extend_from_slice(&machine.to_le_bytes());
        self.buffer.push(what);
    }

    /// The digest in hex.
    pub(crate) fn finish(mut self) -> String {
        self.hash.update(&self.buffer);
        hex::encode(self.hash.finalize())
    }
}
