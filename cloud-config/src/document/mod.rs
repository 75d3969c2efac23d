//! What the bytes of user-data are: one document, or several parts in compressed and MIME wrappings.

mod error;
mod gzip;
mod mime;
mod part;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use error::ReadError;
pub use part::{Kind, Part};

/// Longest document in bytes, also after unpacking.
pub const MAX_BYTES: usize = crate::yaml::MAX_BYTES;
/// Most parts of a MIME document, those of nested ones included.
pub const MAX_PARTS: usize = 64;
/// Deepest nesting of gzip and MIME in each other.
pub const MAX_NESTING: usize = 4;

/// First line of a configuration.
const HEADER: &str = "#cloud-config";

/// Splits user-data into its parts, in the order in which they apply; none if it is empty.
///
/// `name` is what the source is called in messages.
///
/// # Errors
/// When the bytes are nothing known, cannot be unpacked, or are too many.
pub fn read(name: &str, bytes: &[u8]) -> Result<Vec<Part>, ReadError> {
    let mut parts = Vec::new();
    sniff(&Origin { file: name.into(), first_line: 1 }, bytes, 0, &mut parts)?;
    Ok(parts)
}

/// Where bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    /// Name for messages.
    file: Arc<str>,
    /// Line of the file on which the bytes begin.
    first_line: usize,
}

impl Origin {
    /// Bytes that had to be decoded: their lines are not those of the file.
    fn decoded(&self, what: &str) -> Self {
        Self { file: format!("{} ({what})", self.file).into(), first_line: 1 }
    }
}

/// Finds out what `bytes` are by how they begin.
fn sniff(origin: &Origin, bytes: &[u8], depth: usize, parts: &mut Vec<Part>) -> Result<(), ReadError> {
    if bytes.len() > MAX_BYTES {
        return Err(ReadError::TooLarge { file: origin.file.clone(), what: "bytes", limit: MAX_BYTES });
    }
    if depth > MAX_NESTING {
        return Err(ReadError::TooLarge { file: origin.file.clone(), what: "wrappings in each other", limit: MAX_NESTING });
    }
    if gzip::is_gzip(bytes) {
        let unpacked = gzip::unpack(origin, bytes)?;
        // Most tools wrap one text; its lines are those a person wrote.
        return sniff(origin, &unpacked, depth + 1, parts);
    }
    let text = utf8(origin, bytes)?;
    if text.trim().is_empty() {
        return Ok(());
    }
    if mime::is_multipart(text) {
        return mime::split(origin, text, depth, parts);
    }
    let kind = kind_of(text).ok_or_else(|| ReadError::UnknownFormat {
        file: origin.file.clone(),
        line: origin.first_line,
        first: text.lines().next().unwrap_or_default().to_owned(),
    })?;
    add(parts, Part::new(origin, kind, text.to_owned()))
}

fn add(parts: &mut Vec<Part>, part: Part) -> Result<(), ReadError> {
    if parts.len() >= MAX_PARTS {
        return Err(ReadError::TooLarge { file: part.file().into(), what: "parts", limit: MAX_PARTS });
    }
    parts.push(part);
    Ok(())
}

fn utf8<'b>(origin: &Origin, bytes: &'b [u8]) -> Result<&'b str, ReadError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = origin.first_line + before.iter().filter(|byte| **byte == b'\n').count();
        let (file, what) = (origin.file.clone(), "text in UTF-8");
        ReadError::Undecodable { file, line, what }
    })
}

/// What a text is by its first line, or by being JSON for Ignition.
fn kind_of(text: &str) -> Option<Kind> {
    let first = text.lines().next().unwrap_or_default();
    if first.trim_end() == HEADER {
        Some(Kind::CloudConfig)
    } else if first.starts_with("#!") {
        Some(Kind::Script)
    } else if is_ignition(text) {
        Some(Kind::Foreign("Ignition".to_owned()))
    } else {
        None
    }
}

fn is_ignition(text: &str) -> bool {
    if !text.trim_start().starts_with('{') {
        return false;
    }
    let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    json.get("ignitionVersion").is_some() || json.pointer("/ignition/version").is_some()
}
