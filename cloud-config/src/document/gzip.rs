//! Compressed user-data.

use std::io::Read;

use super::{MAX_BYTES, Origin, ReadError};

/// How gzip begins.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Unpacks at most [`MAX_BYTES`]; what is cut off or corrupt is refused.
pub(super) fn unpack(origin: &Origin, bytes: &[u8]) -> Result<Vec<u8>, ReadError> {
    let mut unpacked = Vec::new();
    let reader = flate2::read::MultiGzDecoder::new(bytes);
    let result = reader.take(MAX_BYTES as u64 + 1).read_to_end(&mut unpacked);
    result.map_err(|_| ReadError::Undecodable { file: origin.file.clone(), line: origin.first_line, what: "gzip, or it is cut off" })?;
    if unpacked.len() > MAX_BYTES {
        return Err(ReadError::TooLarge { file: origin.file.clone(), what: "bytes after unpacking", limit: MAX_BYTES });
    }
    Ok(unpacked)
}
