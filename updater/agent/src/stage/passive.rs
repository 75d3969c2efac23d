//! The passive slot: everything an update may write to, and nothing else.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use payload::PartName;

use super::medium::{EspFile, Medium, Partition};
use crate::daemon::host::Slot;

/// The passive slot during an update.
pub trait Passive: Send {
    /// Takes the slot's boot entry away, for good: from here on nothing can boot the slot.
    fn invalidate(&mut self) -> io::Result<()>;
    /// Opens the place of a part of `bytes` bytes. The UKI's is a temporary file that no boot loader looks at.
    fn open(&mut self, part: PartName, bytes: u64) -> io::Result<Box<dyn Medium>>;
    /// Gives the finished temporary file its name: the last write, which makes the slot bootable.
    fn publish(&mut self) -> io::Result<()>;
}

/// Where the parts of a slot are on this machine.
#[derive(Debug, Clone)]
pub struct Places {
    /// Folder of links named after partition labels.
    pub partitions: PathBuf,
    /// Mount point of the ESP.
    pub esp: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self { partitions: "/dev/disk/by-partlabel".into(), esp: "/boot".into() }
    }
}

impl Places {
    /// Folder of the boot entries.
    #[must_use]
    pub fn entries(&self) -> PathBuf {
        self.esp.join("EFI/Linux")
    }

    /// The boot entry of a slot.
    #[must_use]
    pub fn entry(&self, slot: Slot) -> PathBuf {
        self.entries().join(slot.entry())
    }

    fn partition(&self, slot: Slot, part: PartName) -> PathBuf {
        let suffix = if part == PartName::Verity { "-verity" } else { "" };
        self.partitions.join(format!("root-{}{suffix}", slot.letter()))
    }
}

/// The passive slot of this machine.
#[derive(Debug)]
pub struct DiskSlot {
    places: Places,
    slot: Slot,
}

impl DiskSlot {
    /// The slot `slot` of a machine that runs from `booted`.
    pub fn new(places: Places, booted: Slot, slot: Slot) -> io::Result<Self> {
        if slot == booted {
            return Err(io::Error::other(format!("slot {slot} is the one this machine runs from; it is never written to")));
        }
        let this = Self { places, slot };
        this.same_disk()?;
        Ok(this)
    }

    fn temporary(&self) -> PathBuf {
        // Not `.efi`: boot loaders list what ends so.
        self.places.entries().join(format!("{}.new", self.slot.entry()))
    }

    /// Labels are not unique across disks: a second disk with an image on it (a USB stick, say) must not get our update.
    fn same_disk(&self) -> io::Result<()> {
        let active = self.places.partition(self.slot.other(), PartName::Root);
        let home = disk_of(&active)?;
        for part in [PartName::Root, PartName::Verity] {
            let path = self.places.partition(self.slot, part);
            if disk_of(&path)? != home {
                return Err(io::Error::other(format!("{} is not on the disk of {}", path.display(), active.display())));
            }
        }
        Ok(())
    }
}

/// The disk of a partition, as its folder in sysfs; for a regular file its own folder.
fn disk_of(partition: &Path) -> io::Result<PathBuf> {
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

/// Makes the names in a folder survive a power cut.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Removes a file for good; that there was none is fine.
pub(crate) fn remove_for_good(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    path.parent().map_or(Ok(()), sync_folder)
}

impl Passive for DiskSlot {
    fn invalidate(&mut self) -> io::Result<()> {
        remove_for_good(&self.places.entry(self.slot))
    }

    fn open(&mut self, part: PartName, bytes: u64) -> io::Result<Box<dyn Medium>> {
        if part != PartName::Uki {
            return Ok(Box::new(Partition::open(&self.places.partition(self.slot, part))?));
        }
        let temporary = self.temporary();
        let kept = temporary.metadata().map_or(0, |metadata| metadata.blocks() * 512);
        let space = rustix::fs::statvfs(&self.places.entries())?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free + kept < bytes {
            let text = format!("the boot entry needs {bytes} bytes, the ESP has {} left; remove what does not belong there", free + kept);
            return Err(io::Error::new(io::ErrorKind::StorageFull, text));
        }
        let opened = EspFile::open(&temporary, bytes);
        if opened.is_err() {
            // Half a file would only take the space that the next attempt needs.
            let _ = fs::remove_file(&temporary);
        }
        Ok(Box::new(opened?))
    }

    fn publish(&mut self) -> io::Result<()> {
        fs::rename(self.temporary(), self.places.entry(self.slot))?;
        sync_folder(&self.places.entries())
    }
}
