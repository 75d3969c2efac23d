//! Values that platforms pack into text: base64, perhaps of gzip.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::MultiGzDecoder;

use super::error::SourceError;

/// How a value is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Base64,
    GzipBase64,
}

impl Encoding {
    /// Reads the name that VMware's tools give it; empty for none.
    pub(super) fn named(place: &str, name: &str) -> Result<Self, SourceError> {
        match name.trim() {
            "" => Ok(Self::Plain),
            "base64" | "b64" => Ok(Self::Base64),
            "gzip+base64" | "gz+b64" | "gz+base64" | "gzip+b64" => Ok(Self::GzipBase64),
            other => {
                Err(SourceError::field(place, "encoding", format!("is {}; base64 and gzip+base64 are known", super::facts::quoted(other))))
            }
        }
    }

    /// Unpacks a value into at most `max` bytes.
    pub(super) fn decode(self, place: &str, bytes: &[u8], max: usize) -> Result<Vec<u8>, SourceError> {
        let long = || SourceError::Read { place: place.to_owned(), error: super::ReadError::TooLarge(max) };
        if self == Self::Plain {
            return if bytes.len() > max { Err(long()) } else { Ok(bytes.to_vec()) };
        }
        // Line breaks are common in what people paste, and the decoder takes none.
        let packed: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let bytes = STANDARD.decode(packed).map_err(|error| SourceError::malformed(place, "base64", error))?;
        let mut unpacked = Vec::new();
        match self {
            Self::GzipBase64 => {
                let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
                let mut reader = MultiGzDecoder::new(bytes.as_slice()).take(limit);
                reader.read_to_end(&mut unpacked).map_err(|error| SourceError::malformed(place, "gzip", error))?;
            }
            _ => unpacked = bytes,
        }
        if unpacked.len() > max { Err(long()) } else { Ok(unpacked) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(bytes: &[u8]) -> String {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(bytes).unwrap();
        STANDARD.encode(gzip.finish().unwrap())
    }

    #[test]
    fn values_are_unpacked_as_they_are_packed() {
        for (name, value) in
            [("", "#cloud-config\n".to_owned()), ("base64", "I2Nsb3Vk\nLWNvbmZpZwo=\n".to_owned()), ("gz+b64", packed(b"#cloud-config\n"))]
        {
            let encoding = Encoding::named("x", name).unwrap();
            assert_eq!(encoding.decode("x", value.as_bytes(), 14).unwrap(), b"#cloud-config\n", "{name}");
            assert!(encoding.decode("x", value.as_bytes(), 13).unwrap_err().to_string().contains("13 bytes"), "{name}");
        }
    }

    #[test]
    fn broken_and_bloated_values_are_refused() {
        assert!(Encoding::named("x", "rot13").unwrap_err().to_string().contains("rot13"));
        assert!(Encoding::Base64.decode("x", b"!!", 9).is_err());
        assert!(Encoding::GzipBase64.decode("x", b"I2Nsb3Vk", 9).is_err(), "no gzip");
        let whole = packed(&[b'x'; 1000]);
        assert!(Encoding::GzipBase64.decode("x", &whole.as_bytes()[..16], 9999).is_err(), "cut off");
        let bomb = packed(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        assert!(matches!(Encoding::GzipBase64.decode("x", bomb.as_bytes(), 1 << 20), Err(SourceError::Read { .. })));
    }
}
