//! Ethernet frames in a byte stream, as QEMU's `stream` network sends them: four bytes of length, big-endian, then the frame.

use thiserror::Error;

/// The longest frame that is taken, in bytes: QEMU passes packets on that its guest has not cut yet (offloads), up to
/// 64 KiB and a header before them.
pub const MAX_FRAME: usize = (64 << 10) + 256;

/// Two hardware addresses and a type; anything shorter is no frame.
const MIN_FRAME: usize = 14;

/// Why a stream cannot be read on: where its next frame begins is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a frame of {0} bytes, where {MIN_FRAME} to {MAX_FRAME} are possible")]
pub struct BadLength(pub usize);

/// A hardware address.
pub type Mac = [u8; 6];

/// One Ethernet frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    /// The frame with these bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, BadLength> {
        if (MIN_FRAME..=MAX_FRAME).contains(&bytes.len()) { Ok(Self { bytes }) } else { Err(BadLength(bytes.len())) }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whom it is for.
    #[must_use]
    pub fn to(&self) -> Mac {
        self.mac_at(0)
    }

    /// Whom it is from.
    #[must_use]
    pub fn from(&self) -> Mac {
        self.mac_at(6)
    }

    /// As it goes over the stream.
    #[must_use]
    pub fn packed(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(4 + self.bytes.len());
        packed.extend_from_slice(&(self.bytes.len() as u32).to_be_bytes());
        packed.extend_from_slice(&self.bytes);
        packed
    }

    fn mac_at(&self, at: usize) -> Mac {
        let mut mac = Mac::default();
        mac.copy_from_slice(&self.bytes[at..at + 6]);
        mac
    }
}

/// Whether frames to `mac` are for everybody: the group bit.
#[must_use]
pub fn is_group(mac: Mac) -> bool {
    mac[0] & 1 == 1
}

/// Cuts a stream into frames, however its bytes arrive.
#[derive(Debug, Default)]
pub struct Decoder {
    rest: Vec<u8>,
}

impl Decoder {
    /// Takes what has arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub fn take(&mut self) -> Result<Option<Frame>, BadLength> {
        let Some((&length, body)) = self.rest.split_first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(length) as usize;
        if !(MIN_FRAME..=MAX_FRAME).contains(&length) {
            return Err(BadLength(length));
        }
        let Some(bytes) = body.get(..length) else { return Ok(None) };
        let frame = Frame { bytes: bytes.to_vec() };
        self.rest.drain(..4 + length);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(fill: u8, length: usize) -> Frame {
        Frame::new(vec![fill; length]).unwrap()
    }

    #[test]
    fn frames_survive_every_way_of_cutting_the_stream() {
        let sent = [frame(1, 14), frame(2, 1514), frame(3, 60)];
        let stream: Vec<u8> = sent.iter().flat_map(Frame::packed).collect();
        for piece in [1, 3, 4, 5, 17, 1000, stream.len()] {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            for bytes in stream.chunks(piece) {
                decoder.push(bytes);
                while let Some(frame) = decoder.take().unwrap() {
                    seen.push(frame);
                }
            }
            assert_eq!(seen, sent, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_length_that_cannot_be_ends_the_stream() {
        for length in [0, 13, MAX_FRAME + 1, u32::MAX as usize] {
            let mut decoder = Decoder::default();
            decoder.push(&(length as u32).to_be_bytes());
            assert_eq!(decoder.take(), Err(BadLength(length)));
            assert_eq!(Frame::new(vec![0; length.min(MAX_FRAME + 1)]), Err(BadLength(length.min(MAX_FRAME + 1))));
        }
    }

    #[test]
    fn addresses_are_where_ethernet_puts_them() {
        let mut bytes = vec![0; 60];
        bytes[..6].fill(0xff);
        bytes[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 9]);
        let frame = Frame::new(bytes).unwrap();
        assert!(is_group(frame.to()));
        assert!(!is_group(frame.from()));
        assert_eq!(frame.from(), [2, 0, 0, 0, 0, 9]);
    }
}
