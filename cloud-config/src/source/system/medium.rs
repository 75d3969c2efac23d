//! A disk's file system, for reading only, in nobody's directory tree.
//!
//! The new mount API (fsopen(2)) gives a file system as a file descriptor: it has no mount point, no other process sees it,
//! and it is gone when the descriptor is closed, whatever way this program ends.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen};

use crate::source::error::ReadError;
use crate::source::host::{Device, Medium};
use crate::source::probe::Filesystem;

/// A file system that is mounted as long as this value lives.
#[derive(Debug)]
pub(super) struct Mounted {
    root: OwnedFd,
}

impl Mounted {
    /// Mounts what is on `device`.
    pub(super) fn new(device: &Device) -> Result<Self, ReadError> {
        let filesystem = device.filesystem.ok_or_else(|| ReadError::Io("there is no file system on it that is read here".to_owned()))?;
        mount(filesystem, &device.node).map(|root| Self { root }).map_err(error)
    }
}

fn mount(filesystem: Filesystem, node: &str) -> Result<OwnedFd, Errno> {
    let context = fsopen(filesystem.name(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "source", node)?;
    fsconfig_set_flag(context.as_fd(), "ro")?;
    if filesystem == Filesystem::Ext4 {
        // A journal that is played back is written to.
        fsconfig_set_flag(context.as_fd(), "noload")?;
    }
    fsconfig_create(context.as_fd())?;
    let safe = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, safe)
}

impl Medium for Mounted {
    fn read(&self, path: &str, max: usize) -> Result<Option<Vec<u8>>, ReadError> {
        read_beneath(&self.root, path, max)
    }
}

/// Reads a file below a directory, and nothing that a link could lead to elsewhere.
fn read_beneath(root: impl AsFd, path: &str, max: usize) -> Result<Option<Vec<u8>>, ReadError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    match openat2(root.as_fd(), path, flags, Mode::empty(), resolve) {
        Ok(file) => super::regular(File::from(file), max).map(Some),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::XDEV | Errno::LOOP) => Err(ReadError::Escapes),
        Err(other) => Err(error(other)),
    }
}

fn error(errno: Errno) -> ReadError {
    std::io::Error::from(errno).into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_on_the_medium_and_never_off_it() {
        let dir = tempfile::tempdir().unwrap();
        let (outside, medium) = (dir.path().join("secret"), dir.path().join("medium"));
        std::fs::create_dir_all(medium.join("openstack/2018-08-27")).unwrap();
        std::fs::write(&outside, "secret").unwrap();
        std::fs::write(medium.join("openstack/2018-08-27/user_data"), "data").unwrap();
        for (to, name) in [
            ("2018-08-27", "openstack/latest"),
            ("../secret", "up"),
            ("/etc/passwd", "absolute"),
            ("/", "root"),
            ("loop", "loop"),
            ("/proc/self/root", "magic"),
        ] {
            symlink(to, medium.join(name)).unwrap();
        }
        let root = File::open(&medium).unwrap();
        let read = |path: &str| read_beneath(&root, path, 100);
        assert_eq!(read("openstack/latest/user_data").unwrap().as_deref(), Some(b"data".as_slice()));
        for path in ["up", "absolute", "root/etc/passwd", "loop", "../secret", "/etc/passwd", "magic/etc/passwd", "openstack/../../secret"]
        {
            assert_eq!(read(path), Err(ReadError::Escapes), "{path}");
        }
        assert_eq!(read("nothing"), Ok(None));
        assert_eq!(read("openstack/latest/user_data/x"), Ok(None));
        assert_eq!(read("openstack"), Err(ReadError::NotAFile));
        assert_eq!(read_beneath(&root, "openstack/latest/user_data", 3), Err(ReadError::TooLarge(3)));
    }

    #[test]
    fn pipes_and_devices_on_a_medium_are_no_files_and_nobody_waits_for_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = File::open(dir.path()).unwrap();
        rustix::fs::mknodat(&root, "pipe", rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert_eq!(read_beneath(&root, "pipe", 100), Err(ReadError::NotAFile));
    }

    #[test]
    fn a_disk_without_a_known_file_system_is_not_mounted() {
        let device = Device { node: "/dev/null".into(), disk: None, partition_name: None, filesystem: None, label: String::new() };
        assert!(matches!(Mounted::new(&device), Err(ReadError::Io(_))));
    }
}
