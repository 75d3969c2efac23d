//! The passive slot: everything an update may write to, and nothing else.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use payload::PartName;

use crate::daemon::host::Slot;
use crate::disk::{self, Disk, Medium};

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
    disk: Arc<dyn Disk>,
    places: Places,
    slot: Slot,
}

impl DiskSlot {
    /// The slot `slot` of a machine that runs from `booted`.
    pub fn new(disk: Arc<dyn Disk>, places: Places, booted: Slot, slot: Slot) -> io::Result<Self> {
        if slot == booted {
            return Err(io::Error::other(format!("slot {slot} is the one this machine runs from; it is never written to")));
        }
        let this = Self { disk, places, slot };
        this.same_disk()?;
        Ok(this)
    }

    fn temporary(&self) -> PathBuf {
        // Not `.efi`: boot loaders list what ends so.
        self.places.entries().join(format!("{}.new", self.slot.entry()))
    }

    /// What an entry is called on its way out where the name above is taken.
    fn old(&self) -> PathBuf {
        self.places.entries().join(format!("{}.old", self.slot.entry()))
    }

    /// Labels are not unique across disks: a second disk with an image on it (a USB stick, say) must not get our update.
    fn same_disk(&self) -> io::Result<()> {
        let active = self.places.partition(self.slot.other(), PartName::Root);
        let home = self.disk.disk_of(&active)?;
        for part in [PartName::Root, PartName::Verity] {
            let path = self.places.partition(self.slot, part);
            if self.disk.disk_of(&path)? != home {
                return Err(io::Error::other(format!("{} is not on the disk of {}", path.display(), active.display())));
            }
        }
        Ok(())
    }
}

impl Passive for DiskSlot {
    fn invalidate(&mut self) -> io::Result<()> {
        let (disk, entry) = (&*self.disk, self.places.entry(self.slot));
        let (new, old) = (self.temporary(), self.old());
        // FAT frees clusters and strikes a name out in any order, and a boot entry must not be seen between the two: first it becomes
        // a file that no boot loader looks at. Of a rename, a power cut can leave both names with the same clusters, so a name that is
        // there already is not deleted before, nor written over.
        if disk.exists(&entry)? {
            let aside = if disk.exists(&new)? { &old } else { &new };
            disk.rename(&entry, aside)?;
            disk::sync_name(disk, aside, &self.places.entries())?;
        }
        // What an earlier attempt left as well, perhaps with a chain of clusters that was torn: begun anew, not continued.
        disk::remove_for_good(disk, &new)?;
        disk::remove_for_good(disk, &old)
    }

    fn open(&mut self, part: PartName, bytes: u64) -> io::Result<Box<dyn Medium>> {
        if part != PartName::Uki {
            return self.disk.partition(&self.places.partition(self.slot, part));
        }
        let temporary = self.temporary();
        self.disk.esp_file(&temporary, bytes).inspect_err(|_| {
            // Half a file would only take the space that the next attempt needs.
            let _ = self.disk.remove(&temporary);
        })
    }

    fn publish(&mut self) -> io::Result<()> {
        let entry = self.places.entry(self.slot);
        self.disk.rename(&self.temporary(), &entry)?;
        disk::sync_name(&*self.disk, &entry, &self.places.entries())
    }
}
