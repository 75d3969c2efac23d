//! What holds data or a tree: a file, or part of one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::{Result, VerityError};

/// Bytes that can be read anywhere, by several threads at once.
pub trait Blocks: Sync {
    /// What messages call it.
    fn name(&self) -> &str;

    /// Length in bytes.
    fn len(&self) -> u64;

    /// True when it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buffer` from byte `offset`; reaching beyond the end is an error, never a short read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// A whole file.
pub(super) struct FileBlocks {
    file: File,
    pub(super) name: String,
    len: u64,
}

impl FileBlocks {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file, name: path.display().to_string(), len })
    }
}

impl Blocks for FileBlocks {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }
}

/// Reads `bytes` bytes at `offset`; the caller has bounded `bytes`.
pub(super) fn read(from: &impl Blocks, offset: u64, bytes: u64) -> Result<Vec<u8>> {
    let mut buffer = vec![0; bytes as usize];
    let result = from.read_at(offset, &mut buffer);
    result.map_err(|source| VerityError::Io { step: "reading", object: from.name().to_owned(), source })?;
    Ok(buffer)
}
