//! The committed slot.
//!
//! The boot loader takes, in this order: the one-shot variable, the variable `LoaderEntryDefault`, `default` in `loader.conf`. A commit
//! writes `loader.conf` first and the variable last. Cut anywhere:
//!
//! - before or within the first write: nothing changed (the file is replaced by a rename), the old slot is booted;
//! - between the two: the variable still names the old slot and wins; where the variable is missing or was forgotten by the firmware,
//!   the new slot is booted, which has just proved itself. Both are working systems, and the daemon commits again;
//! - after the second: the new slot, whichever of the two the firmware keeps.
//!
//! The other order would leave, on a firmware that forgets, a commit that was already acted upon and is taken back later.

use std::path::PathBuf;
use std::sync::Arc;

use super::efivar::EfiVariables;
use super::loader_conf;
use crate::daemon::host::{Failure, FailureKind, Slot};
use crate::disk::{self, Disk};

/// The variable that names the default entry.
const DEFAULT: &str = "LoaderEntryDefault";

/// Where the boot loader keeps its choices.
#[derive(Debug, Clone)]
pub struct Loader {
    /// The disk with `loader.conf`.
    pub disk: Arc<dyn Disk>,
    /// `loader.conf`.
    pub conf: PathBuf,
    /// EFI variables.
    pub variables: EfiVariables,
}

impl Default for Loader {
    fn default() -> Self {
        Self { disk: disk::linux(), conf: "/boot/loader/loader.conf".into(), variables: EfiVariables::default() }
    }
}

/// Makes `slot` the default of every boot to come, and makes sure that it is.
pub fn commit(loader: &Loader, slot: Slot) -> Result<(), Failure> {
    let entry = slot.entry();
    let failed = |what: String| Failure::new(FailureKind::Boot, what);
    loader_conf::set_default(&*loader.disk, &loader.conf, &entry)
        .map_err(|error| failed(format!("setting the default in {}: {error}", loader.conf.display())))?;
    if !loader.variables.exist() {
        tracing::info!(entry, "no EFI variables here; loader.conf alone says what boots");
        return Ok(());
    }
    let set = loader.variables.set_text(DEFAULT, &entry);
    set.map_err(|error| failed(format!("setting the EFI variable {DEFAULT} to {entry}: {error}; loader.conf is set already")))
}

/// The slot that boots by default, as far as the loader's places agree on one of ours.
#[must_use]
pub fn committed(loader: &Loader) -> Option<Slot> {
    let variable = loader.variables.text(DEFAULT).ok().flatten();
    let conf = loader_conf::read(&*loader.disk, &loader.conf).ok();
    let entry = variable.or_else(|| loader_conf::default_entry(conf.as_deref()?).map(str::to_owned))?;
    [Slot::A, Slot::B].into_iter().find(|slot| slot.entry() == entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn loader(dir: &tempfile::TempDir, efi: bool) -> Loader {
        let folder = dir.path().join("efivars");
        fs::create_dir(&folder).unwrap();
        if efi {
            fs::write(folder.join("Other-00000000-0000-0000-0000-000000000000"), "x").unwrap();
        }
        fs::create_dir(dir.path().join("loader")).unwrap();
        let conf = dir.path().join("loader/loader.conf");
        fs::write(&conf, "timeout 0\ndefault slipway-a.efi\n").unwrap();
        Loader { disk: disk::linux(), conf, variables: EfiVariables::at(disk::linux(), &folder) }
    }

    #[test]
    fn a_commit_sets_both_places() {
        let dir = tempfile::tempdir().unwrap();
        let loader = loader(&dir, true);
        assert_eq!(committed(&loader), Some(Slot::A));
        commit(&loader, Slot::B).unwrap();
        assert_eq!(fs::read_to_string(&loader.conf).unwrap(), "timeout 0\ndefault slipway-b.efi\n");
        assert_eq!(loader.variables.text(DEFAULT).unwrap().as_deref(), Some("slipway-b.efi"));
        assert_eq!(committed(&loader), Some(Slot::B));
        commit(&loader, Slot::B).unwrap();
        commit(&loader, Slot::A).unwrap();
        assert_eq!(committed(&loader), Some(Slot::A));
    }

    #[test]
    fn a_machine_without_efi_variables_commits_by_loader_conf() {
        let dir = tempfile::tempdir().unwrap();
        let loader = loader(&dir, false);
        commit(&loader, Slot::B).unwrap();
        assert_eq!(committed(&loader), Some(Slot::B));
        assert!(!loader.variables.exist());
    }

    #[test]
    fn a_commit_that_is_cut_short_leaves_a_slot_of_ours_and_can_be_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let loader = loader(&dir, true);
        loader.variables.set_text(DEFAULT, "slipway-a.efi").unwrap();
        // After the first of the two writes:
        loader_conf::set_default(&*loader.disk, &loader.conf, "slipway-b.efi").unwrap();
        assert_eq!(committed(&loader), Some(Slot::A), "the variable wins");
        loader.variables.remove(DEFAULT).unwrap();
        assert_eq!(committed(&loader), Some(Slot::B), "and where it was forgotten the slot that passed");
        commit(&loader, Slot::B).unwrap();
        assert_eq!(committed(&loader), Some(Slot::B));
    }

    #[test]
    fn a_failed_write_names_the_place() {
        let dir = tempfile::tempdir().unwrap();
        let loader = loader(&dir, true);
        fs::create_dir(dir.path().join("efivars").join(format!("{DEFAULT}-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"))).unwrap();
        let failure = commit(&loader, Slot::B).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Boot);
        assert!(failure.text.contains("LoaderEntryDefault"), "{failure}");
        fs::write(dir.path().join("loader/loader.conf"), "default nonsense.conf\n").unwrap();
        loader.variables.set_text("Unrelated", "x").unwrap();
        assert_eq!(committed(&loader), None);
    }
}
