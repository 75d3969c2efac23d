//! dm-verity hash trees: format 1, SHA-256, 4096-byte data and hash blocks, superblock included.
//!
//! Layout and digests follow the kernel's `Documentation/admin-guide/device-mapper/verity.rst` and cryptsetup's on-disk
//! format; `veritysetup` makes the same bytes. Each digest is SHA-256(salt, block), a hash block holds 128 of them, levels
//! repeat until one block is left, the top level is stored first, and the digest of the top block is the root hash.
//! One data block alone has no tree: its digest is the root hash.

mod blocks;
mod error;
mod root_hash;
mod stream;
mod superblock;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use uuid::Uuid;

pub use blocks::Blocks;
use blocks::FileBlocks;
pub use error::{Result, VerityError};
pub use root_hash::{RootHash, RootHashError};
pub use stream::{TreeSizes, check, root_hash, tree};
pub use superblock::Superblock;

/// Size of a data block and of a hash block, in bytes.
pub const BLOCK_BYTES: u64 = 4096;
/// Length of a SHA-256 digest, in bytes.
const DIGEST_BYTES: usize = 32;
/// Digests in one hash block.
const FANOUT: u64 = BLOCK_BYTES / DIGEST_BYTES as u64;
/// Hash blocks one thread makes at a time: 4 MiB of data, large enough to hide the cost of system calls.
const BATCH: u64 = 8;

/// One level of a tree: which blocks of the tree file it fills. Level 0 holds the digests of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Level {
    first_block: u64,
    blocks: u64,
}

/// Levels from 0 (largest) upwards, with their place in the file: the top one comes right after the superblock.
fn levels(data_blocks: u64) -> Vec<Level> {
    let mut sizes = Vec::new();
    let mut count = data_blocks;
    while count > 1 {
        count = count.div_ceil(FANOUT);
        sizes.push(count);
    }
    let mut first_block = 1;
    let mut levels: Vec<Level> = sizes
        .iter()
        .rev()
        .map(|&blocks| {
            let level = Level { first_block, blocks };
            first_block += blocks;
            level
        })
        .collect();
    levels.reverse();
    levels
}

/// Length of the tree file for `data_bytes` of data, superblock included, in bytes.
#[must_use]
pub fn tree_bytes(data_bytes: u64) -> u64 {
    let blocks: u64 = levels(data_bytes.div_ceil(BLOCK_BYTES)).iter().map(|level| level.blocks).sum();
    (1 + blocks) * BLOCK_BYTES
}

/// Writes the hash tree of the file `data` to a new file `tree` and returns the root hash.
pub fn format(data: &Path, tree: &Path, salt: &[u8], uuid: Uuid) -> Result<RootHash> {
    let source = FileBlocks::open(data).map_err(|source| io_error("opening", data, source))?;
    if source.is_empty() || !source.len().is_multiple_of(BLOCK_BYTES) {
        return Err(VerityError::Size { object: source.name().to_owned(), bytes: source.len() });
    }
    let superblock = Superblock::new(uuid, source.len() / BLOCK_BYTES, salt)?;
    let out = File::options().read(true).write(true).create(true).truncate(true).open(tree);
    let out = out.map_err(|source| io_error("creating", tree, source))?;
    let write = |bytes: &[u8], block: u64| out.write_all_at(bytes, block * BLOCK_BYTES).map_err(|source| io_error("writing", tree, source));
    out.set_len(tree_bytes(source.len())).map_err(|source| io_error("sizing", tree, source))?;
    write(&superblock.to_bytes(), 0)?;
    let written = FileBlocks::open(tree).map_err(|source| io_error("reading", tree, source))?;
    let salted = salted(salt);
    let mut below = Below { source: &source, first_block: 0, blocks: superblock.data_blocks };
    for level in levels(superblock.data_blocks) {
        below.each_batch(&salted, |first, digests| write(digests, level.first_block + first))?;
        below = Below { source: &written, first_block: level.first_block, blocks: level.blocks };
    }
    let mut top = [0; BLOCK_BYTES as usize];
    below.source.read_at(below.first_block * BLOCK_BYTES, &mut top).map_err(|source| io_error("reading", tree, source))?;
    Ok(RootHash(digest(&salted, &top)))
}

/// Checks every block of `data` against `tree`, and `tree` against `root_hash`; the error names the first wrong block.
///
/// Both may be longer than what they hold (partitions usually are); what lies behind is not looked at. Returns the superblock,
/// of which the root hash covers only the salt and the number of blocks.
pub fn verify(data: &impl Blocks, tree: &impl Blocks, root_hash: &RootHash) -> Result<Superblock> {
    let superblock = Superblock::read(tree)?;
    if superblock.data_blocks.checked_mul(BLOCK_BYTES).is_none_or(|bytes| bytes > data.len()) {
        let problem = format!("{} data blocks are more than {} holds", superblock.data_blocks, data.name());
        return Err(VerityError::Superblock { tree: tree.name().to_owned(), problem });
    }
    if tree_bytes(superblock.data_blocks * BLOCK_BYTES) > tree.len() {
        let problem = format!("the tree of {} data blocks does not fit its {} bytes", superblock.data_blocks, tree.len());
        return Err(VerityError::Superblock { tree: tree.name().to_owned(), problem });
    }
    let salted = salted(&superblock.salt);
    let mut parent = root_hash.0.to_vec();
    for level in levels(superblock.data_blocks).into_iter().rev() {
        parent = check_level(tree, &salted, level, &parent)?;
    }
    let below = Below { source: data, first_block: 0, blocks: superblock.data_blocks };
    below.each_batch(&salted, |first, digests| {
        let start = (first * BLOCK_BYTES) as usize;
        match first_difference(digests, &parent[start..]) {
            None => Ok(()),
            Some(index) => {
                let block = first * FANOUT + index;
                // A difference behind the last digest is a padding byte of the tree.
                if block < superblock.data_blocks {
                    return Err(VerityError::DataBlock { data: data.name().to_owned(), block });
                }
                Err(VerityError::TreeBlock {
                    tree: tree.name().to_owned(),
                    block: tree_bytes(superblock.data_blocks * BLOCK_BYTES) / BLOCK_BYTES - 1,
                })
            }
        }
    })?;
    Ok(superblock)
}

