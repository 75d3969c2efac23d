use std::io::Read;

use serde::Deserialize;

use super::{FORMAT, Manifest, ManifestError, validate};

/// Most bytes a manifest may unpack to: an image of 100 000 files needs about 30 MiB, and a bomb must not fill the memory.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// zstd level of a written manifest. Part of the format's promise of equal bytes: changing it changes every root hash.
const LEVEL: i32 = 19;

/// Largest zstd window a reader accepts, as a power of two: [`MAX_BYTES`]. Level 19 writes 8 MiB.
const WINDOW_LOG_MAX: u32 = 26;

/// The one field that every version of the format has.
#[derive(Deserialize)]
struct Head {
    format: u32,
}

/// Reads a manifest as [`write()`] wrote it, and checks its rules.
///
/// # Errors
/// When the bytes are damaged, too large, from a newer image-builder, or break a rule of the format.
pub fn read(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let json = unpack(bytes, MAX_BYTES)?;
    // The format is looked at first: a newer one may well have fields that would fail to parse.
    let head: Head = serde_json::from_slice(&json).map_err(ManifestError::Json)?;
    if head.format > FORMAT {
        return Err(ManifestError::Newer { found: head.format });
    }
    let manifest: Manifest = serde_json::from_slice(&json).map_err(ManifestError::Json)?;
    validate(&manifest)?;
    Ok(manifest)
}

/// Writes a manifest as JSON under zstd; the same manifest gives the same bytes.
///
/// # Errors
/// When the manifest breaks a rule of the format or is too large, so that what was written can be read again.
pub fn write(manifest: &Manifest) -> Result<Vec<u8>, ManifestError> {
    zstd::bulk::compress(&to_json(manifest)?, LEVEL).map_err(ManifestError::Zstd)
}

/// The JSON inside a written manifest.
pub(crate) fn to_json(manifest: &Manifest) -> Result<Vec<u8>, ManifestError> {
    validate(manifest)?;
    let json = serde_json::to_vec(manifest).map_err(ManifestError::Json)?;
    if json.len() as u64 > MAX_BYTES { Err(ManifestError::TooLarge { limit: MAX_BYTES }) } else { Ok(json) }
}

fn unpack(bytes: &[u8], limit: u64) -> Result<Vec<u8>, ManifestError> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(ManifestError::Zstd)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(ManifestError::Zstd)?;
    let mut json = Vec::new();
    decoder.take(limit + 1).read_to_end(&mut json).map_err(ManifestError::Zstd)?;
    if json.len() as u64 > limit { Err(ManifestError::TooLarge { limit }) } else { Ok(json) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fixture;
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_equal_manifests_give_equal_bytes() {
        let manifest = fixture::manifest();
        let bytes = write(&manifest).unwrap();
        assert_eq!(bytes, write(&fixture::manifest()).unwrap());
        assert_eq!(read(&bytes).unwrap(), manifest);
    }

    /// Changes the JSON of the fixture and reads it back.
    fn read_changed(change: impl FnOnce(&mut serde_json::Value)) -> String {
        let mut json = serde_json::to_value(fixture::manifest()).unwrap();
        change(&mut json);
        let bytes = zstd::bulk::compress(&serde_json::to_vec(&json).unwrap(), 1).unwrap();
        read(&bytes).unwrap_err().to_string()
    }

    #[test]
    fn refuses_a_newer_format_by_name_even_with_unknown_fields() {
        let error = read_changed(|json| {
            json["format"] = (FORMAT + 1).into();
            json["from-the-future"] = true.into();
        });
        assert_eq!(error, "the manifest has format 2, this image-builder reads up to format 1; use a newer image-builder");
    }

    #[test]
    fn refuses_what_the_format_does_not_know() {
        assert!(read_changed(|json| json["surprise"] = true.into()).contains("unknown field `surprise`"));
        assert!(read_changed(|json| json["format"] = 0.into()).contains("format `0`"));
        assert!(read_changed(|json| json["format"] = "1".into()).starts_with("parsing the manifest"));
        assert!(read_changed(|json| json["files"] = serde_json::Value::Null).starts_with("parsing the manifest"));
        assert!(read_changed(|json| json["files"][0]["type"] = "door".into()).contains("unknown variant `door`"));
    }

    #[test]
    fn refuses_damaged_bytes() {
        let bytes = write(&fixture::manifest()).unwrap();
        let cut = &bytes[..bytes.len() / 2];
        let trailing = [bytes.as_slice(), b"more"].concat();
        for damaged in [b"".as_slice(), b"{}", cut, &trailing] {
            assert!(read(damaged).is_err(), "{damaged:?}");
        }
    }

    #[test]
    fn refuses_a_decompression_bomb_without_unpacking_it() {
        let bomb = zstd::bulk::compress(&vec![b' '; 4096], 1).unwrap();
        assert!(matches!(unpack(&bomb, 4095), Err(ManifestError::TooLarge { limit: 4095 })));
        assert_eq!(unpack(&bomb, 4096).unwrap().len(), 4096);
    }

    proptest! {
        #[test]
        fn damage_anywhere_is_an_error_or_a_valid_manifest(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut json = to_json(&fixture::manifest()).unwrap();
            let at = at.index(json.len());
            json[at] = byte;
            if let Ok(manifest) = read(&zstd::bulk::compress(&json, 1).unwrap()) {
                prop_assert!(write(&manifest).is_ok());
            }
        }

        #[test]
        fn garbage_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
