//! What is remembered over the reboot: written before the lock is taken, removed after it was given back.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Reason;

/// Where it is on a machine.
pub(crate) const FILE: &str = "/var/lib/slipway/cluster-agent/turn.json";
/// Most units that are remembered; a machine has some fifty.
pub(crate) const UNITS_MAX: usize = 1000;
/// Largest file that is read, in bytes: [`UNITS_MAX`] units with the longest names.
const BYTES_MAX: u64 = 512 * 1024;

/// A turn that this machine wants or has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Turn {
    /// The boot in which it was asked for; a later one is the reboot it was for.
    pub(crate) boot_id: String,
    /// The answer was yes.
    pub(crate) granted: bool,
    /// Units that were active, and that a boot starts.
    pub(crate) units: Vec<String>,
    /// The release that the reboot is for, if whoever asked said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) release: Option<String>,
}

/// The file.
#[derive(Debug, Clone)]
pub(crate) struct Memory(pub(crate) PathBuf);

impl Memory {
    /// The turn, if there is one. A file that makes no sense is a turn of which nothing else is known: the lock may be held.
    pub(crate) fn load(&self) -> Result<Option<Turn>, Reason> {
        let failed = |error: std::io::Error| Reason::new(format!("reading {}: {error}", self.0.display()));
        let file = match File::open(&self.0) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
        Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(%error, file = %self.0.display(), "what ran before the reboot is not known any more");
            Turn { boot_id: String::new(), granted: true, units: Vec::new(), release: None }
        })))
    }

    /// Writes it so that a power cut leaves the old or the new one.
    pub(crate) fn save(&self, turn: &Turn) -> Result<(), Reason> {
        self.replace(turn).map_err(|error| Reason::new(format!("writing {}: {error}", self.0.display())))
    }

    fn replace(&self, turn: &Turn) -> std::io::Result<()> {
        let folder = self.0.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder)?;
        let new = self.0.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(turn)?)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.0)?;
        File::open(folder)?.sync_all()
    }

    /// Forgets it.
    pub(crate) fn forget(&self) -> Result<(), Reason> {
        match std::fs::remove_file(&self.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(Reason::new(format!("removing {}: {error}", self.0.display()))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_remembered_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory(folder.path().join("below/turn.json"));
        assert_eq!(memory.load(), Ok(None));
        let turn =
            Turn { boot_id: "boot-1".to_owned(), granted: true, units: vec!["a.service".to_owned()], release: Some("1.2.3".to_owned()) };
        memory.save(&turn).unwrap();
        memory.save(&turn).unwrap();
        assert_eq!(memory.load(), Ok(Some(turn)));
        memory.forget().unwrap();
        memory.forget().unwrap();
        assert_eq!(memory.load(), Ok(None));
    }

    #[test]
    fn a_damaged_file_is_a_turn_that_has_to_end() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Memory(folder.path().join("turn.json"));
        std::fs::write(&memory.0, "{\"boot-id\":\"b").unwrap();
        let turn = memory.load().unwrap().unwrap();
        assert!(turn.granted && turn.units.is_empty());
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        assert!(Memory(folder.path().join("folder")).load().is_err(), "unreadable is not absent");
        assert!(Memory(folder.path().join("folder")).save(&turn).is_err());
    }
}
