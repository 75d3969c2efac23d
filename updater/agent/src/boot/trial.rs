//! The file that arms the dead man's switch: `updater-trial-deadline.timer` reboots an undecided trial, with or without this daemon.

use std::io;
use std::path::{Path, PathBuf};

use super::commit::{Loader, committed};
use crate::daemon::host::Slot;
use crate::disk::{self, Disk};

fn marker(folder: &Path, slot: Slot) -> PathBuf {
    folder.join(format!("trial-{}", slot.letter()))
}

/// Before the next boot is made a trial of `slot`.
pub fn arm(disk: &dyn Disk, folder: &Path, slot: Slot) -> io::Result<()> {
    disk::replace(disk, &marker(folder, slot), b"Removed once this slot is committed.\n")
}

/// After a decision.
pub fn disarm(disk: &dyn Disk, folder: &Path, slot: Slot) -> io::Result<()> {
    disk::remove_for_good(disk, &marker(folder, slot))
}

/// Removes what an interrupted decision left behind: the file of a slot that is committed.
pub fn tidy(folder: &Path, loader: &Loader) {
    if let Some(slot) = committed(loader)
        && loader.disk.exists(&marker(folder, slot)).unwrap_or(true)
        && let Err(error) = disarm(&*loader.disk, folder, slot)
    {
        tracing::warn!(%slot, %error, "the trial's deadline stays armed for a committed slot");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::EfiVariables;
    use crate::disk::Linux;

    #[test]
    fn only_a_committed_slots_file_is_tidied_away() {
        let dir = tempfile::tempdir().unwrap();
        let conf = dir.path().join("loader.conf");
        std::fs::write(&conf, "default slipway-a.efi\n").unwrap();
        let loader =
            Loader { disk: disk::linux(), conf: conf.clone(), variables: EfiVariables::at(disk::linux(), &dir.path().join("none")) };
        arm(&Linux, dir.path(), Slot::B).unwrap();
        tidy(dir.path(), &loader);
        assert!(dir.path().join("trial-b").exists(), "the trial of b is not decided");
        std::fs::write(&conf, "default slipway-b.efi\n").unwrap();
        tidy(dir.path(), &loader);
        assert!(!dir.path().join("trial-b").exists());
        disarm(&Linux, dir.path(), Slot::B).unwrap();
    }

    #[test]
    fn a_switch_that_cannot_be_armed_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert!(arm(&Linux, &dir.path().join("missing"), Slot::A).is_err());
    }
}
