//! A byte range of a file: a whole file, or one partition inside a disk image.
//!
//! Readers of formats work on an [`Extent`] and so do not care whether their bytes have a file of their own.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// A readable byte range; cheap to clone, safe to share between threads (reads carry their own position).
#[derive(Debug, Clone)]
pub struct Extent {
    file: Arc<File>,
    name: String,
    offset: u64,
    len: u64,
}

impl Extent {
    /// The whole of the file at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        Ok(Self { file: Arc::new(file), name: path.display().to_string(), offset: 0, len })
    }

    /// The part of this range that begins `offset` bytes into it and is `len` bytes long, called `name` in messages.
    pub fn slice(&self, name: impl Into<String>, offset: u64, len: u64) -> io::Result<Self> {
        self.check(offset, len)?;
        Ok(Self { file: Arc::clone(&self.file), name: name.into(), offset: self.offset + offset, len })
    }

    /// What messages call this range.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// True for a range of no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where the range begins in its file, in bytes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Fills `buffer` from `offset` bytes into the range; reaching beyond its end is an error, never a short read.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.check(offset, buffer.len() as u64)?;
        self.file.read_exact_at(buffer, self.offset + offset)
    }

    /// Reads `len` bytes; the caller has bounded `len`.
    pub fn read_vec(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        self.check(offset, len as u64)?;
        let mut bytes = vec![0; len];
        self.read_at(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// The offset of the first byte at or after `from` that is not zero; holes of the file are skipped unread.
    pub fn first_nonzero(&self, from: u64) -> io::Result<Option<u64>> {
        const STEP: u64 = 1 << 20;
        let mut buffer = vec![0; STEP as usize];
        let mut at = from;
        while at < self.len {
            let Some(data) = self.next_data(at)? else { return Ok(None) };
            at = data;
            let count = (self.len - at).min(STEP) as usize;
            self.read_at(at, &mut buffer[..count])?;
            if let Some(index) = buffer[..count].iter().position(|byte| *byte != 0) {
                return Ok(Some(at + index as u64));
            }
            at += count as u64;
        }
        Ok(None)
    }

    /// The first position at or after `from` that the file system stores data for; `None` when a hole reaches the end.
    fn next_data(&self, from: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(self.offset + from)) {
            Ok(at) if at >= self.offset + self.len => Ok(None),
            Ok(at) => Ok(Some(at - self.offset)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            // Not every file system knows about holes; then everything is data.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => Ok(Some(from)),
            Err(error) => Err(error.into()),
        }
    }

    fn check(&self, offset: u64, len: u64) -> io::Result<()> {
        if offset.checked_add(len).is_some_and(|end| end <= self.len) {
            return Ok(());
        }
        let text = format!("{len} bytes at {offset} reach beyond the {} bytes of {}", self.len, self.name);
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(bytes: &[u8]) -> Extent {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Extent::open(file.path()).unwrap()
    }

    #[test]
    fn reads_stay_inside_the_range() {
        let whole = extent(b"0123456789");
        let part = whole.slice("part", 2, 5).unwrap();
        assert_eq!(part.read_vec(1, 3).unwrap(), b"345");
        assert_eq!(part.read_vec(0, 5).unwrap(), b"23456");
        for (offset, len) in [(0, 6), (5, 1), (u64::MAX, 1), (1, 5)] {
            assert!(part.read_vec(offset, len).is_err(), "{offset}+{len}");
        }
        assert!(part.slice("too far", 3, 3).is_err());
        assert!(whole.slice("overflow", u64::MAX, 2).is_err());
    }

    #[test]
    fn finds_the_first_byte_that_is_not_zero() {
        let mut bytes = vec![0; 3 << 20];
        bytes[2_500_000] = 1;
        let whole = extent(&bytes);
        assert_eq!(whole.first_nonzero(0).unwrap(), Some(2_500_000));
        assert_eq!(whole.first_nonzero(2_500_001).unwrap(), None);
        assert_eq!(whole.slice("head", 0, 2_500_000).unwrap().first_nonzero(0).unwrap(), None);
        assert_eq!(whole.slice("tail", 2_000_000, 600_000).unwrap().first_nonzero(0).unwrap(), Some(500_000));
    }

    #[test]
    fn holes_read_as_zero_and_cost_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 40).unwrap();
        assert_eq!(Extent::open(file.path()).unwrap().first_nonzero(0).unwrap(), None);
    }
}
