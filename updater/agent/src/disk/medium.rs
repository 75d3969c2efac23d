//! What a part is written to: a partition, or a file on the ESP.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, OFlags, fadvise};

use super::aligned::{ALIGN_BYTES, Aligned};

/// Buffered writes are forced out after this much, in bytes: memory that is full of dirty pages stalls the whole machine.
const FORCE_EVERY_BYTES: u64 = 32 << 20;

/// Bytes at offsets. Reads and writes are whole or fail.
pub trait Medium: Send {
    /// Bytes that fit.
    fn capacity(&self) -> u64;
    /// Fills `into` from `offset`.
    fn read_at(&mut self, offset: u64, into: &mut Aligned) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&mut self, offset: u64, bytes: &Aligned) -> io::Result<()>;
    /// Returns once everything written survives a power cut.
    fn flush(&mut self) -> io::Result<()>;
    /// Makes later reads come from the medium itself, not from memory.
    fn forget(&mut self) -> io::Result<()>;
}

/// A partition, or a regular file standing in for one.
#[derive(Debug)]
pub struct Partition {
    file: File,
    path: PathBuf,
    capacity: u64,
    direct: bool,
    unforced: u64,
}

impl Partition {
    /// Opens a partition for this process alone: one that is mounted or mapped is refused by the kernel (`EBUSY`).
    pub fn open(path: &Path) -> io::Result<Self> {
        let open = |flags: OFlags| {
            let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
            OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
        };
        // O_EXCL without O_CREAT means "exclusively" for block devices only.
        let exclusive = if path.metadata()?.file_type().is_block_device() { OFlags::EXCL } else { OFlags::empty() };
        match open(exclusive | OFlags::DIRECT) {
            Ok(file) => Self::sized(file, path, true),
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error()) => {
                Self::sized(open(exclusive)?, path, false)
            }
            Err(error) => Err(error),
        }
    }

    fn sized(file: File, path: &Path, direct: bool) -> io::Result<Self> {
        use std::io::{Seek, SeekFrom};
        let capacity = (&file).seek(SeekFrom::End(0))?;
        Ok(Self { file, path: path.to_owned(), capacity, direct, unforced: 0 })
    }

    /// Reopens through the page cache when a direct access was not to the device's liking.
    fn give_up_direct(&mut self) -> io::Result<()> {
        tracing::debug!(path = %self.path.display(), "no direct access, writing through the page cache");
        let flags = rustix::fs::fcntl_getfl(&self.file)?;
        rustix::fs::fcntl_setfl(&self.file, flags - OFlags::DIRECT)?;
        self.direct = false;
        Ok(())
    }

    fn is_refusal(&self, error: &io::Error) -> bool {
        self.direct && error.raw_os_error() == Some(rustix::io::Errno::INVAL.raw_os_error())
    }
}

impl Medium for Partition {
    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn read_at(&mut self, offset: u64, into: &mut Aligned) -> io::Result<()> {
        if self.direct && !into.len().is_multiple_of(ALIGN_BYTES) {
            self.give_up_direct()?;
        }
        match self.file.read_exact_at(into.bytes_mut(), offset) {
            Err(error) if self.is_refusal(&error) => {
                self.give_up_direct()?;
                self.file.read_exact_at(into.bytes_mut(), offset)
            }
            other => other,
        }
    }

    fn write_at(&mut self, offset: u64, bytes: &Aligned) -> io::Result<()> {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.capacity) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "beyond the end of the partition"));
        }
        if self.direct && !bytes.len().is_multiple_of(ALIGN_BYTES) {
            self.give_up_direct()?;
        }
        match self.file.write_all_at(bytes.bytes(), offset) {
            Err(error) if self.is_refusal(&error) => {
                self.give_up_direct()?;
                self.file.write_all_at(bytes.bytes(), offset)?;
            }
            other => other?,
        }
        if !self.direct {
            self.unforced += bytes.len() as u64;
            if self.unforced >= FORCE_EVERY_BYTES {
                self.file.sync_data()?;
                self.unforced = 0;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unforced = 0;
        self.file.sync_all()
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(fadvise(&self.file, 0, None, Advice::DontNeed)?)
    }
}

/// A file on the ESP that is being written under a temporary name.
#[derive(Debug)]
pub struct EspFile {
    file: File,
    capacity: u64,
    unforced: u64,
}

impl EspFile {
    /// Opens `path`, which may hold the beginning of an earlier attempt, and makes it `bytes` long.
    pub fn open(path: &Path, bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        file.set_len(bytes)?;
        Ok(Self { file, capacity: bytes, unforced: 0 })
    }
}

impl Medium for EspFile {
    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn read_at(&mut self, offset: u64, into: &mut Aligned) -> io::Result<()> {
        self.file.read_exact_at(into.bytes_mut(), offset)
    }

    fn write_at(&mut self, offset: u64, bytes: &Aligned) -> io::Result<()> {
        self.file.write_all_at(bytes.bytes(), offset)?;
        self.unforced += bytes.len() as u64;
        if self.unforced >= FORCE_EVERY_BYTES {
            self.file.sync_data()?;
            self.unforced = 0;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(fadvise(&self.file, 0, None, Advice::DontNeed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_never_grown_nor_written_past_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        std::fs::write(&path, vec![0; 3 * ALIGN_BYTES]).unwrap();
        let mut partition = Partition::open(&path).unwrap();
        assert_eq!(partition.capacity(), 3 * ALIGN_BYTES as u64);
        let mut block = Aligned::new(ALIGN_BYTES);
        block.resize(ALIGN_BYTES);
        block.bytes_mut().fill(7);
        partition.write_at(2 * ALIGN_BYTES as u64, &block).unwrap();
        for offset in [3 * ALIGN_BYTES as u64, u64::MAX] {
            assert_eq!(partition.write_at(offset, &block).unwrap_err().kind(), io::ErrorKind::StorageFull);
        }
        assert_eq!(path.metadata().unwrap().len(), 3 * ALIGN_BYTES as u64);
        assert!(Partition::open(&dir.path().join("none")).is_err());
    }

    #[test]
    fn odd_lengths_are_read_and_written_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        std::fs::write(&path, vec![0; 2 * ALIGN_BYTES]).unwrap();
        let mut partition = Partition::open(&path).unwrap();
        let mut odd = Aligned::new(ALIGN_BYTES);
        odd.resize(1000);
        odd.bytes_mut().fill(9);
        partition.write_at(ALIGN_BYTES as u64, &odd).unwrap();
        partition.flush().unwrap();
        partition.forget().unwrap();
        let mut back = Aligned::new(ALIGN_BYTES);
        back.resize(1001);
        partition.read_at(ALIGN_BYTES as u64, &mut back).unwrap();
        assert_eq!(back.bytes()[999..], [9, 0]);
    }
}
