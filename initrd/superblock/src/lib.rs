//! The superblock of an ext4 file system after a power cut.
//!
//! ext4 keeps a journal for everything but the block that leads to it: the superblock is written in place, two sectors of 512 bytes with
//! one checksum over both. A disk that writes sectors one by one may have written one of them when its power fails. Such a file system is
//! whole but for its checksum, and yet nobody recognises it any more: it is not mounted, not checked, and what finds no file system on
//! the state partition makes a new one.
//!
//! Everything that tells the way (features, sizes, the journal, whether it must be replayed) is in the first sector; the second holds
//! statistics and the checksum. So either mix of old and new is a superblock that was true a moment ago, and the journal knows the rest:
//! [`mend`] computes the checksum anew. The first copy that mke2fs makes must agree that it is this file system.
//!
//! Layout: "ext4 Data Structures and Algorithms", section 4.1, in the kernel's documentation.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crc::{Algorithm, Crc};

/// Size of a superblock, in bytes.
pub const BYTES: usize = 1024;
/// Where the superblock is, in bytes from the beginning of the file system.
pub const AT: u64 = 1024;
/// What a disk writes whole or not at all, in bytes.
const SECTOR_BYTES: usize = 512;

const FIRST_DATA_BLOCK_AT: usize = 0x14;
const LOG_BLOCK_SIZE_AT: usize = 0x18;
const BLOCKS_PER_GROUP_AT: usize = 0x20;
const INODES_PER_GROUP_AT: usize = 0x28;
const MOUNT_TIME_AT: usize = 0x2c;
const MAGIC_AT: usize = 0x38;
const MAGIC: [u8; 2] = [0x53, 0xef];
const RO_COMPAT_AT: usize = 0x64;
const METADATA_CSUM: u32 = 0x400;
const UUID_AT: usize = 0x68;
const UUID_BYTES: usize = 16;
const CHECKSUM_AT: usize = 0x3fc;
/// Blocks have 1 KiB shifted by this, at most: 64 KiB.
const LOG_BLOCK_SIZE_MAX: u32 = 6;

/// CRC32c as ext4 has it: without the inversion at the end.
const CHECKSUM: Crc<u32> = Crc::<u32>::new(&Algorithm {
    width: 32,
    poly: 0x1edc_6f41,
    init: 0xffff_ffff,
    refin: true,
    refout: true,
    xorout: 0,
    check: 0x1cf9_6d7c,
    residue: 0,
});

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No ext4 file system, as on a new machine, or one that was never mounted and is not finished: the power failed on the first boot.
    Nothing,
    /// A superblock that is what its checksum says, or that has none.
    Whole,
    /// A superblock that was torn; it has its checksum again.
    Mended,
}

/// Why a torn superblock stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The disk refuses.
    #[error("{doing}: {source}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// More is wrong than a power cut explains.
    #[error(
        "the superblock does not match its checksum, and the copy in the second block group is not of the same file system ({what} differs). \
         A power cut does not do this. To look for another copy: mke2fs -n, then e2fsck -b. To begin with an empty state partition: wipefs"
    )]
    Strange {
        /// The first field that differs.
        what: &'static str,
    },
}

/// A superblock.
struct Superblock([u8; BYTES]);

impl Superblock {
    fn read(file: &File, at: u64, doing: &'static str) -> Result<Self, Refusal> {
        let mut bytes = [0; BYTES];
        file.read_exact_at(&mut bytes, at).map_err(|source| Refusal::Disk { doing, source })?;
        Ok(Self(bytes))
    }

    fn u32(&self, at: usize) -> u32 {
        self.0[at..at + 4].iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
    }

    fn checksum(&self) -> u32 {
        CHECKSUM.checksum(&self.0[..CHECKSUM_AT])
    }

    fn found(&self) -> Option<Found> {
        if self.0[MAGIC_AT..MAGIC_AT + MAGIC.len()] != MAGIC {
            return Some(Found::Nothing);
        }
        let has_checksum = self.u32(RO_COMPAT_AT) & METADATA_CSUM != 0;
        if !has_checksum || self.u32(CHECKSUM_AT) == self.checksum() {
            return Some(Found::Whole);
        }
        (self.u32(MOUNT_TIME_AT) == 0).then_some(Found::Nothing)
    }

    /// Where the first copy is, in bytes; `None` when these sizes are impossible.
    fn copy_at(&self) -> Option<u64> {
        let block = 1024_u64 << Some(self.u32(LOG_BLOCK_SIZE_AT)).filter(|log| *log <= LOG_BLOCK_SIZE_MAX)?;
        Some((u64::from(self.u32(FIRST_DATA_BLOCK_AT)) + u64::from(self.u32(BLOCKS_PER_GROUP_AT))) * block)
    }

    /// The first thing that a superblock and its copy must agree on and do not.
    fn differs(&self, copy: &Self) -> Option<&'static str> {
        let fields = [
            ("the magic number", MAGIC_AT, MAGIC.len()),
            ("the UUID", UUID_AT, UUID_BYTES),
            ("the size of a block", LOG_BLOCK_SIZE_AT, 4),
            ("the first block", FIRST_DATA_BLOCK_AT, 4),
            ("the number of blocks in a group", BLOCKS_PER_GROUP_AT, 4),
            ("the number of inodes in a group", INODES_PER_GROUP_AT, 4),
        ];
        fields.into_iter().find(|(_, at, bytes)| self.0[*at..at + bytes] != copy.0[*at..at + bytes]).map(|(what, _, _)| what)
    }
}

/// Looks at the superblock of the file system in `file`, and gives it its checksum back if it was torn. Returns once that is durable.
///
/// # Errors
/// The disk refuses, or the superblock is wrong in a way that no power cut explains; nothing was written then.
pub fn mend(file: &File) -> Result<Found, Refusal> {
    let mut primary = Superblock::read(file, AT, "reading the superblock")?;
    if let Some(found) = primary.found() {
        return Ok(found);
    }
    let at = primary.copy_at().ok_or(Refusal::Strange { what: "the size of a block" })?;
    let copy = Superblock::read(file, at, "reading the superblock's copy")?;
    if let Some(what) = primary.differs(&copy) {
        return Err(Refusal::Strange { what });
    }
    let checksum = primary.checksum();
    primary.0[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    // One sector, so that a power cut now leaves what was there or what should be there.
    let doing = "writing the superblock's checksum";
    let written = file.write_all_at(&primary.0[SECTOR_BYTES..], AT + SECTOR_BYTES as u64).and_then(|()| file.sync_all());
    written.map_err(|source| Refusal::Disk { doing, source })?;
    Ok(Found::Mended)
}

#[cfg(test)]
mod tests;
