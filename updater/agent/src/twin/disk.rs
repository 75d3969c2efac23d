//! A disk that remembers what it was asked for and what of that is durable, and that can be told to fail or to forget.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::image::{Image, Name, Node, Op};
use super::story::Story;
use crate::disk::{Aligned, Disk, Medium, NewFile};

/// Folder of the ESP, which is FAT; everything else has a journal.
pub(super) const ESP: &str = "/boot";
/// Folder of the partitions.
pub(super) const PARTITIONS: &str = "/disk";
/// Folder of the updater.
pub(super) const STATE: &str = "/state";
/// Folder of the EFI variables.
pub(super) const VARIABLES: &str = "/efivars";

/// A promise that this disk breaks, as production code would by not asking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forgets {
    /// To force the content of a new file out, at all.
    NewFile,
    /// To do so before the file gets its name.
    NewFileBeforeRename,
    /// To force out a file after its name was changed.
    Renamed,
    /// To force names out.
    Folder,
    /// To force a partition or a file on the ESP out.
    Flush,
    /// To force out that a name is gone.
    Removal,
}

/// One failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The operating system's number of the error.
    Errno(i32),
    /// Half of a write arrives, then there is no space left.
    Short,
}

/// A moment at which the power may go.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// What was about to be done.
    pub(super) before: Arc<str>,
    pub(super) durable: Image,
    pub(super) pending: Vec<Op>,
    pub(super) story: Story,
}

/// The machine around the updater, while it has power.
#[derive(Debug)]
pub(super) struct Power {
    pub(super) durable: Image,
    pub(super) pending: Vec<Op>,
    /// As the running system sees it.
    names: BTreeMap<Name, Node>,
    content: BTreeMap<Node, Vec<u8>>,
    next: Node,
    pub(super) story: Story,
    pub(super) moments: Vec<Moment>,
    pub(super) forgets: Option<Forgets>,
    /// Fails the access of this number.
    pub(super) fault: Option<(usize, Fault)>,
    pub(super) faulted: Option<String>,
    /// Accesses that change something, so far.
    pub(super) accesses: usize,
    /// A rule was broken.
    pub(super) violation: Option<String>,
    /// Nothing works any more: the machine is going down.
    pub(super) off: bool,
    /// Objects that belong to the running slot.
    pub(super) untouchable: Vec<PathBuf>,
}

impl Power {
    pub(super) fn on(durable: Image, story: Story) -> Self {
        let content = durable.data.iter().map(|(node, blob)| (*node, blob.bytes().to_vec())).collect();
        Self {
            names: durable.names.clone(),
            next: durable.next_node(),
            content,
            durable,
            pending: Vec::new(),
            story,
            moments: Vec::new(),
            forgets: None,
            fault: None,
            faulted: None,
            accesses: 0,
            violation: None,
            off: false,
            untouchable: Vec::new(),
        }
    }

    pub(super) fn break_rule(&mut self, text: String) {
        self.violation.get_or_insert(text);
    }

    /// Every change goes through here: the power may go, and it may fail.
    pub(super) fn step(&mut self, doing: &str, path: &Path) -> io::Result<bool> {
        if self.off {
            return Err(io::Error::other("the power is off"));
        }
        let before: Arc<str> = format!("{doing} {}", path.display()).into();
        self.moments.push(Moment {
            before: Arc::clone(&before),
            durable: self.durable.clone(),
            pending: self.pending.clone(),
            story: self.story.clone(),
        });
        let now = self.accesses;
        self.accesses += 1;
        match self.fault.filter(|(at, _)| *at == now) {
            Some((_, Fault::Errno(number))) => {
                self.faulted = Some(before.to_string());
                Err(io::Error::from_raw_os_error(number))
            }
            Some((_, Fault::Short)) => {
                self.faulted = Some(before.to_string());
                Ok(false)
            }
            None => Ok(true),
        }
    }

    fn touch(&mut self, path: &Path) {
        if self.untouchable.iter().any(|object| object == path) {
            self.break_rule(format!("{} belongs to the slot that runs, and was changed", path.display()));
        }
    }

