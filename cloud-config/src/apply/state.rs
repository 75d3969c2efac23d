//! What earlier runs did: `/var/lib/slipway/cloud-config/state.json`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::root::{FsError, Ids, Root};
use super::tree::Tree;
use crate::plan::path::HostPath;

/// Where it is kept.
pub const STATE: &str = "/var/lib/slipway/cloud-config/state.json";
/// Its folder; scripts are kept there as well.
pub const FOLDER: &str = "/var/lib/slipway/cloud-config";
/// Version of the format; a file of another version counts as none, so one-time things would be done once more.
const VERSION: u32 = 1;
const ROOT: Ids = Ids { uid: 0, gid: 0 };

/// What is remembered between two runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Version of this format.
    version: u32,
    /// The instance that `done` is about.
    pub instance: String,
    /// One-time things that were done, by their keys.
    #[serde(default)]
    pub done: BTreeSet<String>,
    /// Files and links of the last successful run.
    #[serde(default)]
    pub placed: BTreeMap<String, Placed>,
}

/// A file or link that a run put in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// SHA-256 of the content, or what the link says.
    pub is: String,
    /// Something of that name was there before: it is never removed, the image may need it.
    pub replaced: bool,
}

impl State {
    /// Reads the state; none, an unreadable one or one of another instance is an empty one, but what was placed is remembered.
    pub fn load(tree: &Tree, instance: &str) -> Result<Self, FsError> {
        let path = state_path();
        let found: Option<Self> = tree.read(&path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut state = found.filter(|state| state.version == VERSION).unwrap_or_default();
        state.version = VERSION;
        if state.instance != instance {
            instance.clone_into(&mut state.instance);
            state.done.clear();
        }
        Ok(state)
    }

    /// Writes the state, past the journal: what it says happened cannot be taken back. Whoever may read it is root.
    pub fn save(&self, root: &Root) -> Result<(), FsError> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        let (folder, path) = (folder(), state_path());
        root.make_parents(&folder)?;
        if root.meta(&folder)?.is_none() {
            root.make_dir(&folder, 0o700, ROOT)?;
        }
        if root.read(&path)?.as_deref() == Some(&bytes) {
            return Ok(());
        }
        root.write(&path, 0o600, ROOT, &mut &*bytes, None)?;
        root.flush_folder(&path)
    }
}

/// Where the state is kept.
#[must_use]
pub fn state_path() -> HostPath {
    HostPath::new(STATE).expect("a constant path is well formed")
}

/// The folder of this program on the state partition.
#[must_use]
pub fn folder() -> HostPath {
    HostPath::new(FOLDER).expect("a constant path is well formed")
}
