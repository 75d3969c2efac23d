//! Where a template lies: nowhere by name while it is only for this run, in a directory of a cache otherwise.

use std::fs::File;
use std::os::fd::AsRawFd;

use anyhow::Context;
use camino::{Utf8Path, Utf8PathBuf};

/// Where memory is kept without a disk under it.
const MEMORY_DIR: &str = "/dev/shm";

/// The files of one template.
#[derive(Debug)]
pub(super) struct Files {
    dir: Utf8PathBuf,
    memory: Memory,
    _held: Option<tempfile::TempDir>,
}

#[derive(Debug)]
enum Memory {
    /// A file without a name. The kernel frees it when this process ends, in whatever way.
    Unnamed(File),
    /// A file of a cache.
    Named,
}

impl Files {
    /// Files that end with this process.
    pub(super) fn temporary() -> anyhow::Result<Self> {
        let held = crate::scratch::dir("template")?;
        let dir = Utf8Path::from_path(held.path()).context("the temporary directory's name is not UTF-8")?.to_owned();
        let memory = tempfile::tempfile_in(MEMORY_DIR).or_else(|_| tempfile::tempfile_in(&dir));
        Ok(Self { dir, memory: Memory::Unnamed(memory.context("making a file for a template's memory")?), _held: Some(held) })
    }

    /// Files in a directory that stays.
    pub(super) fn at(dir: Utf8PathBuf) -> Self {
        Self { dir, memory: Memory::Named, _held: None }
    }

    /// The memory, by a name that other programs of this user can open.
    pub(super) fn memory(&self) -> Utf8PathBuf {
        match &self.memory {
            Memory::Unnamed(file) => format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()).into(),
            Memory::Named => self.dir.join("memory"),
        }
    }

    /// What the devices remember.
    pub(super) fn devices(&self) -> Utf8PathBuf {
        self.dir.join("devices")
    }

    /// The disk, an overlay of the image.
    pub(super) fn disk(&self) -> Utf8PathBuf {
        self.dir.join("disk.qcow2")
    }

    /// The firmware's variables.
    pub(super) fn variables(&self) -> Utf8PathBuf {
        self.dir.join("vars.fd")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unnamed_memory_can_be_opened_by_others_while_it_is_held() {
        let files = Files::temporary().unwrap();
        std::fs::write(files.memory(), b"pages").unwrap();
        let seen = image_builder::cmd::Cmd::new("cat").arg(files.memory()).output().unwrap();
        assert_eq!(seen, b"pages");
        let (memory, dir) = (files.memory(), files.devices());
        drop(files);
        assert!(!dir.parent().unwrap().exists());
        assert!(std::fs::read(memory).map_or(true, |bytes| bytes != b"pages"));
    }
}
