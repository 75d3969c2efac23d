//! Trees made and checked in one pass over a stream, in memory that hardly grows with the data.
//!
//! Making holds one block per level. Checking holds the levels above the lowest, 1/16384 of the data: 512 KiB for 8 GiB; of the
//! lowest level and of the data it holds one hash block and the 512 KiB that this one vouches for.

use std::io::{Read, Seek, SeekFrom, Write};

use sha2::Sha256;
use uuid::Uuid;

use super::superblock::{self, Superblock};
use super::{BLOCK_BYTES, DIGEST_BYTES, FANOUT, Level, Result, RootHash, VerityError, digest, levels, salted, tree_bytes};
use crate::release::PART_MAX_BYTES;

const BLOCK: usize = BLOCK_BYTES as usize;
/// What messages call the two streams.
const DATA: &str = "data";
const TREE: &str = "tree";

/// How long a root and its tree are, as a release says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeSizes {
    /// Length of the data, in bytes.
    pub data_bytes: u64,
    /// Length of the tree, superblock included, in bytes.
    pub tree_bytes: u64,
}

/// Reads `data_bytes` bytes of `data` and writes their tree to `out`; the same bytes as [`super::format`] makes.
pub fn tree(data: impl Read, data_bytes: u64, salt: &[u8], uuid: Uuid, mut out: impl Write + Seek) -> Result<RootHash> {
    let blocks = whole_blocks(data_bytes)?;
    let mut write = |bytes: &[u8], block: u64| -> Result<()> {
        let seek = out.seek(SeekFrom::Start(block * BLOCK_BYTES));
        seek.and_then(|_| out.write_all(bytes)).map_err(|source| VerityError::Io { step: "writing", object: TREE.into(), source })
    };
    write(&Superblock::new(uuid, blocks, salt)?.to_bytes(), 0)?;
    let root_hash = build(data, blocks, salt, &mut write)?;
    out.flush().map_err(|source| VerityError::Io { step: "writing", object: TREE.into(), source })?;
    Ok(root_hash)
}

/// The root hash of the tree of `data_bytes` bytes of `data`.
pub fn root_hash(data: impl Read, data_bytes: u64, salt: &[u8]) -> Result<RootHash> {
    let blocks = whole_blocks(data_bytes)?;
    Superblock::new(Uuid::nil(), blocks, salt)?;
    build(data, blocks, salt, &mut |_, _| Ok(()))
}

/// Reads `sizes` bytes of `data` and `tree` and checks every block; the error names the first wrong one in the order of reading.
///
/// The tree must be exactly that of data of that size: its superblock is compared with `sizes`, and it is believed only as far as
/// `root_hash` reaches. Returns the superblock, of which the root hash covers only the salt and the number of blocks.
pub fn check(mut data: impl Read, mut tree: impl Read, sizes: TreeSizes, root_hash: &RootHash) -> Result<Superblock> {
    let blocks = whole_blocks(sizes.data_bytes)?;
    let wrong = |problem: String| VerityError::Superblock { tree: TREE.into(), problem };
    if sizes.tree_bytes != tree_bytes(sizes.data_bytes) {
        return Err(wrong(format!("a tree of {} bytes does not belong to {} bytes of data", sizes.tree_bytes, sizes.data_bytes)));
    }
    let mut block = [0; BLOCK];
    read(&mut tree, &mut block, TREE)?;
    let superblock = superblock::parse(&block).map_err(wrong)?;
    if superblock.data_blocks != blocks {
        return Err(wrong(format!("it is the tree of {} data blocks, not of {blocks}", superblock.data_blocks)));
    }
    let salted = salted(&superblock.salt);
    let levels = levels(blocks);
    let mut parent = root_hash.0.to_vec();
    for level in levels.iter().skip(1).rev() {
        parent = check_level(&mut tree, &salted, *level, &parent)?;
    }
    let mut area = Area { data: &mut data, salted: &salted, next: 0, blocks, input: vec![0; FANOUT as usize * BLOCK] };
    match levels.first() {
        // One block has no tree: the root hash is its digest.
        None => area.check(&parent, 0)?,
        Some(lowest) => {
            for index in 0..lowest.blocks {
                let number = lowest.first_block + index;
                read(&mut tree, &mut block, TREE)?;
                check_block(&salted, &block, &parent, index as usize, number)?;
                area.check(&block, number)?;
            }
        }
    }
    Ok(superblock)
}

