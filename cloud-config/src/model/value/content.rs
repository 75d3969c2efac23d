//! Contents of files.

use std::io::Read;

use base64::Engine;

use super::Encoding;
use crate::model::reader::Reader;
use crate::model::schema::{self, Definitions};
use crate::model::{Rule, Value};
use crate::yaml::{Node, Tag, scalar};

/// Largest file, unpacked, in bytes. Configurations are small; this keeps a bomb from filling memory at boot.
pub const MAX_CONTENT_BYTES: usize = 16 * 1024 * 1024;

/// What was written as the content of a file: text, or the bytes of a `!!binary` value.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(Vec<u8>);

/// Why a content is not what its encoding says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Not base64.
    #[error("the content is not base64")]
    Base64,
    /// Not gzip, or cut off.
    #[error("the content is not gzip, or is cut off")]
    Gzip,
    /// Unpacks to too much.
    #[error("the content unpacks to more than {MAX_CONTENT_BYTES} bytes")]
    TooLarge,
}

impl Content {
    /// The bytes as they stand in the document.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.0
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// When they are not what `encoding` says, or too many.
    pub fn decode(&self, encoding: Encoding) -> Result<Vec<u8>, ContentError> {
        match encoding {
            Encoding::Plain => Ok(self.0.clone()),
            Encoding::Base64 => unbase64(&self.0),
            Encoding::Gzip => gunzip(&self.0),
            Encoding::GzipBase64 => gunzip(&unbase64(&self.0)?),
        }
    }
}

fn unbase64(text: &[u8]) -> Result<Vec<u8>, ContentError> {
    let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| ContentError::Base64)
}

fn gunzip(packed: &[u8]) -> Result<Vec<u8>, ContentError> {
    let mut unpacked = Vec::new();
    let limit = MAX_CONTENT_BYTES as u64 + 1;
    flate2::read::MultiGzDecoder::new(packed).take(limit).read_to_end(&mut unpacked).map_err(|_| ContentError::Gzip)?;
    if unpacked.len() > MAX_CONTENT_BYTES {
        return Err(ContentError::TooLarge);
    }
    Ok(unpacked)
}

/// Contents may be secret: only their size is shown.
impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "({} bytes)", self.0.len())
    }
}

impl Value for Content {
    const WANTED: &'static str = "text or `!!binary` data";

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let Some(scalar) = node.as_scalar().filter(|scalar| scalar.tag == Some(Tag::Binary)) else {
            return reader.text(node, Self::WANTED).map(|text| Self(text.into_bytes()));
        };
        let bytes = scalar::binary(scalar);
        if bytes.is_none() {
            reader.invalid(node, Rule::UndecodableContent, "`!!binary` data is base64, which this is not".to_owned(), None);
        }
        bytes.map(Self)
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        schema::text()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn base64(bytes: &[u8]) -> Vec<u8> {
        base64::engine::general_purpose::STANDARD.encode(bytes).into_bytes()
    }

    #[test]
    fn every_encoding_gives_the_same_bytes() {
        let broken_lines = [&base64(b"hello\n")[..4], b"\r\n", &base64(b"hello\n")[4..]].concat();
        let table = [
            (Encoding::Plain, b"hello\n".to_vec()),
            (Encoding::Base64, base64(b"hello\n")),
            (Encoding::Base64, broken_lines),
            (Encoding::Gzip, gzip(b"hello\n")),
            (Encoding::GzipBase64, base64(&gzip(b"hello\n"))),
        ];
        for (encoding, bytes) in table {
            assert_eq!(Content(bytes).decode(encoding).unwrap(), b"hello\n", "{encoding:?}");
        }
    }

    #[test]
    fn what_is_not_encoded_so_is_refused() {
        let cut = gzip(b"hello hello hello")[..20].to_vec();
        let bomb = gzip(&vec![0; MAX_CONTENT_BYTES + 1]);
        let table = [
            (Encoding::Base64, b"not base64!".to_vec(), ContentError::Base64),
            (Encoding::Base64, b"aGVsbG8".to_vec(), ContentError::Base64),
            (Encoding::Gzip, b"plain".to_vec(), ContentError::Gzip),
            (Encoding::Gzip, cut, ContentError::Gzip),
            (Encoding::GzipBase64, base64(b"plain"), ContentError::Gzip),
            (Encoding::Gzip, bomb, ContentError::TooLarge),
        ];
        for (encoding, bytes, expected) in table {
            assert_eq!(Content(bytes).decode(encoding), Err(expected), "{encoding:?}");
        }
    }
}
