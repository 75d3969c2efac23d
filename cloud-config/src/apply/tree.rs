//! Changes to a root that remember how to take themselves back, or that are only tried.
//!
//! Everything `apply` does to files goes through here. A [`Tree`] either does (and writes a journal), or looks: then it keeps what
//! would have been written in memory, so that later steps see it, and touches nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};

use rustix::fs::FileType;
use serde::Serialize;

use super::root::{FsError, Ids, Meta, Owners, Root};
use crate::plan::path::HostPath;

/// What became of one file, link or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// It was like that already.
    Same,
    /// It was something else.
    Changed,
    /// It was not there.
    Created,
    /// It is no longer there.
    Removed,
}

/// A path below the root, or below a home directory in which no link is followed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    home: Option<HostPath>,
    path: HostPath,
}

impl From<&HostPath> for Spot {
    fn from(path: &HostPath) -> Self {
        Self { home: None, path: path.clone() }
    }
}

impl Spot {
    /// `path` below `home`, whose owner is not trusted.
    #[must_use]
    pub fn in_home(home: &HostPath, path: &HostPath) -> Self {
        Self { home: Some(home.clone()), path: path.clone() }
    }
}

impl std::fmt::Display for Spot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.home.as_ref().map_or("", HostPath::as_str), self.path)
    }
}

/// How one change is taken back.
#[derive(Debug)]
enum Undo {
    Remove(Spot),
    RemoveDir(Spot),
    /// The file as it was; open since before it lost its name.
    Write(Spot, File, Meta),
    Link(Spot, String),
    Dir(Spot, Meta),
}

#[derive(Debug)]
enum Pending {
    File(Vec<u8>),
    Link(String),
    Dir,
    Gone,
}

/// A root that is changed, or only looked at.
#[derive(Debug)]
pub struct Tree {
    root: Root,
    /// What would be there by now; only when nothing is really done.
    pending: Option<BTreeMap<Spot, Pending>>,
    journal: Vec<Undo>,
    /// Owners that were wanted and could not be set.
    unset_owners: usize,
    /// Counts down to the change that fails.
    #[cfg(test)]
    pub(crate) fail_after: Option<usize>,
}

impl Tree {
    /// Changes are made, and can be taken back.
    #[must_use]
    pub fn changing(root: Root) -> Self {
        Self::new(root, None)
    }

    /// Nothing is changed.
    #[must_use]
    pub fn looking(root: Root) -> Self {
        Self::new(root, Some(BTreeMap::new()))
    }

    fn new(root: Root, pending: Option<BTreeMap<Spot, Pending>>) -> Self {
        Self {
            root,
            pending,
            journal: Vec::new(),
            unset_owners: 0,
            #[cfg(test)]
            fail_after: None,
        }
    }

