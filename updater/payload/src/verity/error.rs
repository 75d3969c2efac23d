//! What can be wrong with a hash tree.

use std::io;

use super::BLOCK_BYTES;
use crate::release::PART_MAX_BYTES;

/// What went wrong with a hash tree.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerityError {
    /// A file could not be opened, read or written.
    #[error("{step} {object}: {source}")]
    Io {
        /// What was being done, e.g. `reading`.
        step: &'static str,
        /// The file or partition.
        object: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The data has no whole number of blocks, or none at all.
    #[error("{object} is {bytes} bytes long, which is not a positive multiple of {BLOCK_BYTES}")]
    Size {
        /// The file.
        object: String,
        /// Its length in bytes.
        bytes: u64,
    },
    /// More data than a stream is read of.
    #[error("{object} is {bytes} bytes long, more than {max}", max = PART_MAX_BYTES)]
    Long {
        /// The stream.
        object: String,
        /// Its length in bytes.
        bytes: u64,
    },
    /// The salt does not fit the superblock.
    #[error("a verity salt may be {max} bytes long at most, not {bytes}", max = super::superblock::SALT_MAX_BYTES)]
    Salt {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The superblock is not one we could have written.
    #[error("{tree}: superblock (first 4096 bytes): {problem}")]
    Superblock {
        /// The tree's file or partition.
        tree: String,
        /// The field and what is wrong with it.
        problem: String,
    },
    /// A hash block does not match its parent (or the root hash, for block 1).
    #[error("{tree}: tree block {block} (byte {}) does not match its {}", .block * BLOCK_BYTES, if *.block == 1 { "root hash" } else { "parent" })]
    TreeBlock {
        /// The tree's file or partition.
        tree: String,
        /// Block number from the start of the tree file; the superblock is block 0.
        block: u64,
    },
    /// A data block does not match the tree.
    #[error("{data}: data block {block} (byte {}) does not match the verity tree", .block * BLOCK_BYTES)]
    DataBlock {
        /// The data's file or partition.
        data: String,
        /// Block number from the start of the data.
        block: u64,
    },
}

/// Result of this module.
pub type Result<T> = std::result::Result<T, VerityError>;
