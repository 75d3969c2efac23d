//! The trusted metadata: files the verifier accepted, kept as the bytes they are.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::disk::{self, Linux};

/// Largest file in bytes: what the verifier accepts at most.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The files there are; no other name is read or written, whoever asks.
const NAMES: [&str; 4] = ["root.json", "timestamp.json", "snapshot.json", "targets.json"];

/// The folder `tuf` of the store.
#[derive(Debug, Clone)]
pub struct TrustedFiles {
    folder: PathBuf,
}

impl TrustedFiles {
    /// The files below the folder of the store.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(store: &Path) -> Result<Self, StoreError> {
        let folder = store.join("tuf");
        let failed = |source| StoreError::Io { doing: "making the folder", path: folder.clone(), source };
        std::fs::create_dir_all(&folder).map_err(failed)?;
        Ok(Self { folder })
    }

    /// The content of a file, if it is there and of a sane size.
    ///
    /// # Errors
    /// It is there but cannot be read, or `name` is none of the four.
    pub fn load(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(name)?;
        let failed = |source| StoreError::Io { doing: "reading", path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
        Ok((bytes.len() as u64 <= FILE_BYTES_MAX).then_some(bytes))
    }

    /// Replaces a file durably, unless it has this content already.
    ///
    /// # Errors
    /// It cannot be written, or `name` is none of the four.
    pub fn save(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path(name)?;
        if self.load(name)?.as_deref() == Some(bytes) {
            return Ok(());
        }
        disk::replace(&Linux, &path, bytes).map_err(|source| StoreError::Io { doing: "writing", path, source })
    }

    fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        if NAMES.contains(&name) {
            return Ok(self.folder.join(name));
        }
        let source = std::io::Error::new(ErrorKind::InvalidInput, "not a metadata file");
        Err(StoreError::Io { doing: "looking for", path: self.folder.join("?"), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_four_files_exist() {
        let dir = tempfile::tempdir().unwrap();
        let files = TrustedFiles::open(dir.path()).unwrap();
        assert_eq!(files.load("root.json").unwrap(), None);
        files.save("root.json", b"x").unwrap();
        assert_eq!(files.load("root.json").unwrap().unwrap(), b"x");
        for name in ["../state.json", "1.root.json", "", "/etc/shadow"] {
            assert!(files.save(name, b"x").is_err(), "{name}");
            assert!(files.load(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_same_bytes_are_not_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let files = TrustedFiles::open(dir.path()).unwrap();
        files.save("root.json", b"x").unwrap();
        let before = std::fs::metadata(dir.path().join("tuf/root.json")).unwrap().modified().unwrap();
        files.save("root.json", b"x").unwrap();
        assert_eq!(std::fs::metadata(dir.path().join("tuf/root.json")).unwrap().modified().unwrap(), before);
    }
}
