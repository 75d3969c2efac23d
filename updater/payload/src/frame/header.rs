//! The header of a zstd frame: RFC 8878, section 3.1.1.

/// First four bytes of a frame; skippable frames and the formats before 0.8 have others.
const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What a header declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// How far back the content may refer, in bytes.
    pub(super) window_bytes: u64,
    /// Length of the content, in bytes.
    pub(super) content_bytes: u64,
}

impl Header {
    /// Reads the header of `frame`; one that uses a dictionary or keeps its length to itself is none of ours.
    pub(super) fn parse(frame: &[u8]) -> Result<Self, &'static str> {
        const SHORT: &str = "it is cut off";
        let rest = frame.strip_prefix(&MAGIC).ok_or("this is not a zstd frame")?;
        let (&descriptor, rest) = rest.split_first().ok_or(SHORT)?;
        if descriptor & 0b1000 != 0 {
            return Err("a reserved bit is set");
        }
        if descriptor & 0b11 != 0 {
            return Err("it needs a dictionary");
        }
        let single_segment = descriptor & 0b10_0000 != 0;
        let (window, rest) = if single_segment {
            (None, rest)
        } else {
            let (&byte, rest) = rest.split_first().ok_or(SHORT)?;
            let base = 1_u64 << (10 + (byte >> 3));
            (Some(base + base / 8 * u64::from(byte & 7)), rest)
        };
        let field = |length: usize| -> Result<u64, &'static str> {
            let mut bytes = [0; 8];
            bytes[..length].copy_from_slice(rest.get(..length).ok_or(SHORT)?);
            Ok(u64::from_le_bytes(bytes))
        };
        let content_bytes = match descriptor >> 6 {
            0 if single_segment => field(1)?,
            0 => return Err("it does not declare its length"),
            1 => field(2)? + 256,
            2 => field(4)?,
            _ => field(8)?,
        };
        Ok(Self { window_bytes: window.unwrap_or(content_bytes), content_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> Result<(u64, u64), &'static str> {
        Header::parse(&[&MAGIC, bytes].concat()).map(|header| (header.window_bytes, header.content_bytes))
    }

    #[test]
    fn all_lengths_of_the_length_are_read() {
        assert_eq!(parse(&[0x20, 7]), Ok((7, 7)));
        assert_eq!(parse(&[0x60, 1, 0]), Ok((257, 257)));
        assert_eq!(parse(&[0xa0, 1, 2, 3, 4]), Ok((0x0403_0201, 0x0403_0201)));
        assert_eq!(parse(&[0xe0, 1, 0, 0, 0, 0, 0, 0, 0x80]), Ok((0x8000_0000_0000_0001, 0x8000_0000_0000_0001)));
        assert_eq!(parse(&[0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Ok((u64::MAX, u64::MAX)));
    }

    #[test]
    fn the_window_is_read() {
        assert_eq!(parse(&[0x40, 0, 0, 0]), Ok((1024, 256)));
        assert_eq!(parse(&[0x40, 13 << 3, 0, 0]), Ok((8 << 20, 256)));
        assert_eq!(parse(&[0x40, 13 << 3 | 1, 0, 0]), Ok((9 << 20, 256)));
        assert_eq!(parse(&[0x40, 0xff, 0, 0]).map(|(window, _)| window), Ok((1 << 41) / 8 * 15));
    }

    #[test]
    fn other_headers_are_refused() {
        for (bytes, problem) in [
            (&[][..], "it is cut off"),
            (&[0x20], "it is cut off"),
            (&[0xa0, 1, 2, 3], "it is cut off"),
            (&[0x40], "it is cut off"),
            (&[0x00, 0x58], "it does not declare its length"),
            (&[0x21, 1, 7], "it needs a dictionary"),
            (&[0x28, 7], "a reserved bit is set"),
        ] {
            assert_eq!(parse(bytes), Err(problem), "{bytes:?}");
        }
        for magic in [&b""[..], b"\x28\xb5\x2f", b"\x50\x2a\x4d\x18\x04\0\0\0abcd", b"\x27\xb5\x2f\xfd\x20\x07", b"\x1f\x8b\x08\0\0\0\0\0"]
        {
            assert_eq!(Header::parse(magic), Err("this is not a zstd frame"), "{magic:?}");
        }
    }
}