/// The root hash that `tree` would have to be opened with, without reading more of it than its top. Nothing is verified.
pub fn claimed_root_hash(data: &impl Blocks, tree: &impl Blocks) -> Result<RootHash> {
    let superblock = Superblock::read(tree)?;
    let block =
        if superblock.data_blocks == 1 { blocks::read(data, 0, BLOCK_BYTES)? } else { blocks::read(tree, BLOCK_BYTES, BLOCK_BYTES)? };
    Ok(RootHash(digest(&salted(&superblock.salt), &block)))
}

/// Compares the blocks of one level with the digests their parents hold and returns the level's content.
fn check_level(tree: &impl Blocks, salted: &Sha256, level: Level, parent: &[u8]) -> Result<Vec<u8>> {
    // 2 GiB of data make 16 MiB of level 0; the superblock's block count was checked against the data before.
    let bytes = blocks::read(tree, level.first_block * BLOCK_BYTES, level.blocks * BLOCK_BYTES)?;
    for (index, block) in bytes.chunks(BLOCK_BYTES as usize).enumerate() {
        if digest(salted, block) != parent[index * DIGEST_BYTES..][..DIGEST_BYTES] {
            return Err(VerityError::TreeBlock { tree: tree.name().to_owned(), block: level.first_block + index as u64 });
        }
    }
    Ok(bytes)
}

/// Index of the first digest that differs; `actual` is no longer than `expected`.
fn first_difference(actual: &[u8], expected: &[u8]) -> Option<u64> {
    let pairs = actual.chunks(DIGEST_BYTES).zip(expected.chunks(DIGEST_BYTES));
    pairs.enumerate().find(|(_, (actual, expected))| actual != expected).map(|(index, _)| index as u64)
}

/// What a level is computed from: the data, or the level beneath.
struct Below<'a, B> {
    source: &'a B,
    first_block: u64,
    blocks: u64,
}

impl<B: Blocks> Below<'_, B> {
    /// Hashes all blocks on every core and hands on the digests as whole hash blocks, with the number of the first of them.
    ///
    /// Batches are claimed in rising order, so the error with the smallest batch number is the first one in the data.
    fn each_batch(&self, salted: &Sha256, done: impl Fn(u64, &[u8]) -> Result<()> + Sync) -> Result<()> {
        let hash_blocks = self.blocks.div_ceil(FANOUT);
        let next = AtomicU64::new(0);
        let stop = AtomicBool::new(false);
        let work = || -> Option<(u64, VerityError)> {
            let mut input = vec![0; (BATCH * FANOUT * BLOCK_BYTES) as usize];
            while !stop.load(Ordering::Relaxed) {
                let first = next.fetch_add(BATCH, Ordering::Relaxed);
                if first >= hash_blocks {
                    break;
                }
                let result = self.digests(salted, first, BATCH.min(hash_blocks - first), &mut input);
                if let Err(error) = result.and_then(|digests| done(first, &digests)) {
                    stop.store(true, Ordering::Relaxed);
                    return Some((first, error));
                }
            }
            None
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(hash_blocks.div_ceil(BATCH) as usize);
        let mut failures: Vec<_> = if threads <= 1 {
            work().into_iter().collect()
        } else {
            std::thread::scope(|scope| {
                let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
                handles.into_iter().filter_map(|handle| handle.join().expect("hashing threads do not panic")).collect()
            })
        };
        failures.sort_by_key(|(first, _)| *first);
        failures.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    fn digests(&self, salted: &Sha256, first: u64, hash_blocks: u64, input: &mut [u8]) -> Result<Vec<u8>> {
        let start = first * FANOUT;
        let count = (hash_blocks * FANOUT).min(self.blocks - start);
        let input = &mut input[..(count * BLOCK_BYTES) as usize];
        let object = || self.source.name().to_owned();
        let read = self.source.read_at((self.first_block + start) * BLOCK_BYTES, input);
        read.map_err(|source| VerityError::Io { step: "reading", object: object(), source })?;
        let mut digests = Vec::with_capacity((hash_blocks * BLOCK_BYTES) as usize);
        for block in input.chunks_exact(BLOCK_BYTES as usize) {
            digests.extend_from_slice(&digest(salted, block));
        }
        digests.resize((hash_blocks * BLOCK_BYTES) as usize, 0);
        Ok(digests)
    }
}

/// A hasher that has already seen the salt.
fn salted(salt: &[u8]) -> Sha256 {
    Sha256::new_with_prefix(salt)
}

fn digest(salted: &Sha256, block: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut hasher = salted.clone();
    hasher.update(block);
    hasher.finalize().into()
}

fn io_error(step: &'static str, path: &Path, source: io::Error) -> VerityError {
    VerityError::Io { step, object: PathBuf::from(path).display().to_string(), source }
}

#[cfg(test)]
mod tests;
