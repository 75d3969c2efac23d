//! Where a manifest comes from: a build directory, a manifest file, or a disk image.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{MAX_BYTES, Manifest, ManifestError, read};

/// Name of the manifest in a build directory.
pub const FILE_NAME: &str = "manifest.json.zst";

/// First bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Signature of a GPT header, at the start of the second sector (UEFI specification, 5.3.2).
const GPT_MAGIC: (usize, &[u8]) = (512, b"EFI PART");
/// EROFS superblock magic, little-endian (Linux, fs/erofs/erofs_fs.h).
const EROFS_MAGIC: (usize, &[u8]) = (1024, &[0xe2, 0xe1, 0xf5, 0xe0]);
/// How much of a file tells what it is.
const HEAD_BYTES: usize = 4096;

/// Why no manifest could be loaded from a path.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The path, or the manifest in it, cannot be read.
    #[error("reading {path}: {source}")]
    Io {
        /// The path.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A directory that is no build directory.
    #[error("{path} holds no {FILE_NAME}; name the output directory of `image-builder build`, a manifest or a disk image")]
    NoManifest {
        /// The directory.
        path: PathBuf,
    },
    /// A file of some other kind.
    #[error("{path} is neither a manifest ({FILE_NAME}) nor a disk image")]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// It is a manifest, but not a usable one.
    #[error("{path}: {source}")]
    Manifest {
        /// The manifest file or the image.
        path: PathBuf,
        /// What is wrong with it.
        source: ManifestError,
    },
}

/// Loads the manifest of a build directory, a manifest file or a disk image.
///
/// # Errors
/// When there is nothing at `path`, it is something else, or its manifest is not usable.
pub fn load_manifest(path: &Path) -> Result<Manifest, SourceError> {
    load_with(path, crate::contents::manifest_of_image)
}

/// Like [`load_manifest`], with `from_image` reading the manifest out of a disk image or a bare root image.
///
/// # Errors
/// As [`load_manifest`], and what `from_image` reports.
pub fn load_with(path: &Path, from_image: impl FnOnce(&Path) -> Result<Manifest, SourceError>) -> Result<Manifest, SourceError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| SourceError::Io { path, source }
    };
    let file = if path.is_dir() { path.join(FILE_NAME) } else { path.to_owned() };
    let mut stream = match fs::File::open(&file) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.is_dir() => {
            return Err(SourceError::NoManifest { path: path.to_owned() });
        }
        Err(error) => return Err(io(&file)(error)),
    };
    let mut bytes = Vec::new();
    stream.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut bytes).map_err(io(&file))?;
    match classify(&bytes) {
        Class::Manifest => {}
        Class::Image => return from_image(&file),
        Class::Unknown => return Err(SourceError::Unknown { path: file }),
    }
    // Packed is smaller than unpacked, so the limit of the latter is enough here.
    stream.take(MAX_BYTES).read_to_end(&mut bytes).map_err(io(&file))?;
    read(&bytes).map_err(|source| SourceError::Manifest { path: file, source })
}

#[derive(Debug, PartialEq, Eq)]
enum Class {
    Manifest,
    Image,
    Unknown,
}

fn classify(head: &[u8]) -> Class {
    let has = |(at, magic): (usize, &[u8])| head.get(at..).is_some_and(|rest| rest.starts_with(magic));
    if head.starts_with(&ZSTD_MAGIC) {
        Class::Manifest
    } else if has(GPT_MAGIC) || has(EROFS_MAGIC) {
        Class::Image
    } else {
        Class::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::super::{fixture, write};
    use super::*;

    fn image_with(magic: (usize, &[u8])) -> Vec<u8> {
        let mut bytes = vec![0; HEAD_BYTES];
        bytes[magic.0..magic.0 + magic.1.len()].copy_from_slice(magic.1);
        bytes
    }

    #[test]
    fn loads_from_a_build_directory_and_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE_NAME);
        fs::write(&file, write(&fixture::manifest()).unwrap()).unwrap();
        assert_eq!(load_manifest(dir.path()).unwrap(), fixture::manifest());
        assert_eq!(load_manifest(&file).unwrap(), fixture::manifest());
    }

    #[test]
    fn hands_disk_images_and_root_images_to_the_image_reader() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("disk.raw");
        for magic in [GPT_MAGIC, EROFS_MAGIC] {
            fs::write(&file, image_with(magic)).unwrap();
            assert_eq!(load_with(&file, |_| Ok(fixture::manifest())).unwrap(), fixture::manifest());
            let error = load_manifest(&file).unwrap_err().to_string();
            assert!(error.contains("disk.raw"), "{error}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_anything_else() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            load_manifest(&path).unwrap_err().to_string()
        };
        assert!(load_manifest(dir.path()).unwrap_err().to_string().contains("holds no manifest.json.zst"));
        assert!(load_manifest(&dir.path().join("absent")).unwrap_err().to_string().starts_with("reading "));
        assert!(at("empty", b"").contains("is neither a manifest"));
        assert!(at("text", b"{\"format\":1}").contains("is neither a manifest"));
        assert!(at("cut", &ZSTD_MAGIC).contains("decompressing the manifest"));
    }

    #[test]
    fn tells_files_apart_by_their_first_bytes() {
        let table: [(&[u8], Class); 5] = [
            (&ZSTD_MAGIC, Class::Manifest),
            (&ZSTD_MAGIC[..3], Class::Unknown),
            (&image_with(GPT_MAGIC)[..519], Class::Unknown),
            (&image_with((513, b"EFI PART")), Class::Unknown),
            (&image_with(EROFS_MAGIC)[..1028], Class::Image),
        ];
        for (head, class) in table {
            assert_eq!(classify(head), class, "{head:?}");
        }
    }
}
