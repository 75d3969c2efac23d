//! Units that had failed before the update: what was broken already is no fault of the new release.
//!
//! Without this, a machine with one broken unit of its own would come back from every release there will ever be.

use std::io;
use std::path::Path;

use crate::disk::{self, Disk};

/// The file in the updater's folder, one unit a line; written anew before each trial.
const FILE: &str = "failed-before";
/// No machine has more failed units that matter; the list is for a person as well.
const UNITS_MAX: usize = 256;

/// Notes which units are failed now.
pub fn remember(disk: &dyn Disk, folder: &Path, units: &[String]) -> io::Result<()> {
    let text: String = units.iter().take(UNITS_MAX).map(|unit| format!("{unit}\n")).collect();
    disk::replace(disk, &folder.join(FILE), text.as_bytes())
}

/// The units noted last. A list that cannot be read is empty: then the gate is strict.
#[must_use]
pub fn recall(folder: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
    text.lines().map(str::to_owned).take(UNITS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Linux;

    #[test]
    fn what_is_remembered_is_recalled_until_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        assert!(recall(folder.path()).is_empty());
        let units = ["a.service".to_owned(), "b.mount".to_owned()];
        remember(&Linux, folder.path(), &units).unwrap();
        assert_eq!(recall(folder.path()), units);
        remember(&Linux, folder.path(), &[]).unwrap();
        assert!(recall(folder.path()).is_empty());
    }

    #[test]
    fn a_damaged_list_excuses_nobody() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), [0xff, 0xfe, b'\n']).unwrap();
        assert!(recall(folder.path()).is_empty());
    }
}