/// The data, as far as it was not checked yet.
struct Area<'a, R> {
    data: &'a mut R,
    salted: &'a Sha256,
    next: u64,
    blocks: u64,
    input: Vec<u8>,
}

impl<R: Read> Area<'_, R> {
    /// Reads and checks the blocks whose digests are in `digests`, the tree's block `number`.
    fn check(&mut self, digests: &[u8], number: u64) -> Result<()> {
        let count = (self.blocks - self.next).min(FANOUT) as usize;
        let input = &mut self.input[..count * BLOCK];
        read(self.data, input, DATA)?;
        let (used, padding) = digests.split_at(count * DIGEST_BYTES);
        for (block, expected) in input.chunks_exact(BLOCK).zip(used.chunks_exact(DIGEST_BYTES)) {
            if digest(self.salted, block) != expected {
                return Err(VerityError::DataBlock { data: DATA.into(), block: self.next });
            }
            self.next += 1;
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(VerityError::TreeBlock { tree: TREE.into(), block: number });
        }
        Ok(())
    }
}

/// Reads a whole level and compares its blocks with the digests in `parent`.
fn check_level(tree: &mut impl Read, salted: &Sha256, level: Level, parent: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = vec![0; level.blocks as usize * BLOCK];
    read(tree, &mut bytes, TREE)?;
    for (index, block) in bytes.chunks_exact(BLOCK).enumerate() {
        check_block(salted, block, parent, index, level.first_block + index as u64)?;
    }
    Ok(bytes)
}

fn check_block(salted: &Sha256, block: &[u8], parent: &[u8], index: usize, number: u64) -> Result<()> {
    if digest(salted, block) == parent[index * DIGEST_BYTES..][..DIGEST_BYTES] {
        return Ok(());
    }
    Err(VerityError::TreeBlock { tree: TREE.into(), block: number })
}

/// A level while it grows: digests that do not fill a block yet.
struct Growing {
    block: Vec<u8>,
    next_block: u64,
}

/// Hashes `blocks` blocks of `data` and hands on each block of the tree as soon as it is full.
fn build(mut data: impl Read, blocks: u64, salt: &[u8], write: &mut impl FnMut(&[u8], u64) -> Result<()>) -> Result<RootHash> {
    let salted = salted(salt);
    let mut growing: Vec<Growing> =
        levels(blocks).iter().map(|level| Growing { block: Vec::with_capacity(BLOCK), next_block: level.first_block }).collect();
    let mut top = [0; DIGEST_BYTES];
    let mut input = vec![0; FANOUT as usize * BLOCK];
    let mut left = blocks;
    while left > 0 {
        let count = left.min(FANOUT);
        let input = &mut input[..count as usize * BLOCK];
        read(&mut data, input, DATA)?;
        for block in input.chunks_exact(BLOCK) {
            match growing.first_mut() {
                Some(lowest) => lowest.block.extend_from_slice(&digest(&salted, block)),
                None => top = digest(&salted, block),
            }
        }
        left -= count;
        // A batch fills one block of the lowest level, and that may fill one of each level above.
        for level in 0..growing.len() {
            let full = growing[level].block.len() == BLOCK;
            let last = left == 0 && !growing[level].block.is_empty();
            if !full && !last {
                continue;
            }
            let mut block = std::mem::take(&mut growing[level].block);
            block.resize(BLOCK, 0);
            write(&block, growing[level].next_block)?;
            growing[level].next_block += 1;
            let above = digest(&salted, &block);
            match growing.get_mut(level + 1) {
                Some(next) => next.block.extend_from_slice(&above),
                None => top = above,
            }
            block.clear();
            growing[level].block = block;
        }
    }
    Ok(RootHash(top))
}

/// The number of blocks of data that a tree can be made of here.
fn whole_blocks(data_bytes: u64) -> Result<u64> {
    if data_bytes == 0 || !data_bytes.is_multiple_of(BLOCK_BYTES) {
        return Err(VerityError::Size { object: DATA.into(), bytes: data_bytes });
    }
    if data_bytes > PART_MAX_BYTES {
        return Err(VerityError::Long { object: DATA.into(), bytes: data_bytes });
    }
    Ok(data_bytes / BLOCK_BYTES)
}

fn read(from: &mut impl Read, buffer: &mut [u8], object: &str) -> Result<()> {
    from.read_exact(buffer).map_err(|source| VerityError::Io { step: "reading", object: object.into(), source })
}
