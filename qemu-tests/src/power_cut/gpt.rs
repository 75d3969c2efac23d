//! Both copies of a partition table, each judged on its own (UEFI specification, chapter 5.3).

use std::io;

use payload::verity::Blocks;

use super::bytes::{u32_at, u64_at};

const SECTOR: u64 = 512;
const ENTRY: usize = 128;
const ENTRIES: usize = 128;

/// A partition as one copy describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Label.
    pub label: String,
    /// First byte.
    pub start: u64,
    /// First byte behind it.
    pub end: u64,
    /// All of its entry.
    raw: Vec<u8>,
}

/// Both copies; a damaged one is `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// At the beginning.
    pub primary: Option<Vec<Partition>>,
    /// At the end.
    pub backup: Option<Vec<Partition>>,
}

impl Tables {
    /// Reads both copies from a whole disk.
    pub fn read(disk: &impl Blocks) -> io::Result<Self> {
        Ok(Self { primary: copy(disk, 1)?, backup: copy(disk, disk.len() / SECTOR - 1)? })
    }

    /// What firmware and kernel go by: the first copy, else the second.
    #[must_use]
    pub fn partitions(&self) -> Option<&[Partition]> {
        self.primary.as_deref().or(self.backup.as_deref())
    }

    /// A word for the class of a state.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (&self.primary, &self.backup) {
            (Some(one), Some(two)) if one == two => "both",
            (Some(_), Some(_)) => "different",
            (Some(_), None) => "primary",
            (None, Some(_)) => "backup",
            (None, None) => "none",
        }
    }
}

fn copy(disk: &impl Blocks, sector: u64) -> io::Result<Option<Vec<Partition>>> {
    let mut header = [0; SECTOR as usize];
    disk.read_at(sector * SECTOR, &mut header)?;
    let mut blank = header[..92].to_vec();
    blank[16..20].fill(0);
    let good = header.starts_with(b"EFI PART")
        && u32_at(&header, 12) == 92
        && crc32(&blank) == u32_at(&header, 16)
        && u64_at(&header, 24) == sector
        && (u32_at(&header, 80), u32_at(&header, 84)) == (ENTRIES as u32, ENTRY as u32);
    let first = u64_at(&header, 72).saturating_mul(SECTOR);
    if !good || first.saturating_add((ENTRIES * ENTRY) as u64) > disk.len() {
        return Ok(None);
    }
    let mut entries = vec![0; ENTRIES * ENTRY];
    disk.read_at(first, &mut entries)?;
    if crc32(&entries) != u32_at(&header, 88) {
        return Ok(None);
    }
    let used = entries.chunks_exact(ENTRY).filter(|entry| entry[..16] != [0; 16]);
    Ok(Some(used.map(partition).collect()))
}

fn partition(raw: &[u8]) -> Partition {
    let units = raw[56..128].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).take_while(|unit| *unit != 0);
    let label = char::decode_utf16(units).map(|letter| letter.unwrap_or('\u{fffd}')).collect();
    let (first, last) = (u64_at(raw, 32), u64_at(raw, 40));
    Partition { label, start: first.saturating_mul(SECTOR), end: last.saturating_add(1).saturating_mul(SECTOR), raw: raw.to_vec() }
}

/// CRC-32 (IEEE 802.3, reflected).
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()));
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
impl Partition {
    /// One that no table holds.
    pub(super) fn made_up(label: &str, start: u64, end: u64) -> Self {
        Self { label: label.into(), start, end, raw: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::Source;
    use super::*;

    struct Memory(Source, u64);

    impl Blocks for Memory {
        fn name(&self) -> &str {
            "memory"
        }

        fn len(&self) -> u64 {
            self.1
        }

        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
            self.0.read(offset, buffer)
        }
    }

    /// A disk of 128 sectors with one partition and both tables.
    fn disk() -> Vec<u8> {
        let mut disk = vec![0; 128 * 512];
        let mut entries = vec![0; ENTRIES * ENTRY];
        entries[..16].fill(1);
        entries[32] = 34;
        entries[40] = 40;
        entries[56] = b'x';
        for (at, first, other) in [(1_u64, 2_u64, 127_u64), (127, 95, 1)] {
            let mut header = vec![0; 92];
            header[..8].copy_from_slice(b"EFI PART");
            header[12] = 92;
            header[24..32].copy_from_slice(&at.to_le_bytes());
            header[32..40].copy_from_slice(&other.to_le_bytes());
            header[72..80].copy_from_slice(&first.to_le_bytes());
            (header[80], header[84]) = (128, 128);
            header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
            let sum = crc32(&header);
            header[16..20].copy_from_slice(&sum.to_le_bytes());
            disk[at as usize * 512..][..92].copy_from_slice(&header);
            disk[first as usize * 512..][..ENTRIES * ENTRY].copy_from_slice(&entries);
        }
        disk
    }

    fn read(disk: Vec<u8>) -> Tables {
        let len = disk.len() as u64;
        Tables::read(&Memory(Source::Memory(disk), len)).unwrap()
    }

    #[test]
    fn each_copy_is_judged_on_its_own() {
        let tables = read(disk());
        let [only] = tables.partitions().unwrap() else { panic!("{tables:?}") };
        assert_eq!((only.label.as_str(), only.start, only.end, tables.word()), ("x", 34 * 512, 41 * 512, "both"));
        for (at, word) in [(512, "backup"), (1024 + 200, "backup"), (127 * 512 + 20, "primary"), (95 * 512 + 1, "primary")] {
            let mut bad = disk();
            bad[at] ^= 1;
            assert_eq!(read(bad).word(), word, "{at}");
        }
        let mut bad = disk();
        (bad[512], bad[127 * 512]) = (0, 0);
        assert_eq!((read(bad.clone()).word(), read(bad).partitions()), ("none", None));
    }
}
