//! What this machine remembers over a restart: which member it was, and where the others are.
//!
//! It makes the discovery service needless once a cluster stands, and tells a member that was removed from one that is merely early.

use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::seen::{Live, Was};

/// The file, in the agent's own folder.
const FILE: &str = "members.json";

/// What this machine remembers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Memory {
    /// How many shall vote.
    pub size: Option<usize>,
    /// etcd's number for the cluster.
    pub cluster: Option<u64>,
    /// etcd's number for the member that this machine is.
    pub member: Option<u64>,
    /// The members when they were last seen.
    #[serde(default)]
    pub members: Vec<Known>,
}

/// A member that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Known {
    /// What it is called.
    pub name: String,
    /// Where clients reach it; empty when it had never run.
    pub client_urls: Vec<String>,
}

impl Memory {
    /// What is remembered in this folder; nothing when there is nothing, or when it makes no sense.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, path = %path.display(), "what was remembered makes no sense; the cluster is looked for anew");
                Self::default()
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Remembers.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn write(&self, folder: &Path) -> Result<()> {
        write_whole(&folder.join(FILE), serde_json::to_string_pretty(self)?.as_bytes(), 0o600)
    }

    /// Which member this machine was.
    #[must_use]
    pub fn was(&self) -> Option<Was> {
        Some(Was { cluster: self.cluster?, member: self.member? })
    }

    /// Learns where the members are.
    pub fn learn(&mut self, live: &Live) {
        self.cluster = Some(live.cluster);
        // One that has never run counts for the quorum as well.
        self.members = live.voters().map(|member| Known { name: member.called(), client_urls: member.client_urls.clone() }).collect();
    }
}

/// Writes a file so that a reader sees the old or the new one, also after a power cut.
///
/// # Errors
/// It cannot be written; the error names it.
pub fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = folder.join(format!(".{name}.new"));
        match std::fs::remove_file(&temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
        // Some are for others to read, whatever the daemon's umask.
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)?;
        std::fs::File::open(folder)?.sync_all()
    };
    write().with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_nonsense_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("made");
        assert_eq!(Memory::read(&folder).unwrap(), Memory::default());
        let members = vec![Known { name: "n1".to_owned(), client_urls: vec!["http://10.0.0.1:2379".to_owned()] }];
        let memory = Memory { size: Some(3), cluster: Some(u64::MAX), member: Some(1), members };
        memory.write(&folder).unwrap();
        assert_eq!(Memory::read(&folder).unwrap(), memory);
        assert_eq!(memory.was(), Some(Was { cluster: u64::MAX, member: 1 }));
        std::fs::write(folder.join(FILE), "{").unwrap();
        assert_eq!(Memory::read(&folder).unwrap(), Memory::default());
    }
}
