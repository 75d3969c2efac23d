//! The folders of published and staged files, and which names may be written into them.
//!
//! ```text
//! repository/tuf -> tuf-N      the metadata that is served; replaced by renaming this link
//! repository/tuf-N/            one complete set of metadata
//! repository/targets/F/NAME    files of releases; written once, never changed
//! staging/tuf/NAME, staging/targets/F/NAME
//! root.json                    the root that this server was told to believe (`init --root`), if it was
//! ```

use std::path::{Path, PathBuf};

use super::{Disk, PublishError};

/// Longest name of a file or folder, in bytes; what `release.json` allows as well.
const NAME_MAX: usize = 128;

/// The data folder's part that holds files.
#[derive(Debug, Clone)]
pub struct Layout {
    /// What is served.
    pub repository: PathBuf,
    /// What was uploaded and not yet published.
    pub staging: PathBuf,
    /// The root that the first published metadata must follow from. No upload reaches it; where there is none, the first publisher
    /// is believed.
    pub pinned: PathBuf,
    /// What its steps are announced to.
    pub disk: Disk,
}

/// A name below `/tuf` or `/targets` that is safe to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// A file of metadata.
    Tuf(String),
    /// A file of a release: folder and file.
    Target(String, String),
}

impl Name {
    /// Takes `tuf/NAME.json` and `targets/FOLDER/FILE` and nothing else.
    ///
    /// # Errors
    /// Anything that could leave its folder, hide, or mean something else on another file system.
    pub fn parse(path: &str) -> Result<Self, PublishError> {
        let refused = || PublishError::Name(path.chars().take(200).map(|c| if c.is_control() { '_' } else { c }).collect());
        let parts: Vec<&str> = path.split('/').collect();
        match parts.as_slice() {
            ["tuf", name] if plain(name) && name.ends_with(".json") => Ok(Self::Tuf((*name).to_owned())),
            ["targets", folder, file] if plain(folder) && plain(file) => Ok(Self::Target((*folder).to_owned(), (*file).to_owned())),
            _ => Err(refused()),
        }
    }

    /// Relative to the staging or repository folder.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        match self {
            Self::Tuf(name) => Path::new("tuf").join(name),
            Self::Target(folder, file) => Path::new("targets").join(folder).join(file),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path().display().fmt(f)
    }
}

/// Whether `name` means itself everywhere.
#[must_use]
pub fn plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_MAX
        && !name.starts_with(['.', '-'])
        && !name.ends_with('.')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._+~-".contains(c))
}

impl Layout {
    /// Below a data folder.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { repository: data.join("repository"), staging: data.join("staging"), pinned: data.join("root.json"), disk: Disk::default() }
    }

    /// The same folders on a disk that tests can let fail.
    #[must_use]
    pub fn with(self, disk: Disk) -> Self {
        Self { disk, ..self }
    }

    /// Makes the folders.
    ///
    /// # Errors
    /// The disk's.
    pub fn create(&self) -> Result<(), PublishError> {
        for folder in [self.repository.join("targets"), self.staging.join("tuf"), self.staging.join("targets")] {
            std::fs::create_dir_all(&folder).map_err(super::at(&folder))?;
        }
        Ok(())
    }

    /// The root that was pinned, if one was.
    ///
    /// # Errors
    /// The disk's.
    pub fn pinned_root(&self) -> Result<Option<Vec<u8>>, PublishError> {
        match std::fs::read(&self.pinned) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(super::at(&self.pinned)(error)),
        }
    }

    /// The served metadata.
    #[must_use]
    pub fn tuf(&self) -> PathBuf {
        self.repository.join("tuf")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_names_of_a_repository() {
        for good in ["tuf/root.json", "tuf/12.root.json", "targets/slipway-vm-1.2.3-rc.1-amd64/root.erofs.zst", "targets/a/b"] {
            let name = Name::parse(good).unwrap();
            assert_eq!(name.path(), Path::new(good));
        }
    }

    #[test]
    fn refuses_names_that_mean_something_else() {
        for wrong in [
            "",
            "tuf",
            "tuf/",
            "tuf/root.txt",
            "targets/a",
            "targets/a/b/c",
            "targets//b",
            "targets/../root.json",
            "targets/a/..",
            "targets/a/.hidden",
            "targets/.a/b",
            "/tuf/root.json",
            "tuf/../tuf/root.json",
            "targets/a/b\0",
            "targets/a\\b/c",
            "targets/a/b c",
            "targets/a/%2e%2e",
            "targets/ä/b",
            "targets/a/-rf",
            "targets/a/b.",
            "other/a/b",
            "TARGETS/a/b",
            "targets/a/b\n",
        ] {
            assert!(Name::parse(wrong).is_err(), "{wrong:?}");
        }
        assert!(Name::parse(&format!("targets/a/{}", "x".repeat(129))).is_err());
    }
}
