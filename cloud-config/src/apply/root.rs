//! The file system of a host, below a root that nothing leads out of.
//!
//! Every path is opened with `openat2(2)` and `RESOLVE_IN_ROOT`: links are followed as the host itself would follow them, and a
//! link to `/etc` inside another root is that root's `/etc`. The last component is never followed. There is no second way for
//! kernels without that call (before 5.6): they get an error, because a walk by hand would have races.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timestamps, Uid};
use rustix::io::Errno;

use crate::plan::path::HostPath;

/// Largest file that is read from a host, in bytes; what a configuration touches is far smaller.
const READ_LIMIT: u64 = 16 << 20;
/// Links that may lead to one missing folder, as many as Linux itself follows.
const LINK_LIMIT: u32 = 40;
/// What a file is called until it is complete; one name, so that a crash leaves at most one behind in a folder, which the next run
/// replaces.
const UNFINISHED: &str = ".cloud-config-new";

/// Something that could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// The operating system said no.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: String,
        /// The answer.
        source: std::io::Error,
    },
    /// A folder where a file should go.
    #[error("{0} is a directory; remove it, or choose another path")]
    IsDirectory(String),
    /// Something else where a folder should be.
    #[error("{0} exists and is not a directory")]
    NotDirectory(String),
    /// A device, pipe or socket.
    #[error("{0} is neither a file nor a link; it is left alone")]
    Special(String),
    /// Larger than anything this program reads.
    #[error("{0} is larger than {READ_LIMIT} bytes")]
    TooLarge(String),
    /// Links that lead in a circle or nowhere, or a link where none is followed.
    #[error("{0} leads through a link that is not followed")]
    Links(String),
    /// The tests' way to break a step.
    #[cfg(test)]
    #[error("{0}: no space left on device (made up by a test)")]
    Injected(String),
}

fn failed(action: &'static str, path: impl std::fmt::Display) -> impl FnOnce(Errno) -> FsError {
    let path = path.to_string();
    move |errno| match errno {
        Errno::LOOP => FsError::Links(path),
        errno => FsError::Io { action, path, source: errno.into() },
    }
}

/// Numeric owner of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// What can be known of a node without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// File, link, directory.
    pub kind: FileType,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub ids: Ids,
    /// Last change of the content: seconds and nanoseconds.
    pub modified: (i64, i64),
    /// Size in bytes.
    pub size: u64,
}

impl Meta {
    fn of(stat: &Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode),
            mode: stat.st_mode & 0o7777,
            ids: Ids { uid: stat.st_uid, gid: stat.st_gid },
            modified: (stat.st_mtime, stat.st_mtime_nsec as i64),
            size: u64::try_from(stat.st_size).unwrap_or(0),
        }
    }
}

/// Whether owners are set, or only remembered to have been wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// `chown` must work.
    Set,
    /// An ordinary user prepares a tree: files stay with that user.
    Keep,
}

/// A folder that is the root of a host.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    path: PathBuf,
    owners: Owners,
    links: Links,
}

/// Whether links on the way to a file are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    /// As the host itself would.
    Within,
    /// Not at all: somebody who is not root owns the folders.
    Refused,
}

impl Root {
    /// Opens `path` as a root. Owners are set when this process may do so, or when the root is the running host's.
    pub fn open(path: &Path) -> Result<Self, FsError> {
        let owners = if rustix::process::geteuid().is_root() || path == Path::new("/") { Owners::Set } else { Owners::Keep };
        Self::open_with(path, owners)
    }

    /// The same, with a decision about owners.
    pub fn open_with(path: &Path, owners: Owners) -> Result<Self, FsError> {
        let dir = rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(failed("opening the root", path.display()))?;
        Ok(Self { dir, path: path.to_owned(), owners, links: Links::Within })
    }

    /// A folder as a root of its own in which no link is followed, for folders that belong to somebody else than root.
    pub fn without_links(&self, folder: &HostPath) -> Result<Self, FsError> {
        let dir = self.open_node(&folder.as_str()[1..], OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed("opening", folder))?;
        Ok(Self { dir, path: self.path.join(&folder.as_str()[1..]), owners: self.owners, links: Links::Refused })
    }