    fn is_fat(path: &Path) -> bool {
        path.starts_with(ESP)
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn set_name(&mut self, changes: Vec<(Name, Option<Node>)>) {
        for (name, node) in &changes {
            self.touch(name);
            match node {
                Some(node) => drop(self.names.insert(Arc::clone(name), *node)),
                None => drop(self.names.remove(name)),
            }
        }
        if changes.iter().all(|(name, _)| Self::is_fat(name)) {
            self.pending.extend(changes.into_iter().map(|(name, node)| Op::Plain { name, node }));
        } else {
            self.pending.push(Op::Journaled { changes });
        }
    }

    fn new_node(&mut self) -> Node {
        let node = self.next;
        self.next += 1;
        self.content.insert(node, Vec::new());
        node
    }

    /// An empty file of that name.
    fn begin(&mut self, path: &Path) -> Node {
        self.touch(path);
        if let Ok(node) = self.node(path) {
            self.resize(node, 0);
            return node;
        }
        let node = self.new_node();
        self.set_name(vec![(path.into(), Some(node))]);
        node
    }

    fn resize(&mut self, node: Node, length: usize) {
        let content = self.content.entry(node).or_default();
        if content.len() != length {
            content.resize(length, 0);
            self.pending.push(Op::Length { node, length });
        }
    }

    fn write(&mut self, node: Node, offset: usize, bytes: &[u8]) {
        let content = self.content.entry(node).or_default();
        if content.len() < offset + bytes.len() {
            content.resize(offset + bytes.len(), 0);
        }
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.pending.push(Op::Write { node, offset, bytes: bytes.into() });
    }

    /// Makes durable what `of` says.
    fn settle(&mut self, of: impl Fn(&Op) -> bool) {
        let (done, rest): (Vec<Op>, Vec<Op>) = self.pending.drain(..).partition(|op| of(op));
        self.durable.settle(&done);
        self.pending = rest;
        for op in &done {
            let Op::Attach { name: attached, node: to } = op else { continue };
            // That the name was gone before is overwritten with it.
            self.pending.retain(|op| !matches!(op, Op::Plain { name, node: None } if name == attached));
            // What a name was to be attached to is known to the medium now, and comes with the name.
            for op in &mut self.pending {
                if let Op::Plain { name, node: Some(node) } = op
                    && name == attached
                {
                    *node = *to;
                }
            }
        }
    }

    fn settle_node(&mut self, node: Node) {
        let of = |op: &Op| match op {
            Op::Write { node: of, .. } | Op::Length { node: of, .. } | Op::Attach { node: of, .. } => *of == node,
            // FAT's table of clusters goes along with whatever is forced out.
            Op::Free { .. } => true,
            Op::Journaled { .. } | Op::Plain { .. } => false,
        };
        self.settle(of);
    }

    fn settle_folder(&mut self, folder: &Path) {
        let forgets_removal = self.forgets == Some(Forgets::Removal);
        let of = |op: &Op| match op {
            Op::Journaled { changes } => changes.iter().any(|(name, _)| name.parent() == Some(folder)),
            Op::Plain { node: None, .. } if forgets_removal => false,
            Op::Plain { name, .. } => name.parent() == Some(folder),
            Op::Free { .. } => Self::is_fat(folder),
            _ => false,
        };
        self.settle(of);
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.node(from)?;
        self.touch(to);
        self.order(to, node);
        if !Self::is_fat(to) {
            self.set_name(vec![(to.into(), Some(node)), (from.into(), None)]);
            return Ok(());
        }
        if let Ok(replaced) = self.node(to) {
            self.pending.push(Op::Free { node: replaced });
        } else {
            let empty = self.new_node();
            self.set_name(vec![(to.into(), Some(empty))]);
        }
        self.strike(from);
        self.names.insert(to.into(), node);
        self.pending.push(Op::Attach { name: to.into(), node });
        Ok(())
    }

    /// Takes a name away on FAT. Where its content is, is written out with the name that the file has by then.
    fn strike(&mut self, path: &Path) {
        self.pending.retain(|op| !matches!(op, Op::Attach { name, .. } if **name == *path));
        self.set_name(vec![(path.into(), None)]);
    }

    /// The rule of order: what makes a slot bootable comes after everything of the slot is durable.
    fn order(&mut self, to: &Path, uki: Node) {
        let entry = to.extension().is_some_and(|extension| extension == "efi");
        let partitions: Vec<Node> = self.names.iter().filter(|(name, _)| name.starts_with(PARTITIONS)).map(|(_, node)| *node).collect();
        let unforced = |op: &Op| match op {
            Op::Write { node, .. } | Op::Length { node, .. } => *node == uki || partitions.contains(node),
            _ => false,
        };
        if entry && self.pending.iter().any(unforced) {
            self.break_rule(format!("{} gets its name before everything it needs is durable", to.display()));
        }
    }

    /// An orderly shutdown writes everything out.
    pub(super) fn shut_down(&mut self) {
        self.settle(|_| true);
        self.off = true;
    }
}

/// The disk, shared between the updater's threads and the test.
#[derive(Debug, Clone)]
pub(super) struct TwinDisk(pub(super) Arc<Mutex<Power>>);

impl TwinDisk {
    pub(super) fn power(&self) -> MutexGuard<'_, Power> {
        self.0.lock().unwrap()
    }

    /// EFI variables are the firmware's: each change is made when the call returns.
    pub(super) fn change_variable(&self, path: &Path, bytes: Option<&[u8]>) -> io::Result<()> {
        let mut power = self.power();
        if !power.step("setting", path)? {
            return Err(io::Error::new(io::ErrorKind::WriteZero, "the firmware took only part of the variable"));
        }
        match bytes {
            Some(bytes) => drop(power.durable.variables.insert(path.into(), super::image::Blob::new(bytes.to_vec()))),
            None => drop(power.durable.variables.remove(path).ok_or(io::ErrorKind::NotFound)?),
        }
        Ok(())
    }
}

