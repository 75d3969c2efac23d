//! Which part of the machine a sector belongs to, and how finely its states are explored.

use std::collections::BTreeSet;

use image_builder::disk::PartitionSpec;
use image_builder::slot::Slot;
use serde::Serialize;

use super::machine::{DISK, VARIABLES};
use super::recording::Recording;
use super::sector::{At, SECTOR};
use crate::nbd::recorder::Event;
use crate::nbd::wire::Op;

/// Both ends of the disk that hold no partition, in bytes.
const TABLE_BYTES: u64 = 1 << 20;
/// A write to the ESP that is at least this long is part of a boot entry, in bytes: tables and folders are written in smaller pieces.
const BULK_BYTES: u64 = 32 << 10;

/// A part of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The partition tables at both ends of the disk.
    Table,
    /// Allocation tables, folders and small files of the ESP.
    Esp,
    /// The content of boot entries on the ESP.
    EspBulk,
    /// Root and hash tree of slot A.
    SlotA,
    /// Root and hash tree of slot B.
    SlotB,
    /// The OEM partition.
    Oem,
    /// The state partition.
    State,
    /// The firmware's variables.
    Variables,
}

impl Place {
    /// All of them.
    pub const ALL: [Self; 8] = [Self::Table, Self::Esp, Self::EspBulk, Self::SlotA, Self::SlotB, Self::Oem, Self::State, Self::Variables];

    /// Nobody trusts this before it is whole, so "none, a part, all" are its states.
    #[must_use]
    pub fn is_bulk(self) -> bool {
        matches!(self, Self::EspBulk | Self::SlotA | Self::SlotB)
    }
}

impl From<Slot> for Place {
    fn from(slot: Slot) -> Self {
        match slot {
            Slot::A => Self::SlotA,
            Slot::B => Self::SlotB,
        }
    }
}

/// Where everything is. Updates never move it.
#[derive(Debug, Clone)]
pub struct Map {
    disk_bytes: u64,
    /// Sectors of the ESP with parts of boot entries.
    bulk: BTreeSet<u64>,
    /// All others of the ESP that are ever written.
    small: BTreeSet<u64>,
}

impl Map {
    /// The map for a recording.
    #[must_use]
    pub fn of(recording: &Recording) -> Self {
        let esp = extent("esp");
        let (mut bulk, mut small) = (BTreeSet::new(), BTreeSet::new());
        for event in &recording.events {
            if let Event::Submit { disk: DISK, op: Op::Write, offset, len, .. } = event
                && esp.contains(offset)
            {
                let set = if *len >= BULK_BYTES { &mut bulk } else { &mut small };
                set.extend(offset / SECTOR..(offset + len) / SECTOR);
            }
        }
        // The tables are written in long pieces too when a lot changes; they are never bulk.
        let data = esp_data_start(recording).map_or(u64::MAX, |start| (esp.start + start) / SECTOR);
        let bulk = bulk.split_off(&data);
        Self { disk_bytes: recording.bases[DISK].bytes, small: small.difference(&bulk).copied().collect(), bulk }
    }

    /// Sectors of the ESP in a byte range of it that are written singly, as bytes from the beginning of the ESP.
    pub fn small_within(&self, range: std::ops::Range<u64>) -> impl Iterator<Item = u64> {
        let start = extent("esp").start;
        self.small.range((start + range.start) / SECTOR..(start + range.end) / SECTOR).map(move |sector| sector * SECTOR - start)
    }

    /// What a sector belongs to.
    #[must_use]
    pub fn place(&self, at: At) -> Place {
        if at.disk == VARIABLES {
            return Place::Variables;
        }
        let byte = at.sector * SECTOR;
        if byte < TABLE_BYTES || byte >= self.disk_bytes.saturating_sub(TABLE_BYTES) {
            return Place::Table;
        }
        let within = |label: &str| extent(label).contains(&byte);
        match byte {
            _ if within("esp") && self.bulk.contains(&at.sector) => Place::EspBulk,
            _ if within("esp") => Place::Esp,
            _ if within("root-a") || within("root-a-verity") => Place::SlotA,
            _ if within("root-b") || within("root-b-verity") => Place::SlotB,
            _ if within("oem") => Place::Oem,
            _ => Place::State,
        }
    }
}

/// The bytes of a partition; that of the state partition is only its beginning.
#[must_use]
pub fn extent(label: &str) -> std::ops::Range<u64> {
    PartitionSpec::named(label).map_or(0..0, |spec| spec.start_bytes()..spec.start_bytes() + spec.size_bytes)
}

/// Where the clusters of the ESP begin, in bytes from its start, as its boot sector says.
fn esp_data_start(recording: &Recording) -> Option<u64> {
    let mut boot = [0; SECTOR as usize];
    recording.bases[DISK].source.read(extent("esp").start, &mut boot).ok()?;
    super::fat::Geometry::parse(&boot).ok().map(|geometry| geometry.data_start)
}