    /// The root itself.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Whether nothing is really changed.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        self.pending.is_some()
    }

    /// How many files kept the owner of this process because it may not give them away.
    #[must_use]
    pub fn unset_owners(&self) -> usize {
        self.unset_owners
    }

    /// The content of a file; links are followed within the root.
    pub fn read(&self, path: &HostPath) -> Result<Option<Vec<u8>>, FsError> {
        self.read_spot(&path.into())
    }

    /// The same for any spot.
    pub fn read_spot(&self, spot: &Spot) -> Result<Option<Vec<u8>>, FsError> {
        match self.pending.as_ref().and_then(|pending| pending.get(spot)) {
            Some(Pending::File(bytes)) => Ok(Some(bytes.clone())),
            Some(Pending::Gone) => Ok(None),
            Some(Pending::Dir) => Err(FsError::IsDirectory(spot.to_string())),
            Some(Pending::Link(target)) if target == "/dev/null" => Ok(Some(Vec::new())),
            Some(Pending::Link(_)) | None => match self.at(spot) {
                Ok(root) => root.as_ref().unwrap_or(&self.root).read(&spot.path),
                Err(error) if self.only_looks() && is_missing(&error) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// A text file; bytes that are not UTF-8 are replaced, so this is only for files of systemd and the account tables.
    pub fn read_text(&self, path: &HostPath) -> Result<Option<String>, FsError> {
        Ok(self.read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// What a link says.
    pub fn read_link(&self, path: &HostPath) -> Result<Option<String>, FsError> {
        match self.pending.as_ref().and_then(|pending| pending.get(&path.into())) {
            Some(Pending::Link(target)) => Ok(Some(target.clone())),
            Some(_) => Ok(None),
            None => self.root.read_link(path),
        }
    }

    /// Whether anything is at `path`, be it a link to nowhere.
    pub fn exists(&self, path: &HostPath) -> Result<bool, FsError> {
        match self.pending.as_ref().and_then(|pending| pending.get(&path.into())) {
            Some(Pending::Gone) => Ok(false),
            Some(_) => Ok(true),
            None => Ok(self.root.meta(path)?.is_some()),
        }
    }

    /// The same for any spot.
    pub fn spot_exists(&self, spot: &Spot) -> Result<bool, FsError> {
        match self.pending.as_ref().and_then(|pending| pending.get(spot)) {
            Some(Pending::Gone) => Ok(false),
            Some(_) => Ok(true),
            None => Ok(self.look(spot)?.is_some()),
        }
    }

    /// Names in a folder.
    pub fn list(&self, path: &HostPath) -> Result<Vec<String>, FsError> {
        let mut names = self.root.list(path)?;
        let below = |spot: &Spot| spot.home.is_none() && spot.path.parent().as_ref() == Some(path);
        for (spot, node) in self.pending.iter().flatten().filter(|(spot, _)| below(spot)) {
            let name = spot.path.split().1;
            names.retain(|known| known != name);
            if !matches!(node, Pending::Gone) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Mode and owner of what is at `path`.
    pub fn meta(&self, path: &HostPath) -> Result<Option<Meta>, FsError> {
        self.root.meta(path)
    }

    /// Sees that a file has this content, mode and owner; what else had the name is replaced, unless it is a folder or a device.
    pub fn put_file(&mut self, spot: impl Into<Spot>, mode: u32, owner: Ids, bytes: &[u8]) -> Result<Change, FsError> {
        let spot = spot.into();
        let before = self.look(&spot)?;
        match before.map(|meta| meta.kind) {
            Some(FileType::Directory) => return Err(FsError::IsDirectory(spot.to_string())),
            Some(FileType::RegularFile | FileType::Symlink) | None => {}
            Some(_) => return Err(FsError::Special(spot.to_string())),
        }
        let same = |meta: Meta| meta.kind == FileType::RegularFile && meta.mode == mode && self.owner_is(meta, owner);
        let planned = self.pending.as_ref().and_then(|pending| pending.get(&spot)).is_some();
        if (before.is_some_and(same) || planned) && self.read_spot(&spot)?.as_deref() == Some(bytes) {
            return Ok(Change::Same);
        }
        let change = if before.is_some() || planned { Change::Changed } else { Change::Created };
        if let Some(pending) = &mut self.pending {
            pending.insert(spot, Pending::File(bytes.to_vec()));
            return Ok(change);
        }
        self.remember(&spot, before)?;
        self.at(&spot)?.as_ref().unwrap_or(&self.root).write(&spot.path, mode, owner, &mut &*bytes, None)?;
        Ok(change)
    }

    /// Sees that a link says `target`.
    pub fn put_link(&mut self, path: &HostPath, target: &str) -> Result<Change, FsError> {
        let spot = Spot::from(path);
        let before = self.look(&spot)?;
        match before.map(|meta| meta.kind) {
            Some(FileType::Directory) => return Err(FsError::IsDirectory(path.to_string())),
            Some(FileType::RegularFile | FileType::Symlink) | None => {}
            Some(_) => return Err(FsError::Special(path.to_string())),
        }
        if self.read_link(path)?.as_deref() == Some(target) {
            return Ok(Change::Same);
        }
        let change = if self.exists(path)? { Change::Changed } else { Change::Created };
        if let Some(pending) = &mut self.pending {
            pending.insert(spot, Pending::Link(target.to_owned()));
            return Ok(change);
        }
        self.remember(&spot, before)?;
        self.root.link(path, target)?;
        Ok(change)
    }

    /// Sees that a folder is there with this mode and owner.
    pub fn put_dir(&mut self, spot: impl Into<Spot>, mode: u32, owner: Ids) -> Result<Change, FsError> {
        let spot = spot.into();
        let before = self.look(&spot)?;
        if let Some(pending) = &mut self.pending {
            let change = match (before, pending.insert(spot.clone(), Pending::Dir)) {
                (_, Some(_)) => Change::Same,
                (None, None) => Change::Created,
                (Some(meta), None) if meta.kind != FileType::Directory => return Err(FsError::NotDirectory(spot.to_string())),
                (Some(meta), None) if meta.mode == mode && self.owner_is(meta, owner) => Change::Same,
                (Some(_), None) => Change::Changed,
            };
            return Ok(change);
        }
        match before {
            None => {
                self.step(&spot)?;
                let above = self.at(&spot)?;
                let parents = above.as_ref().unwrap_or(&self.root).make_parents(&spot.path)?;
                self.journal.extend(parents.into_iter().map(|path| Undo::RemoveDir(Spot { home: spot.home.clone(), path })));
                self.journal.push(Undo::RemoveDir(spot.clone()));
                self.count_owner();
                above.as_ref().unwrap_or(&self.root).make_dir(&spot.path, mode, owner)?;
                Ok(Change::Created)
            }
            Some(meta) if meta.kind != FileType::Directory => Err(FsError::NotDirectory(spot.to_string())),
            Some(meta) if meta.mode == mode && self.owner_is(meta, owner) => Ok(Change::Same),
            Some(meta) => {
                self.step(&spot)?;
                self.journal.push(Undo::Dir(spot.clone(), meta));
                self.at(&spot)?.as_ref().unwrap_or(&self.root).set_meta(&spot.path, mode, owner)?;
                Ok(Change::Changed)
            }
        }
    }

    /// Sees that there is no file or link of that name.
    pub fn remove(&mut self, path: &HostPath) -> Result<Change, FsError> {
        let spot = Spot::from(path);
        let before = self.look(&spot)?;
        if !self.exists(path)? {
            return Ok(Change::Same);
        }
        if before.is_some_and(|meta| meta.kind == FileType::Directory) {
            return Err(FsError::IsDirectory(path.to_string()));
        }
        if let Some(pending) = &mut self.pending {
            pending.insert(spot, Pending::Gone);
            return Ok(Change::Removed);
        }
        self.remember(&spot, before)?;
        self.root.remove(path)?;
        Ok(Change::Removed)
    }

    /// Makes what is done so far final: it can no longer be taken back.
    pub fn commit(&mut self) {
        self.journal.clear();
    }

    /// Takes back every change since the last commit, the last one first; says what was taken back and what could not be.
    pub fn undo(&mut self) -> Undone {
        let mut undone = Undone::default();
        for step in std::mem::take(&mut self.journal).into_iter().rev() {
            let spot = match &step {
                Undo::Remove(spot) | Undo::RemoveDir(spot) | Undo::Write(spot, ..) | Undo::Link(spot, _) | Undo::Dir(spot, _) => {
                    spot.clone()
                }
            };
            match self.undo_one(step) {
                Ok(()) => undone.back.push(spot.to_string()),
                Err(error) => undone.left.push(format!("{spot}: {error}")),
            }
        }
        undone
    }

    fn undo_one(&self, step: Undo) -> Result<(), FsError> {
        match step {
            Undo::Remove(spot) => self.at(&spot)?.as_ref().unwrap_or(&self.root).remove(&spot.path),
            Undo::RemoveDir(spot) => match self.at(&spot)?.as_ref().unwrap_or(&self.root).remove_dir(&spot.path) {
                // Somebody uses it by now; that it exists harms nobody.
                Err(FsError::Io { source, .. }) if source.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
                result => result,
            },
            Undo::Write(spot, mut file, meta) => {
                let io = |source| FsError::Io { action: "reading the old", path: spot.to_string(), source };
                file.seek(SeekFrom::Start(0)).map_err(io)?;
                let root = self.at(&spot)?;
                root.as_ref().unwrap_or(&self.root).write(&spot.path, meta.mode, meta.ids, &mut file, Some(meta.modified))
            }
            Undo::Link(spot, target) => self.at(&spot)?.as_ref().unwrap_or(&self.root).link(&spot.path, &target),
            Undo::Dir(spot, meta) => self.at(&spot)?.as_ref().unwrap_or(&self.root).set_meta(&spot.path, meta.mode, meta.ids),
        }
    }

    /// Before a change at `spot`: makes its parents and notes in the journal how to get back. The note comes first, so that a change
    /// that fails half-way is taken back as well.
    fn remember(&mut self, spot: &Spot, before: Option<Meta>) -> Result<(), FsError> {
        self.step(spot)?;
        let inner = self.at(spot)?;
        let root = inner.as_ref().unwrap_or(&self.root);
        let undo = match before {
            None => {
                let parents = root.make_parents(&spot.path)?;
                self.journal.extend(parents.into_iter().map(|path| Undo::RemoveDir(Spot { home: spot.home.clone(), path })));
                Undo::Remove(spot.clone())
            }
            Some(meta) if meta.kind == FileType::Symlink => Undo::Link(spot.clone(), root.read_link(&spot.path)?.unwrap_or_default()),
            Some(meta) => Undo::Write(spot.clone(), root.keep(&spot.path)?, meta),
        };
        self.journal.push(undo);
        self.count_owner();
        Ok(())
    }

    fn look(&self, spot: &Spot) -> Result<Option<Meta>, FsError> {
        match self.at(spot) {
            Ok(root) => root.as_ref().unwrap_or(&self.root).meta(&spot.path),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn at(&self, spot: &Spot) -> Result<Option<Root>, FsError> {
        spot.home.as_ref().map(|home| self.root.without_links(home)).transpose()
    }

    fn owner_is(&self, meta: Meta, owner: Ids) -> bool {
        self.root.owners() == Owners::Keep || meta.ids == owner
    }

    fn count_owner(&mut self) {
        self.unset_owners += usize::from(self.root.owners() == Owners::Keep);
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "tests break a step here")]
    fn step(&mut self, _spot: &Spot) -> Result<(), FsError> {
        Ok(())
    }

    #[cfg(test)]
    fn step(&mut self, spot: &Spot) -> Result<(), FsError> {
        match &mut self.fail_after {
            Some(0) => Err(FsError::Injected(spot.to_string())),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

/// What [`Tree::undo`] did.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Undone {
    /// Is as it was before.
    pub back: Vec<String>,
    /// Is not, and why.
    pub left: Vec<String>,
}

fn is_missing(error: &FsError) -> bool {
    matches!(error, FsError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}