struct TwinFile {
    disk: TwinDisk,
    path: PathBuf,
    node: Node,
    at: usize,
}

impl Write for TwinFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut power = self.disk.power();
        let whole = power.step("writing", &self.path)?;
        let count = if whole { bytes.len() } else { bytes.len() / 2 };
        power.write(self.node, self.at, &bytes[..count]);
        self.at += count;
        if whole { Ok(count) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl NewFile for TwinFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut power = self.disk.power();
        power.step("forcing out", &self.path)?;
        if !matches!(power.forgets, Some(Forgets::NewFile | Forgets::NewFileBeforeRename)) {
            power.settle_node(self.node);
        }
        Ok(())
    }
}

struct TwinMedium {
    disk: TwinDisk,
    path: PathBuf,
    node: Node,
    capacity: u64,
}

impl Medium for TwinMedium {
    fn capacity(&self) -> u64 {
        self.capacity
    }

    fn read_at(&mut self, offset: u64, into: &mut Aligned) -> io::Result<()> {
        let power = self.disk.power();
        let from = usize::try_from(offset).unwrap();
        let content = power.content[&self.node].get(from..from + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.bytes_mut().copy_from_slice(content);
        Ok(())
    }

    fn write_at(&mut self, offset: u64, bytes: &Aligned) -> io::Result<()> {
        let mut power = self.disk.power();
        power.touch(&self.path);
        let whole = power.step("writing", &self.path)?;
        let count = if whole { bytes.len() } else { bytes.len() / 2 };
        power.write(self.node, usize::try_from(offset).unwrap(), &bytes.bytes()[..count]);
        if whole { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut power = self.disk.power();
        power.step("flushing", &self.path)?;
        if power.forgets != Some(Forgets::Flush) {
            power.settle_node(self.node);
        }
        Ok(())
    }

    fn forget(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for TwinDisk {
    fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
        let power = self.power();
        let bytes = match power.durable.variables.get(path) {
            Some(blob) => blob.bytes(),
            None => &power.content[&power.node(path)?],
        };
        Ok(bytes[..bytes.len().min(usize::try_from(max_bytes).unwrap())].to_vec())
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.power().node(path).is_ok())
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        let power = self.power();
        let names = power.names.keys().chain(power.durable.variables.keys());
        Ok(names.filter(|name| name.parent() == Some(folder)).filter_map(|name| Some(name.file_name()?.to_owned())).collect())
    }

    fn make_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let mut power = self.power();
        if !power.step("creating", path)? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let node = power.begin(path);
        Ok(Box::new(TwinFile { disk: self.clone(), path: path.to_owned(), node, at: 0 }))
    }

    fn overwrite(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut power = self.power();
        let node = power.node(path)?;
        if !power.step("overwriting", path)? {
            // One sector goes to the page cache as a whole, or not at all.
            return Err(io::ErrorKind::StorageFull.into());
        }
        assert!(bytes.len() <= crate::disk::SECTOR_BYTES && power.content[&node].len() == bytes.len(), "{}", path.display());
        power.write(node, 0, bytes);
        power.step("forcing out", path)?;
        power.settle_node(node);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut power = self.power();
        if !power.step("renaming to", to)? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        power.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut power = self.power();
        let node = power.node(path)?;
        if !power.step("removing", path)? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if Power::is_fat(path) {
            power.strike(path);
            power.pending.push(Op::Free { node });
        } else {
            power.set_name(vec![(path.into(), None)]);
        }
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut power = self.power();
        power.step("forcing out", path)?;
        match power.node(path) {
            Ok(node) if !matches!(power.forgets, Some(Forgets::Renamed | Forgets::NewFile)) => power.settle_node(node),
            Ok(_) => {}
            Err(_) if power.forgets == Some(Forgets::Folder) => {}
            Err(_) => power.settle_folder(path),
        }
        Ok(())
    }

    fn set_variable(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.change_variable(path, Some(bytes))
    }

    fn remove_variable(&self, path: &Path) -> io::Result<()> {
        self.change_variable(path, None)
    }

    fn partition(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        let mut power = self.power();
        power.step("opening", path)?;
        let node = power.node(path)?;
        let capacity = power.content[&node].len() as u64;
        Ok(Box::new(TwinMedium { disk: self.clone(), path: path.to_owned(), node, capacity }))
    }

    fn esp_file(&self, path: &Path, bytes: u64) -> io::Result<Box<dyn Medium>> {
        let mut power = self.power();
        if !power.step("opening", path)? {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let node = match power.node(path) {
            Ok(node) => node,
            Err(_) => power.begin(path),
        };
        power.resize(node, usize::try_from(bytes).unwrap());
        Ok(Box::new(TwinMedium { disk: self.clone(), path: path.to_owned(), node, capacity: bytes }))
    }

    fn disk_of(&self, _partition: &Path) -> io::Result<PathBuf> {
        Ok(PARTITIONS.into())
    }
}
