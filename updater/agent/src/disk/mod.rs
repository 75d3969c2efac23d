//! The one door to everything that must survive a power cut: the files of the ESP and of the state folder, EFI variables, and the partitions
//! of a slot.
//!
//! [`Disk`] is as small as the promises need: each method is one thing the kernel is asked for, and nothing is durable before somebody
//! says so. What is built of them, [`replace`] and [`remove_for_good`], says so. [`Linux`] is the disk of a machine; tests have one that
//! loses power.

mod aligned;
mod linux;
mod medium;

use std::ffi::OsString;
use std::fmt::Debug;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use aligned::Aligned;
pub use linux::Linux;
pub use medium::{EspFile, Medium, Partition};

/// What every disk writes whole or not at all, in bytes: its smallest sector.
pub const SECTOR_BYTES: usize = 512;

/// A file that is being written from its beginning.
pub trait NewFile: Write + Send {
    /// Returns once its content survives a power cut. Its name may not, see [`Disk::sync`].
    fn sync(&mut self) -> io::Result<()>;
}

/// What the updater asks of files, variables and partitions.
pub trait Disk: Debug + Send + Sync {
    /// The first `max_bytes` of a file or a variable.
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>>;
    /// Whether there is something of that name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// The names in a folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>>;
    /// Makes a folder and those above it.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;
    /// Begins a file that only its owner may read; what it held before is gone.
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>>;
    /// Writes `bytes` over a file of exactly that length, in place, and returns once they survive a power cut. For at most
    /// [`SECTOR_BYTES`]: a disk writes a sector whole or not at all.
    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Gives a file another name; a file of that name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns once what is said about `path` itself survives a power cut: of a folder its names, of a file its content and length.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Sets an EFI variable, attributes included, as one change that the firmware has made when this returns.
    fn set_variable(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Removes an EFI variable.
    fn remove_variable(&self, path: &Path) -> io::Result<()>;
    /// Opens a partition for writing.
    fn partition(&self, path: &Path) -> io::Result<Box<dyn Medium>>;
    /// Opens a file of the ESP, which may hold the beginning of an earlier attempt, and makes it `bytes` long.
    fn esp_file(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn Medium>>;
    /// The disk that a partition is on, as a path that is the same for all its partitions.
    fn disk_of(&self, partition: &Path) -> io::Result<PathBuf>;
}

/// The disk of this machine.
#[must_use]
pub fn linux() -> Arc<dyn Disk> {
    Arc::new(Linux)
}

/// Replaces the content of `path`, so that after a power cut there is the old content or the new one, and never anything else. Only its
/// owner may read it.
///
/// The file that is made beside it always has the same name: what a power cut leaves of it is overwritten the next time.
///
/// # Errors
/// Whatever the disk says. The old content is then still there, unless it was the last step that failed: then it may be either.
pub fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or_else(|| io::Error::other("the path has no folder"))?;
    let temporary = path.with_added_extension("new");
    let write = || {
        let mut file = disk.create(&temporary)?;
        file.write_all(content)?;
        file.sync()?;
        disk.rename(&temporary, path)
    };
    write().inspect_err(|_| {
        // What cannot be removed is overwritten the next time.
        let _ = disk.remove(&temporary);
    })?;
    sync_name(disk, path, folder)
}

/// Replaces the content of a small file as [`replace`] does, in place where the length stays: then nothing of the file system but this
/// one sector changes, and there is no moment at which a power cut could leave FAT's folder and its table of clusters in disagreement.
///
/// # Errors
/// As for [`replace`].
pub(crate) fn replace_small(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let same_length = match disk.read(path, content.len() as u64 + 1) {
        Ok(before) => before.len() == content.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if same_length && content.len() <= SECTOR_BYTES { disk.overwrite(path, content) } else { replace(disk, path, content) }
}

/// Replaces a file that everybody may read and that no power cut need spare: whoever reads finds all of it. Others may be doing the same,
/// so each has a temporary file of its own.
///
/// # Errors
/// Whatever the file system says; the old content is then still there.
pub fn show(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = path.parent().ok_or_else(|| io::Error::other("the path has no folder"))?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(content)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Makes a new name survive a power cut: first the file, then its folder. On FAT, a rename writes the name alone; where the content
/// begins and how long it is follows when the file itself is written out (`vfat_rename` marks it dirty, no more). With the folder alone
/// forced out, a power cut would leave an empty file.
pub(crate) fn sync_name(disk: &dyn Disk, path: &Path, folder: &Path) -> io::Result<()> {
    disk.sync(path)?;
    disk.sync(folder)
}

/// Removes a file for good; that there was none is fine.
pub(crate) fn remove_for_good(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    path.parent().map_or(Ok(()), |folder| disk.sync(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_replaced_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        // What a power cut left behind is longer than what comes.
        std::fs::write(dir.path().join("state.json.new"), "left behind").unwrap();
        for content in ["one", "two"] {
            replace(&Linux, &path, content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_fits_is_written_in_place_and_what_does_not_beside_it() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loader.conf");
        let file = || (path.metadata().unwrap().ino(), std::fs::read_to_string(&path).unwrap());
        replace_small(&Linux, &path, b"default a").unwrap();
        let (first, _) = file();
        replace_small(&Linux, &path, b"default b").unwrap();
        assert_eq!(file(), (first, "default b".into()), "the same file");
        let longer = "x".repeat(SECTOR_BYTES + 1);
        for (content, moved) in
            [("default longer", true), (longer.as_str(), true), (longer.replace('x', "y").as_str(), true), ("short", true)]
        {
            let (before, _) = file();
            replace_small(&Linux, &path, content.as_bytes()).unwrap();
            assert_eq!((file().0 != before, file().1), (moved, content.to_owned()));
        }
        assert!(Linux.overwrite(&path, b"of another length").is_err());
        assert_eq!(file().1, "short");
        std::os::unix::fs::symlink(&path, dir.path().join("link")).unwrap();
        assert!(Linux.overwrite(&dir.path().join("link"), b"hands").is_err(), "no link is followed");
    }

    #[test]
    fn a_failure_leaves_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("state.json");
        std::fs::create_dir_all(folder.join("in the way")).unwrap();
        assert!(replace(&Linux, &folder, b"new").is_err());
        assert!(folder.join("in the way").exists());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "the temporary file is gone");
        assert!(replace(&Linux, &dir.path().join("missing/file"), b"new").is_err());
    }

    #[test]
    fn only_the_owner_may_read_and_no_link_is_followed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        replace(&Linux, &path, b"x").unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), dir.path().join("file.new")).unwrap();
        // The link is not followed; it is taken away, and the next attempt works.
        assert!(replace(&Linux, &path, b"y").is_err());
        replace(&Linux, &path, b"y").unwrap();
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn what_is_not_there_is_removed_already() {
        let dir = tempfile::tempdir().unwrap();
        remove_for_good(&Linux, &dir.path().join("none")).unwrap();
        assert!(remove_for_good(&Linux, &dir.path().join("no/folder")).is_err());
    }
}
