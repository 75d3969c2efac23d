//! dm-verity hash trees; the code is shared with the host, which checks with it what it wrote.

pub use payload::verity::*;

use crate::extent::Extent;

impl Blocks for Extent {
    fn name(&self) -> &str {
        self.name()
    }

    fn len(&self) -> u64 {
        self.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.read_at(offset, buffer)
    }
}

#[cfg(test)]
mod tests;
