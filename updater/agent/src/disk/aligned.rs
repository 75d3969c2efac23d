//! Memory at an address that direct I/O accepts.

/// Alignment of address, offset and length for direct I/O: the largest logical block a disk has today.
pub(super) const ALIGN_BYTES: usize = 4096;

/// A buffer of changing length whose first byte is aligned.
#[derive(Debug)]
pub struct Aligned {
    memory: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    /// A buffer for up to `capacity` bytes, empty.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let memory = vec![0; capacity + ALIGN_BYTES];
        // The address of a vector that is never grown does not change.
        let start = memory.as_ptr().align_offset(ALIGN_BYTES);
        Self { memory, start, length: 0 }
    }

    /// Sets the length; what is new holds anything.
    ///
    /// # Panics
    /// When `length` is more than the capacity.
    pub fn resize(&mut self, length: usize) {
        assert!(self.start + length <= self.memory.len(), "an aligned buffer cannot grow");
        self.length = length;
    }

    /// Its length.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.length]
    }

    /// Its bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_is_aligned() {
        for capacity in [0, 1, 4096, 12_345] {
            let mut buffer = Aligned::new(capacity);
            buffer.resize(capacity);
            assert_eq!(buffer.bytes().as_ptr().align_offset(ALIGN_BYTES), 0);
            assert_eq!((buffer.len(), buffer.bytes_mut().len()), (capacity, capacity));
        }
    }
}
