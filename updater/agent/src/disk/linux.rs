//! The disk of a machine: the kernel's own calls.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{IFlags, OFlags, ioctl_getflags, ioctl_setflags};

use super::medium::{EspFile, Medium, Partition};
use super::{Disk, NewFile, SECTOR_BYTES};

/// Files, variables and partitions as Linux has them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Linux;

impl NewFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Never through a link that somebody put in the way.
fn no_link() -> io::Result<i32> {
    i32::try_from((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits()).map_err(io::Error::other)
}

impl Disk for Linux {
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(max_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).custom_flags(no_link()?).open(path)?;
        Ok(Box::new(file))
    }

    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).custom_flags(no_link()?).open(path)?;
        if file.metadata()?.len() != bytes.len() as u64 || bytes.len() > SECTOR_BYTES {
            return Err(io::Error::other("only a file of the same length and of one sector is written in place"));
        }
        file.write_all_at(bytes, 0)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn set_variable(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        unlock(path)?;
        // One write is one change: efivarfs takes a variable whole. O_TRUNC would first ask for an empty one, which deletes it.
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).custom_flags(no_link()?).open(path)?;
        if file.write(bytes)? != bytes.len() {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "the firmware took only part of the variable"));
        }
        Ok(())
    }

    fn remove_variable(&self, path: &Path) -> io::Result<()> {
        unlock(path)?;
        fs::remove_file(path)
    }

    fn partition(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(Partition::open(path)?))
    }

    fn esp_file(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn Medium>> {
        let kept = path.metadata().map_or(0, |metadata| metadata.blocks() * 512);
        let space = rustix::fs::statvfs(path.parent().unwrap_or(path))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free + kept < bytes {
            let text = format!("the boot entry needs {bytes} bytes, the ESP has {} left; remove what does not belong there", free + kept);
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        Ok(Box::new(EspFile::open(path, bytes)?))
    }

    /// Its folder in sysfs; for a regular file its own folder.
    fn disk_of(&self, partition: &Path) -> io::Result<PathBuf> {
        let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", partition.display()));
        let metadata = partition.metadata().map_err(named)?;
        let node = if metadata.file_type().is_block_device() {
            let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
            PathBuf::from(format!("/sys/dev/block/{major}:{minor}"))
        } else {
            partition.to_owned()
        };
        let node = node.canonicalize().map_err(named)?;
        node.parent().map(Path::to_owned).ok_or_else(|| io::Error::other("a partition without a disk"))
    }
}

/// efivarfs guards variables against an accidental `rm -rf` by the immutable flag.
fn unlock(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    match ioctl_getflags(&file) {
        Ok(flags) if flags.contains(IFlags::IMMUTABLE) => Ok(ioctl_setflags(&file, flags - IFlags::IMMUTABLE)?),
        // A file system without such flags needs no unlocking.
        _ => Ok(()),
    }
}
