//! What a sector can hold, and fingerprints of it.

use std::io;

use sha2::{Digest, Sha256};

use super::recording::Recording;

/// Size of a sector in bytes: what a disk writes whole or not at all.
pub const SECTOR: u64 = 512;

/// A sector of one of the disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At {
    /// Number of the disk.
    pub disk: usize,
    /// Number of the sector.
    pub sector: u64,
}

/// Where the bytes of a sector are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// They were never written.
    Base,
    /// Zeroes.
    Zero,
    /// At this offset of the recording's data.
    Written(u64),
}

/// A content of a sector, with a fingerprint of sector and bytes: equal bytes in one place have equal fingerprints.
#[derive(Debug, Clone, Copy)]
pub struct Version {
    /// Where the bytes are.
    pub content: Content,
    /// First half of the SHA-256 of place and bytes.
    pub print: u128,
}

impl Version {
    /// Reads the bytes once to know their fingerprint.
    pub fn new(recording: &Recording, at: At, content: Content) -> io::Result<Self> {
        let mut bytes = [0; SECTOR as usize];
        read(recording, at, content, 0, &mut bytes)?;
        let digest = Sha256::new().chain_update([at.disk as u8]).chain_update(at.sector.to_le_bytes()).chain_update(bytes).finalize();
        let mut print = [0; 16];
        print.copy_from_slice(&digest[..16]);
        Ok(Self { content, print: u128::from_le_bytes(print) })
    }
}

/// Reads `into` from byte `within` of a sector with that content; it may reach into what follows when the content does.
pub fn read(recording: &Recording, at: At, content: Content, within: u64, into: &mut [u8]) -> io::Result<()> {
    match content {
        Content::Base => recording.bases[at.disk].source.read(at.sector * SECTOR + within, into),
        Content::Zero => {
            into.fill(0);
            Ok(())
        }
        Content::Written(offset) => recording.data.read(offset + within, into),
    }
}
