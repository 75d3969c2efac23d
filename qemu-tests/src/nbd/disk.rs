//! The content of a served disk: a base that is only read, and sectors written above it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::wire::SECTOR_BYTES;

const SECTOR: usize = SECTOR_BYTES as usize;

/// A disk. Sectors that were never written come from the base; behind its end there are zeroes.
#[derive(Debug)]
pub struct Layered {
    base: File,
    base_bytes: u64,
    size: u64,
    /// Sparse file with the written sectors at their places.
    above: File,
    /// One bit per sector: it is in `above`.
    written: Vec<u64>,
    /// How to take back what was not flushed, oldest first; `None` when nobody will ask for it.
    undo: Option<VecDeque<Before>>,
}

/// A sector range as it was before a write.
#[derive(Debug)]
struct Before {
    offset: u64,
    bytes: Vec<u8>,
}

impl Layered {
    /// A disk of `size` bytes over `base`.
    pub fn over(base: File, size: u64) -> io::Result<Self> {
        let base_bytes = base.metadata()?.len();
        let above = tempfile::tempfile()?;
        above.set_len(size)?;
        let words = usize::try_from((size / SECTOR_BYTES).div_ceil(64)).map_err(io::Error::other)?;
        Ok(Self { base, base_bytes, size, above, written: vec![0; words], undo: None })
    }

    /// Remembers from now on how to take back what was not flushed.
    pub fn remember(&mut self) {
        self.undo.get_or_insert_default();
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Fills `into` from `offset`; both are multiples of a sector, as the protocol demands.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut at = 0;
        while at < into.len() {
            let place = offset + at as u64;
            let here = self.is_written(place);
            let mut end = at + SECTOR;
            while end < into.len() && self.is_written(offset + end as u64) == here {
                end += SECTOR;
            }
            let end = end.min(into.len());
            let run = &mut into[at..end];
            if here {
                self.above.read_exact_at(run, place)?;
            } else {
                let there = usize::try_from(self.base_bytes.saturating_sub(place)).unwrap_or(usize::MAX).min(run.len());
                self.base.read_exact_at(&mut run[..there], place)?;
                run[there..].fill(0);
            }
            at = end;
        }
        Ok(())
    }

    /// Writes `bytes` at `offset`, both multiples of a sector.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.undo.is_some() {
            let mut before = vec![0; bytes.len()];
            self.read(offset, &mut before)?;
            if let Some(undo) = &mut self.undo {
                undo.push_back(Before { offset, bytes: before });
            }
        }
        self.put(offset, bytes)
    }

    /// Makes `len` bytes at `offset` read as zeroes. The range may be far larger than memory.
    pub fn zero(&mut self, offset: u64, len: u64) -> io::Result<()> {
        const STEP: u64 = 1 << 20;
        let zeroes = vec![0; STEP as usize];
        let mut current = vec![0; STEP as usize];
        let mut at = offset;
        while at < offset + len {
            let count = (offset + len - at).min(STEP);
            // A disk is mostly zeroes already; writing them again would fill the sparse file.
            self.read(at, &mut current[..count as usize])?;
            if current[..count as usize].iter().any(|byte| *byte != 0) {
                self.write(at, &zeroes[..count as usize])?;
            }
            at += count;
        }
        Ok(())
    }

    /// What was written so far survives a cut.
    pub fn flush(&mut self) {
        if let Some(undo) = &mut self.undo {
            undo.clear();
        }
    }

    /// Takes back everything that was not flushed: the power is gone.
    pub fn lose_unflushed(&mut self) -> io::Result<()> {
        while let Some(before) = self.undo.as_mut().and_then(VecDeque::pop_back) {
            self.put(before.offset, &before.bytes)?;
        }
        Ok(())
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.above.write_all_at(bytes, offset)?;
        for sector in (offset / SECTOR_BYTES)..(offset + bytes.len() as u64) / SECTOR_BYTES {
            self.written[(sector / 64) as usize] |= 1 << (sector % 64);
        }
        Ok(())
    }

    fn is_written(&self, offset: u64) -> bool {
        let sector = offset / SECTOR_BYTES;
        self.written.get((sector / 64) as usize).is_some_and(|word| word >> (sector % 64) & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(base: &[u8], size: u64) -> Layered {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(base, 0).unwrap();
        Layered::over(file, size).unwrap()
    }

    fn sectors(disk: &Layered) -> Vec<u8> {
        let mut bytes = vec![9; disk.size() as usize];
        disk.read(0, &mut bytes).unwrap();
        bytes.chunks(SECTOR).map(|sector| sector[511]).collect()
    }

    #[test]
    fn written_sectors_hide_the_base_and_zeroes_follow_it() {
        let mut disk = disk(&[1; 1024], 2560);
        assert_eq!(sectors(&disk), [1, 1, 0, 0, 0]);
        disk.write(512, &[2; 1024]).unwrap();
        assert_eq!(sectors(&disk), [1, 2, 2, 0, 0]);
        disk.zero(0, 1024).unwrap();
        assert_eq!(sectors(&disk), [0, 0, 2, 0, 0]);
    }

    #[test]
    fn a_base_that_ends_inside_a_sector_is_padded() {
        assert_eq!(sectors(&disk(&[1; 700], 1024)), [1, 0]);
    }

    #[test]
    fn what_was_not_flushed_is_lost_in_the_right_order() {
        let mut disk = disk(&[1; 1024], 1024);
        disk.remember();
        disk.write(0, &[2; 512]).unwrap();
        disk.flush();
        disk.write(0, &[3; 1024]).unwrap();
        disk.write(512, &[4; 512]).unwrap();
        disk.zero(0, 512).unwrap();
        assert_eq!(sectors(&disk), [0, 4]);
        disk.lose_unflushed().unwrap();
        assert_eq!(sectors(&disk), [2, 1]);
    }
}
