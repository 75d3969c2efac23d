//! Where the bytes of a file are: in memory, or in a range of a file on the host.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// Copy buffer, in bytes.
const BUFFER: usize = 256 * 1024;

/// The bytes of a regular file, cheap to clone.
#[derive(Debug, Clone)]
pub enum Content {
    /// Held in memory; for what the builder makes itself.
    Bytes(Arc<[u8]>),
    /// A range of an open archive.
    Range {
        /// The archive.
        file: Arc<File>,
        /// Where the content begins, in bytes.
        offset: u64,
        /// How long it is, in bytes.
        len: u64,
    },
    /// A whole file on the host, from a recipe's tree.
    File {
        /// The file.
        path: Arc<Path>,
        /// Its length when the tree was read, in bytes.
        len: u64,
    },
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl Content {
    /// The whole file at `path`.
    pub fn of_file(path: PathBuf) -> io::Result<Self> {
        let len = std::fs::metadata(&path)?.len();
        Ok(Self::File { path: path.into(), len })
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Range { len, .. } | Self::File { len, .. } => *len,
        }
    }

    /// True for a file of no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(self.len()).unwrap_or(0));
        self.reader()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// A stream of exactly [`Content::len`] bytes; a file that shrank meanwhile ends early and is noticed by the copier.
    pub fn reader(&self) -> io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(&bytes[..]),
            Self::Range { file, offset, len } => Box::new(RangeReader { file, offset: *offset, left: *len }),
            Self::File { path, len } => Box::new(File::open(path)?.take(*len)),
        })
    }

    /// SHA-256 over the bytes.
    pub fn sha256(&self) -> io::Result<[u8; 32]> {
        let mut hasher = Sha256::new();
        let mut reader = self.reader()?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match reader.read(&mut buffer)? {
                0 => return Ok(hasher.finalize().into()),
                count => hasher.update(&buffer[..count]),
            }
        }
    }
}

struct RangeReader<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Read for RangeReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_yields_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, b"abcdef").unwrap();
        let range = Content::Range { file: Arc::new(File::open(&path).unwrap()), offset: 1, len: 3 };
        let file = Content::of_file(path).unwrap();
        assert_eq!(range.read().unwrap(), b"bcd");
        assert_eq!(file.read().unwrap(), b"abcdef");
        assert_eq!(range.sha256().unwrap(), Content::from(b"bcd".to_vec()).sha256().unwrap());
        assert!(Content::from(String::new()).is_empty());
    }
}
