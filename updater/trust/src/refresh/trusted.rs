//! What a client keeps between runs.

use crate::role::Role;

/// The exact bytes of the files that were verified last.
///
/// To keep them on disk: write `root` first (replacing atomically), then remove the files that are `None`, then write the
/// others. Interrupted anywhere, the next run starts from something that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// `root.json`, the newest one.
    pub root: Vec<u8>,
    /// `timestamp.json`.
    pub timestamp: Option<Vec<u8>>,
    /// `snapshot.json`.
    pub snapshot: Option<Vec<u8>>,
    /// `targets.json`.
    pub targets: Option<Vec<u8>>,
}

impl Trusted {
    /// A root and nothing else, as on the first boot.
    #[must_use]
    pub const fn new(root: Vec<u8>) -> Self {
        Self { root, timestamp: None, snapshot: None, targets: None }
    }

    /// The bytes kept for `role`.
    #[must_use]
    pub fn get(&self, role: Role) -> Option<&[u8]> {
        match role {
            Role::Root => Some(&self.root),
            Role::Targets => self.targets.as_deref(),
            Role::Snapshot => self.snapshot.as_deref(),
            Role::Timestamp => self.timestamp.as_deref(),
        }
    }

    /// Forgets all but the root.
    pub(super) fn forget_all_but_root(&mut self) {
        self.timestamp = None;
        self.snapshot = None;
        self.targets = None;
    }
}
