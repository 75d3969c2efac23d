//! The four roles.

use std::fmt;

/// Who may sign what. Each role has keys and a threshold of its own in the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Says which keys belong to which role. Offline.
    Root,
    /// Says which files are releases. Offline.
    Targets,
    /// Says which version of the targets belongs to now. Online.
    Snapshot,
    /// Says that the snapshot is fresh. Online.
    Timestamp,
}

impl Role {
    /// All of them, in the order in which trust flows.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];

    /// The name in metadata: the value of `_type`, and the stem of the file's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }

    /// The file's name without a version in front, `targets.json`.
    #[must_use]
    pub fn file_name(self) -> String {
        format!("{}.json", self.name())
    }

    /// The role with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
