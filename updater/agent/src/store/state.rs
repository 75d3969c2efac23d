//! `state.json`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{self, Disk};
use crate::machine::Persisted;
use crate::machine::persisted::FORMAT;

/// Largest `state.json` in bytes: every list in it is bounded, and this is several times what they can make.
const STATE_BYTES_MAX: u64 = 1024 * 1024;
/// Damaged files that are kept for a person to look at.
const DAMAGED_KEPT: &str = "state.json.damaged";

/// Something about the state could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system refused.
    #[error("{doing} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried, as a gerund.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The state cannot be written as JSON, which is a bug.
    #[error("writing the state as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The state as found on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The state, or a fresh one.
    pub persisted: Persisted,
    /// What was wrong with the file; it was put aside.
    pub damage: Option<String>,
}

/// The folder with everything that survives a reboot.
#[derive(Debug, Clone)]
pub struct Store {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
}

impl Store {
    /// The store in `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Io { doing: "making the folder", path: folder.to_owned(), source };
        disk.make_folder(folder).map_err(failed)?;
        Ok(Self { disk, folder: folder.to_owned() })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn path(&self) -> PathBuf {
        self.folder.join("state.json")
    }

    /// Reads the state. A file that makes no sense is renamed to `state.json.damaged`, and the machine starts from what it can see: what
    /// it runs becomes the floor.
    ///
    /// # Errors
    /// The file is there but cannot be read or put aside.
    pub fn load(&self) -> Result<Loaded, StoreError> {
        let path = self.path();
        let failed = |doing| {
            let path = path.clone();
            move |source| StoreError::Io { doing, path, source }
        };
        let bytes = match self.disk.read(&path, STATE_BYTES_MAX + 1) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Loaded { persisted: Persisted::default(), damage: None }),
            Err(error) => return Err(failed("reading")(error)),
        };
        match parse(&bytes) {
            Ok(persisted) => Ok(Loaded { persisted, damage: None }),
            Err(reason) => {
                self.disk.rename(&path, &self.folder.join(DAMAGED_KEPT)).map_err(failed("putting aside"))?;
                let damage =
                    format!("{} was damaged ({reason}) and is now {DAMAGED_KEPT}; quarantine and floor start anew", path.display());
                Ok(Loaded { persisted: Persisted::default(), damage: Some(damage) })
            }
        }
    }

    /// Writes the state durably.
    ///
    /// # Errors
    /// It could not be written; the state on disk is the one before.
    pub fn save(&self, persisted: &Persisted) -> Result<(), StoreError> {
        let mut bytes = serde_json::to_vec_pretty(persisted)?;
        bytes.push(b'\n');
        disk::replace(&*self.disk, &self.path(), &bytes).map_err(|source| StoreError::Io { doing: "writing", path: self.path(), source })
    }
}

fn parse(bytes: &[u8]) -> Result<Persisted, String> {
    if bytes.len() as u64 > STATE_BYTES_MAX {
        return Err(format!("larger than {STATE_BYTES_MAX} bytes"));
    }
    let persisted: Persisted = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if persisted.format != FORMAT {
        return Err(format!("format {}, this updater reads {FORMAT}", persisted.format));
    }
    Ok(persisted)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::daemon::host::{Event, Slot};
    use crate::machine::persisted::{Attempts, BootCount, Phase, Quarantined};
    use crate::machine::test_support::{Bench, settled, version};

    fn load(bytes: &[u8]) -> (Loaded, bool) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("state.json"), bytes).unwrap();
        let loaded = Store::open(disk::linux(), dir.path()).unwrap().load().unwrap();
        (loaded, dir.path().join(DAMAGED_KEPT).exists())
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(disk::linux(), &dir.path().join("made/updater")).unwrap();
        assert_eq!(store.load().unwrap(), Loaded { persisted: Persisted::default(), damage: None });
        let mut bench = Bench::new();
        bench.stage("1.1.0");
        store.save(bench.machine.persisted()).unwrap();
        assert_eq!(&store.load().unwrap().persisted, bench.machine.persisted());
    }

    #[test]
    fn nothing_of_the_state_is_lost_on_the_way() {
        let (at, text) = (Timestamp::from_second(1_800_000_000).unwrap(), || "cause".to_owned());
        let event = Event {
            number: 8,
            kind: 3,
            result: 0,
            error_code: Some(44),
            previous_version: Some(version("1.0.0")),
            release: Some(version("1.1.0")),
            cause: Some(text()),
            repeated: true,
        };
        // Every field is named, so that a new one is thought of here.
        let full = Persisted {
            format: FORMAT,
            floor: Some(version("1.0.0")),
            rollback_index: 7,
            committed: Some(Slot::B),
            slot_a: Some(version("1.0.0")),
            slot_b: Some(version("1.1.0")),
            phase: Phase::Writing { version: version("1.2.0"), slot: Slot::A },
            quarantine: vec![Quarantined { version: version("1.1.0"), cause: text(), at }],
            attempts: Some(Attempts { version: version("1.2.0"), failures: 3, cause: text(), at }),
            outbox: vec![event],
            next_event: 9,
            last_checked: Some(at),
            last_error: Some(text()),
            metadata_expires: Some(at),
            metadata_checked: Some(at),
            metadata_error: Some(text()),
            trial_passed: Some(false),
            boot_count: Some(BootCount { boot_id: text(), count: 5, proven: 2 }),
        };
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(disk::linux(), dir.path()).unwrap();
        store.save(&full).unwrap();
        assert_eq!(store.load().unwrap(), Loaded { persisted: full, damage: None });
    }

    #[test]
    fn a_damaged_state_is_put_aside_and_does_not_stop_the_machine() {
        let good = serde_json::to_vec(&settled("1.0.0")).unwrap();
        let newer = String::from_utf8(good.clone()).unwrap().replace("\"format\":1", "\"format\":2");
        let damaged: [&[u8]; 5] = [b"", b"{", &good[..good.len() / 2], newer.as_bytes(), b"\xff\xff"];
        for bytes in damaged {
            let (loaded, aside) = load(bytes);
            assert_eq!(loaded.persisted, Persisted::default());
            assert!(loaded.damage.unwrap().contains("was damaged") && aside, "{}", String::from_utf8_lossy(bytes));
        }
        assert_eq!(load(&good).0.persisted.floor, Some(version("1.0.0")));
    }

    #[test]
    fn after_a_rollback_the_state_of_a_newer_updater_is_understood() {
        let mut state = serde_json::to_value(settled("1.0.0")).unwrap();
        state["something-new"] = serde_json::json!({"of": "version 9"});
        let (loaded, aside) = load(&serde_json::to_vec(&state).unwrap());
        assert_eq!((loaded.persisted, loaded.damage, aside), (settled("1.0.0"), None, false));
    }

    #[test]
    fn an_endless_state_is_not_read_to_its_end() {
        let (loaded, _) = load(&vec![b' '; STATE_BYTES_MAX as usize + 10]);
        assert!(loaded.damage.unwrap().contains("larger than"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            load(&bytes);
        }
    }
}
