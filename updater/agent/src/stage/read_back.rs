//! The proof: what the medium holds now, read from the medium itself, is what was signed.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use payload::verity::{self, RootHash, TreeSizes};
use payload::{FRAME_BYTES, Part, Sha256Digest};

use super::disk_failure;
use crate::daemon::host::{Failure, FailureKind};
use crate::disk::Aligned;
use crate::disk::Medium;

/// Checks the three parts, given in the order root, hash tree, UKI.
pub(super) fn check(
    media: Vec<Box<dyn Medium>>,
    root: &Part,
    tree: &Part,
    uki: &Part,
    hash: Sha256Digest,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let Ok([mut root_medium, mut tree_medium, mut uki_medium]) = <[Box<dyn Medium>; 3]>::try_from(media) else {
        return Err(Failure::new(FailureKind::Internal, "not three parts to read back"));
    };
    for medium in [&mut root_medium, &mut tree_medium, &mut uki_medium] {
        medium.forget().map_err(|error| disk_failure("emptying caches before reading back", &error))?;
    }
    let sizes = TreeSizes { data_bytes: root.size, tree_bytes: tree.size };
    let data = Reader::new(root_medium.as_mut(), root.size, stop);
    let hashes = Reader::new(tree_medium.as_mut(), tree.size, stop);
    verity::check(data, hashes, sizes, &RootHash(hash.0)).map_err(|error| wrong(&error.to_string()))?;
    // The root hash does not cover all of the superblock, so the tree is compared with its signed digests as well.
    for (part, medium) in [(tree, &mut tree_medium), (uki, &mut uki_medium)] {
        frames(part, medium.as_mut(), stop)?;
    }
    Ok(())
}

fn wrong(text: &str) -> Failure {
    Failure::new(FailureKind::ReadBack, format!("reading back the slot: {text}; the slot stays unbootable, the disk may be failing"))
}

fn frames(part: &Part, medium: &mut dyn Medium, stop: &AtomicBool) -> Result<(), Failure> {
    let mut buffer = Aligned::new(part.frame_len(0));
    for (index, digest) in part.frames.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::new(FailureKind::Internal, "cancelled"));
        }
        let name = part.name.as_str();
        buffer.resize(part.frame_len(index));
        medium
            .read_at((index * FRAME_BYTES) as u64, &mut buffer)
            .map_err(|error| wrong(&format!("frame {index} of the {name}: {error}")))?;
        if Sha256Digest::of(buffer.bytes()) != *digest {
            return Err(wrong(&format!("frame {index} of the {name} does not hold what was written")));
        }
    }
    Ok(())
}

/// A medium as a stream, read in large aligned pieces.
struct Reader<'a> {
    medium: &'a mut dyn Medium,
    stop: &'a AtomicBool,
    next: u64,
    end: u64,
    buffer: Aligned,
    used: usize,
}

impl<'a> Reader<'a> {
    fn new(medium: &'a mut dyn Medium, end: u64, stop: &'a AtomicBool) -> Self {
        Self { medium, stop, next: 0, end, buffer: Aligned::new(usize::try_from(end).unwrap_or(usize::MAX).min(FRAME_BYTES)), used: 0 }
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.used == self.buffer.len() {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::Error::other("cancelled"));
            }
            let length = usize::try_from(self.end - self.next).unwrap_or(usize::MAX).min(FRAME_BYTES);
            self.buffer.resize(length);
            self.used = 0;
            if length > 0 {
                self.medium.read_at(self.next, &mut self.buffer)?;
                self.next += length as u64;
            }
        }
        let rest = &self.buffer.bytes()[self.used..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.used += count;
        Ok(count)
    }
}
