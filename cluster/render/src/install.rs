//! Putting a file in its place, whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, Mode, Uid, fchmod, fchown};
use tempfile::NamedTempFile;

use crate::resource::Attributes;

/// How files end that are not in their place yet; one that a power cut left is removed at the start.
const SUFFIX: &str = ".rendering";
/// Permission bits of a new file, unless said.
const MODE: u32 = 0o644;

/// What is in a place now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// What it holds.
    pub content: Vec<u8>,
    uid: u32,
    gid: u32,
    mode: u32,
}

/// Why a file is not in its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// What is there cannot be looked at.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The new file cannot be written.
    #[error("writing a new file beside {}: {source}", path.display())]
    Write {
        /// The file's place.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The new file cannot take its place.
    #[error("replacing {}: {source}{}", path.display(), hint(source))]
    Replace {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::ResourceBusy => "; it is a mount of its own, and only its folder can be one",
        io::ErrorKind::IsADirectory => "; it is a folder",
        _ => "",
    }
}

impl Current {
    /// What is at `path` now, if anything.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &Path) -> Result<Option<Self>, InstallError> {
        let read = || -> io::Result<Self> {
            let metadata = std::fs::metadata(path)?;
            let content = std::fs::read(path)?;
            Ok(Self { content, uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() & 0o7777 })
        };
        match read() {
            Ok(current) => Ok(Some(current)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(InstallError::Read { path: path.to_owned(), source }),
        }
    }

    /// Whether owner and rights are as wanted.
    #[must_use]
    pub fn has(&self, wanted: Attributes) -> bool {
        let same = |wanted: Option<u32>, is: u32| wanted.is_none_or(|wanted| wanted == is);
        same(wanted.uid, self.uid) && same(wanted.gid, self.gid) && same(wanted.mode, self.mode)
    }

    /// What is not said stays as it is here.
    #[must_use]
    pub fn complete(&self, wanted: Attributes) -> Attributes {
        let or = |wanted: Option<u32>, is: u32| Some(wanted.unwrap_or(is));
        Attributes { uid: or(wanted.uid, self.uid), gid: or(wanted.gid, self.gid), mode: or(wanted.mode, self.mode) }
    }
}

/// A complete file, on the disk, beside its place.
#[derive(Debug)]
pub struct Staged {
    file: NamedTempFile,
    dest: PathBuf,
}

impl Staged {
    /// Writes `content` beside `dest`, or in `folder` when it is not to be installed.
    ///
    /// # Errors
    /// It cannot be written, or not given to its owner.
    pub fn write(dest: &Path, folder: Option<&Path>, content: &[u8], attributes: Attributes) -> Result<Self, InstallError> {
        let write = || -> io::Result<NamedTempFile> {
            let beside = folder.or(dest.parent()).unwrap_or(Path::new("/"));
            let mut file = tempfile::Builder::new().prefix(&prefix(dest)).suffix(SUFFIX).tempfile_in(beside)?;
            file.write_all(content)?;
            // The owner first: changing it takes some bits of the mode away.
            if folder.is_none() && (attributes.uid.is_some() || attributes.gid.is_some()) {
                fchown(&file, attributes.uid.map(Uid::from_raw), attributes.gid.map(Gid::from_raw))?;
            }
            fchmod(&file, Mode::from_raw_mode(attributes.mode.unwrap_or(MODE)))?;
            file.as_file().sync_all()?;
            Ok(file)
        };
        match write() {
            Ok(file) => Ok(Self { file, dest: dest.to_owned() }),
            Err(source) => Err(InstallError::Write { path: dest.to_owned(), source }),
        }
    }

    /// Where the new file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Puts it in its place. Whoever opens the place sees the old file or the new one, and after a power cut as well.
    ///
    /// # Errors
    /// It cannot be renamed; then the old one is still there.
    pub fn install(self) -> Result<(), InstallError> {
        let Self { file, dest } = self;
        let folder = dest.parent().unwrap_or(Path::new("/")).to_owned();
        let replaced = file.persist(&dest).map_err(|error| error.error).and_then(|_| File::open(folder)?.sync_all());
        replaced.map_err(|source| InstallError::Replace { path: dest, source })
    }
}

