//! From a part to framed zstd: the same bytes for the same input, level and version of zstd, on any number of cores.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};
use zstd::bulk::Compressor;

use crate::FRAME_BYTES;
use crate::digest::Sha256Digest;
use crate::release::{Full, PART_MAX_BYTES, Part, PartName, Way};

/// Most frames in memory at once: beyond 16 cores the hash of the whole part is the limit anyway.
const THREADS_MAX: usize = 16;

/// What [`pack`] read and wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Length of the input, in bytes.
    pub size: u64,
    /// Of the input.
    pub sha256: Sha256Digest,
    /// Of each piece of [`FRAME_BYTES`] of the input.
    pub frames: Vec<Sha256Digest>,
    /// Length of the output, in bytes.
    pub stored_size: u64,
    /// Of the output.
    pub stored_sha256: Sha256Digest,
    /// Length of each frame of the output, in bytes.
    pub stored_frames: Vec<u32>,
}

impl Packed {
    /// The entry of `release.json` for a part called `name` whose output is in `file`.
    #[must_use]
    pub fn into_part(self, name: PartName, file: impl Into<String>) -> Part {
        let full = Full { file: file.into(), size: self.stored_size, sha256: self.stored_sha256, stored_frames: self.stored_frames };
        Part { name, size: self.size, sha256: self.sha256, frames: self.frames, ways: vec![Way::Full(full)] }
    }
}

/// Why a part was not packed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// The input could not be read.
    #[error("reading the part: {0}")]
    Read(io::Error),
    /// The output could not be written.
    #[error("writing the packed part: {0}")]
    Write(io::Error),
    /// zstd failed: a level it does not have, or no memory.
    #[error("compressing a frame: {0}")]
    Compress(io::Error),
    /// There is nothing to pack.
    #[error("the part is empty")]
    Empty,
    /// Larger than [`PART_MAX_BYTES`].
    #[error("the part is longer than {PART_MAX_BYTES} bytes")]
    Long,
}

/// Compresses `input` to `output`, each [`FRAME_BYTES`] on its own, on all cores; holds two frames per core in memory, and what zstd
/// needs beside (at level 19 some 40 MiB per core).
pub fn pack(input: impl Read, output: impl Write, level: i32) -> Result<Packed, PackError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    pack_on(threads, input, output, level)
}

/// One thread's compressor and buffers, kept from batch to batch.
struct Worker {
    compressor: Compressor<'static>,
    input: Vec<u8>,
    output: Vec<u8>,
    digest: Sha256Digest,
}

impl Worker {
    fn new(level: i32) -> io::Result<Self> {
        if !zstd::compression_level_range().contains(&level) {
            let range = zstd::compression_level_range();
            let text = format!("level {level} is not one of {} to {}", range.start(), range.end());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(Self { compressor: Compressor::new(level)?, input: Vec::new(), output: Vec::new(), digest: Sha256Digest([0; 32]) })
    }

    /// Compresses `input` to `output` and hashes it.
    fn work(&mut self) -> io::Result<()> {
        self.digest = Sha256Digest::of(&self.input);
        self.output.clear();
        self.output.reserve_exact(zstd::zstd_safe::compress_bound(self.input.len()));
        self.compressor.compress_to_buffer(&self.input, &mut self.output).map(drop)
    }
}

fn pack_on(threads: usize, mut input: impl Read, mut output: impl Write, level: i32) -> Result<Packed, PackError> {
    let mut workers = (0..threads.max(1)).map(|_| Worker::new(level)).collect::<io::Result<Vec<_>>>().map_err(PackError::Compress)?;
    let (mut whole, mut stored) = (Sha256::new(), Sha256::new());
    let mut packed = Packed {
        size: 0,
        sha256: Sha256Digest([0; 32]),
        frames: Vec::new(),
        stored_size: 0,
        stored_sha256: Sha256Digest([0; 32]),
        stored_frames: Vec::new(),
    };
    loop {
        let mut busy = 0;
        for worker in &mut workers {
            worker.input.clear();
            (&mut input).take(FRAME_BYTES as u64).read_to_end(&mut worker.input).map_err(PackError::Read)?;
            if worker.input.is_empty() {
                break;
            }
            busy += 1;
            packed.size += worker.input.len() as u64;
            if packed.size > PART_MAX_BYTES {
                return Err(PackError::Long);
            }
        }
        if busy == 0 {
            break;
        }
        work(&mut workers[..busy], &mut whole).map_err(PackError::Compress)?;
        for worker in &workers[..busy] {
            output.write_all(&worker.output).map_err(PackError::Write)?;
            stored.update(&worker.output);
            packed.frames.push(worker.digest);
            packed.stored_size += worker.output.len() as u64;
            packed.stored_frames.push(u32::try_from(worker.output.len()).expect("zstd never makes 4 GiB of 4 MiB"));
        }
    }
    output.flush().map_err(PackError::Write)?;
    if packed.size == 0 {
        return Err(PackError::Empty);
    }
    packed.sha256 = Sha256Digest(whole.finalize().into());
    packed.stored_sha256 = Sha256Digest(stored.finalize().into());
    Ok(packed)
}

/// Lets every worker compress its frame; afterwards all of them are hashed in order.
fn work(workers: &mut [Worker], whole: &mut Sha256) -> io::Result<()> {
    if let [worker] = workers {
        whole.update(&worker.input);
        return worker.work();
    }
    std::thread::scope(|scope| {
        let handles: Vec<_> = workers.iter_mut().map(|worker| scope.spawn(|| worker.work())).collect();
        handles.into_iter().try_for_each(|handle| handle.join().expect("compressing threads do not panic"))
    })?;
    workers.iter().for_each(|worker| whole.update(&worker.input));
    Ok(())
}

#[cfg(test)]
mod tests;