    /// Where the root is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is the running host.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.path == Path::new("/")
    }

    /// Whether owners are set.
    #[must_use]
    pub fn owners(&self) -> Owners {
        self.owners
    }

    /// What is at `path`, if anything; a link is not followed.
    pub fn meta(&self, path: &HostPath) -> Result<Option<Meta>, FsError> {
        let (folder, name) = path.split();
        let parent = match self.open_folder(folder) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            parent => parent.map_err(failed("looking at", path))?,
        };
        match rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Meta::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(failed("looking at", path)(errno)),
        }
    }

    /// The content of a file, following links within the root; `None` when there is none.
    pub fn read(&self, path: &HostPath) -> Result<Option<Vec<u8>>, FsError> {
        let file = match self.open_node(&path.as_str()[1..], OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            file => file.map_err(failed("opening", path))?,
        };
        let stat = rustix::fs::fstat(&file).map_err(failed("looking at", path))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {}
            FileType::Directory => return Err(FsError::IsDirectory(path.to_string())),
            _ => return Err(FsError::Special(path.to_string())),
        }
        let mut bytes = Vec::new();
        let mut file = std::fs::File::from(file).take(READ_LIMIT + 1);
        file.read_to_end(&mut bytes).map_err(|source| FsError::Io { action: "reading", path: path.to_string(), source })?;
        if bytes.len() as u64 > READ_LIMIT {
            return Err(FsError::TooLarge(path.to_string()));
        }
        Ok(Some(bytes))
    }

    /// What a link says; `None` when there is no link.
    pub fn read_link(&self, path: &HostPath) -> Result<Option<String>, FsError> {
        let (folder, name) = path.split();
        let parent = match self.open_folder(folder) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            parent => parent.map_err(failed("looking at", path))?,
        };
        match rustix::fs::readlinkat(&parent, name, Vec::new()) {
            Ok(target) => Ok(Some(target.to_string_lossy().into_owned())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(failed("reading the link", path)(errno)),
        }
    }

    /// Names in a folder, sorted; nothing when there is no such folder.
    pub fn list(&self, path: &HostPath) -> Result<Vec<String>, FsError> {
        let dir = match self.open_node(&path.as_str()[1..], OFlags::RDONLY | OFlags::DIRECTORY) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
            dir => dir.map_err(failed("opening", path))?,
        };
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&dir).map_err(failed("listing", path))? {
            let entry = entry.map_err(failed("listing", path))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Makes the folders that lead to `path` where they are missing, 0755 and owned by whoever runs this, and returns those it made.
    pub fn make_parents(&self, path: &HostPath) -> Result<Vec<HostPath>, FsError> {
        let mut made = Vec::new();
        if let Some(parent) = path.parent() {
            self.make_folders(&parent, &mut made, LINK_LIMIT)?;
        }
        Ok(made)
    }

    fn make_folders(&self, folder: &HostPath, made: &mut Vec<HostPath>, links: u32) -> Result<(), FsError> {
        match self.open_folder(&folder.as_str()[1..]) {
            Ok(_) => return Ok(()),
            Err(Errno::NOENT) => {}
            Err(Errno::NOTDIR) => return Err(FsError::NotDirectory(folder.to_string())),
            Err(errno) => return Err(failed("opening", folder)(errno)),
        }
        // A link whose folder is missing, as `/home` into an empty /var: the folder is made where the link says.
        if let Some(target) = self.read_link(folder)? {
            if links == 0 || self.links == Links::Refused {
                return Err(FsError::Links(folder.to_string()));
            }
            let target = link_target(folder, &target).ok_or_else(|| FsError::Links(folder.to_string()))?;
            return self.make_folders(&target, made, links - 1);
        }
        if let Some(parent) = folder.parent() {
            self.make_folders(&parent, made, links)?;
        }
        let (outer, name) = folder.split();
        let parent = self.open_folder(outer).map_err(failed("opening the folder of", folder))?;
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)).map_err(failed("making the folder", folder))?;
        // The umask of whoever started us has no say.
        let dir = self.open_node(&folder.as_str()[1..], OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed("opening", folder))?;
        rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o755)).map_err(failed("setting the mode of", folder))?;
        made.push(folder.clone());
        Ok(())
    }

    /// Puts a complete file in place: made under another name with its final owner and mode, written, flushed, renamed.
    ///
    /// Without power, the name leads to the old file or to the new one, and the next run finds out which; what must not be forgotten
    /// needs [`Root::flush_folder`] as well.
    pub fn write(&self, path: &HostPath, mode: u32, owner: Ids, from: &mut dyn Read, modified: Option<(i64, i64)>) -> Result<(), FsError> {
        let (folder, name) = path.split();
        let parent = self.open_folder(folder).map_err(failed("opening the folder of", path))?;
        match rustix::fs::unlinkat(&parent, UNFINISHED, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed("removing what a crash left beside", path)(errno)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Never wider than it will be, not even for a moment: nobody but us until owner and mode are final.
        let file =
            rustix::fs::openat(&parent, UNFINISHED, flags, Mode::from_raw_mode(0o600 & mode | 0o200)).map_err(failed("making", path))?;
        let result = self
            .fill(file, path, mode, owner, from, modified)
            .and_then(|()| rustix::fs::renameat(&parent, UNFINISHED, &parent, name).map_err(failed("renaming into place", path)));
        if result.is_err() {
            // The error that counts is the first one; what cannot be removed is replaced by the next run.
            let _ = rustix::fs::unlinkat(&parent, UNFINISHED, AtFlags::empty());
        }
        result
    }

    fn fill(
        &self,
        file: OwnedFd,
        path: &HostPath,
        mode: u32,
        owner: Ids,
        from: &mut dyn Read,
        modified: Option<(i64, i64)>,
    ) -> Result<(), FsError> {
        self.own(&file, path, owner)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode)).map_err(failed("setting the mode of", path))?;
        let mut file = std::fs::File::from(file);
        let io = |action| move |source| FsError::Io { action, path: path.to_string(), source };
        std::io::copy(from, &mut file).map_err(io("writing"))?;
        file.flush().map_err(io("writing"))?;
        if let Some((seconds, nanoseconds)) = modified {
            let time = rustix::time::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::futimens(&file, &times).map_err(failed("setting the time of", path))?;
        }
        file.sync_all().map_err(io("flushing"))
    }

    /// Waits until the names in the folder of `path` are on the disk.
    pub fn flush_folder(&self, path: &HostPath) -> Result<(), FsError> {
        let folder = self.open_node(path.split().0, OFlags::RDONLY | OFlags::DIRECTORY).map_err(failed("opening the folder of", path))?;
        rustix::fs::fsync(folder).map_err(failed("flushing the folder of", path))
    }

    /// Puts a link in place, instead of whatever file or link is there.
    pub fn link(&self, path: &HostPath, target: &str) -> Result<(), FsError> {
        let (folder, name) = path.split();
        let parent = self.open_folder(folder).map_err(failed("opening the folder of", path))?;
        match rustix::fs::unlinkat(&parent, UNFINISHED, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed("removing what a crash left beside", path)(errno)),
        }
        rustix::fs::symlinkat(target, &parent, UNFINISHED).map_err(failed("making the link", path))?;
        rustix::fs::renameat(&parent, UNFINISHED, &parent, name).map_err(|errno| {
            let _ = rustix::fs::unlinkat(&parent, UNFINISHED, AtFlags::empty());
            failed("renaming into place", path)(errno)
        })
    }

    /// Makes a folder that is not there, with its final owner and mode.
    pub fn make_dir(&self, path: &HostPath, mode: u32, owner: Ids) -> Result<(), FsError> {
        let (folder, name) = path.split();
        let parent = self.open_folder(folder).map_err(failed("opening the folder of", path))?;
        rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(mode & 0o700)).map_err(failed("making the folder", path))?;
        self.set_meta(path, mode, owner)
    }

    /// Sets mode and owner of a folder.
    pub fn set_meta(&self, path: &HostPath, mode: u32, owner: Ids) -> Result<(), FsError> {
        let dir =
            self.open_node(&path.as_str()[1..], OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW).map_err(failed("opening", path))?;
        self.own(&dir, path, owner)?;
        rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode)).map_err(failed("setting the mode of", path))
    }

    /// Removes a file or link; one that is gone already is fine.
    pub fn remove(&self, path: &HostPath) -> Result<(), FsError> {
        self.unlink(path, AtFlags::empty())
    }

    /// Removes an empty folder; one that is gone already is fine.
    pub fn remove_dir(&self, path: &HostPath) -> Result<(), FsError> {
        self.unlink(path, AtFlags::REMOVEDIR)
    }

    fn unlink(&self, path: &HostPath, flags: AtFlags) -> Result<(), FsError> {
        let (folder, name) = path.split();
        let parent = self.open_folder(folder).map_err(failed("opening the folder of", path))?;
        match rustix::fs::unlinkat(&parent, name, flags) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed("removing", path)(errno)),
        }
    }

    /// Opens a file as it is now, to read it later even when another one has taken its name.
    pub fn keep(&self, path: &HostPath) -> Result<std::fs::File, FsError> {
        let file = self.open_node(&path.as_str()[1..], OFlags::RDONLY | OFlags::NOFOLLOW).map_err(failed("opening", path))?;
        Ok(std::fs::File::from(file))
    }

    /// Opens a lock file for writing, made if it is missing.
    pub fn lock_file(&self, path: &HostPath) -> Result<OwnedFd, FsError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (folder, name) = path.split();
        let parent = self.open_folder(folder).map_err(failed("opening the folder of", path))?;
        rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o600)).map_err(failed("opening", path))
    }

    fn own(&self, node: impl AsFd, path: &HostPath, owner: Ids) -> Result<(), FsError> {
        if self.owners == Owners::Keep {
            return Ok(());
        }
        rustix::fs::fchown(node, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))
            .map_err(failed("setting the owner of", path))
    }

    fn open_folder(&self, folder: &str) -> Result<OwnedFd, Errno> {
        self.open_node(folder, OFlags::PATH | OFlags::DIRECTORY)
    }

    fn open_node(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = match self.links {
            Links::Within => ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            Links::Refused => ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
        };
        let path = if path.is_empty() { "." } else { path };
        loop {
            // EAGAIN: something was renamed on the way, the kernel could not tell whether the path left the root.
            match rustix::fs::openat2(&self.dir, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return result,
            }
        }
    }
}

/// Where a link at `link` leads, as a path from the root.
fn link_target(link: &HostPath, target: &str) -> Option<HostPath> {
    let joined = if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("{}/{target}", link.parent().map(|p| p.to_string()).unwrap_or_default())
    };
    let mut names: Vec<&str> = Vec::new();
    for name in joined.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    HostPath::new(&format!("/{}", names.join("/"))).ok()
}