/// Gives a file that is in its place already its owner and rights.
///
/// # Errors
/// The operating system refuses.
pub(crate) fn adjust(path: &Path, wanted: Attributes) -> Result<(), InstallError> {
    let adjust = || -> io::Result<()> {
        rustix::fs::chown(path, wanted.uid.map(Uid::from_raw), wanted.gid.map(Gid::from_raw))?;
        match wanted.mode {
            Some(mode) => std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)),
            None => Ok(()),
        }
    };
    adjust().map_err(|source| InstallError::Write { path: path.to_owned(), source })
}

/// Removes what a run that was cut off left beside `dest`.
pub(crate) fn sweep(dest: &Path) {
    let Some(folder) = dest.parent() else { return };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let prefix = prefix(dest);
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(&prefix) && name.ends_with(SUFFIX) {
            // It may be gone already, and if it stays it does no harm.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn prefix(dest: &Path) -> String {
    format!(".{}.", dest.file_name().unwrap_or_default().to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_reader_sees_the_old_file_or_the_new_one_and_nothing_in_between() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("web.conf");
        let (old, new) = (vec![b'o'; 1 << 20], vec![b'n'; 1 << 20]);
        std::fs::write(&dest, &old).unwrap();
        let mut open = File::open(&dest).unwrap();
        let staged = Staged::write(&dest, None, &new, Attributes::default()).unwrap();
        assert_eq!(std::fs::read(&dest).unwrap(), old, "until it is installed the old one is there");
        assert_eq!(std::fs::read(staged.path()).unwrap(), new);
        staged.install().unwrap();
        assert_eq!(std::fs::read(&dest).unwrap(), new);
        let mut seen = Vec::new();
        io::Read::read_to_end(&mut open, &mut seen).unwrap();
        assert_eq!(seen, old, "who had it open goes on with what he had");
        assert_eq!(names(folder.path()), ["web.conf"]);
    }

    #[test]
    fn what_is_not_installed_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("web.conf");
        drop(Staged::write(&dest, None, b"x", Attributes::default()).unwrap());
        assert_eq!(names(folder.path()), Vec::<String>::new());
        for name in [".web.conf.abc.rendering", ".web.conf.swp", ".other.conf.abc.rendering"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        sweep(&dest);
        assert_eq!(names(folder.path()), [".other.conf.abc.rendering", ".web.conf.swp"]);
    }

    #[test]
    fn rights_are_those_that_are_said_or_those_that_were() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("web.conf");
        let install = |wanted: Attributes| {
            let current = Current::read(&dest).unwrap();
            let attributes = current.as_ref().map_or(wanted, |current| current.complete(wanted));
            Staged::write(&dest, None, b"x", attributes).unwrap().install().unwrap();
            std::fs::metadata(&dest).unwrap().mode() & 0o7777
        };
        let mode = |mode| Attributes { mode: Some(mode), ..Default::default() };
        assert_eq!(install(Attributes::default()), MODE);
        assert_eq!(install(mode(0o600)), 0o600);
        assert_eq!(install(Attributes::default()), 0o600);
        adjust(&dest, mode(0o640)).unwrap();
        assert!(Current::read(&dest).unwrap().unwrap().has(mode(0o640)));
        assert!(!Current::read(&dest).unwrap().unwrap().has(mode(0o644)));
    }

    #[test]
    fn a_folder_in_the_way_stays() {
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("web.conf");
        std::fs::create_dir(&dest).unwrap();
        assert!(matches!(Current::read(&dest), Err(InstallError::Read { .. })));
        let staged = Staged::write(&dest, None, b"x", Attributes::default()).unwrap();
        assert!(staged.install().unwrap_err().to_string().contains("it is a folder"));
        let absent = folder.path().join("absent/web.conf");
        assert!(matches!(Staged::write(&absent, None, b"x", Attributes::default()), Err(InstallError::Write { .. })));
    }
}
