//! Bytes that are only read: a file, or memory in tests.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Readable bytes; behind their end there are zeroes.
#[derive(Debug)]
pub enum Source {
    /// A file of this length.
    File(File, u64),
    /// Memory.
    Memory(Vec<u8>),
}

impl Source {
    /// A whole file.
    pub fn file(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self::File(file, len))
    }

    /// Fills `into` from `offset`.
    pub fn read(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let len = match self {
            Self::File(_, len) => *len,
            Self::Memory(bytes) => bytes.len() as u64,
        };
        let there = usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX).min(into.len());
        let (inside, behind) = into.split_at_mut(there);
        behind.fill(0);
        match self {
            Self::File(file, _) => file.read_exact_at(inside, offset),
            Self::Memory(bytes) => {
                let start = if there == 0 { 0 } else { offset as usize };
                inside.copy_from_slice(&bytes[start..start + there]);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeroes_follow_the_end() {
        let source = Source::Memory(vec![1; 3]);
        for (offset, expected) in [(0, [1, 1]), (2, [1, 0]), (3, [0, 0]), (u64::MAX, [0, 0])] {
            let mut into = [9; 2];
            source.read(offset, &mut into).unwrap();
            assert_eq!(into, expected);
        }
    }
}
