//! A release in memory and a slot in a folder, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use payload::verity;
use payload::{FRAME_BYTES, Full, Part, PartName, Release, Sha256Digest, Version, Way, pack};

use super::engine::{Fetched, Frames};
use super::{DiskSlot, Passive, Places};
use crate::daemon::host::{Failure, FailureKind, Slot};
use crate::disk::{Aligned, Medium};

/// A small release with a root of a frame and a bit, with real hash tree and packed files.
pub(crate) struct TestRelease {
    pub(crate) release: Release,
    /// Content of each part.
    pub(crate) parts: BTreeMap<PartName, Vec<u8>>,
    /// Packed files by name.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

/// Bytes that do not compress away.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let word = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    std::iter::repeat_with(word).flat_map(u64::to_le_bytes).take(length).collect()
}

impl TestRelease {
    pub(crate) fn new(version: Version, seed: u64) -> Self {
        Self::sized(version, seed, FRAME_BYTES + 5 * 4096, 300_001)
    }

    /// One with a root of so many bytes, whole blocks, and a UKI of so many.
    pub(crate) fn sized(version: Version, seed: u64, root_bytes: usize, uki_bytes: usize) -> Self {
        let root = noise(seed, root_bytes);
        let mut tree = Cursor::new(Vec::new());
        let hash = verity::tree(&root[..], root.len() as u64, b"salt", uuid::Uuid::nil(), &mut tree).unwrap();
        let contents = [(PartName::Root, root), (PartName::Verity, tree.into_inner()), (PartName::Uki, noise(seed + 7, uki_bytes))];
        let names = [(PartName::Root, "root.erofs.zst"), (PartName::Verity, "root.verity.zst"), (PartName::Uki, "slipway.efi.zst")];
        let (mut parts, mut files) = (Vec::new(), BTreeMap::new());
        for ((name, content), (_, file)) in contents.iter().zip(names) {
            let mut stored = Vec::new();
            let packed = pack::pack(&content[..], &mut stored, 1).unwrap();
            let full = Full {
                file: file.to_owned(),
                size: stored.len() as u64,
                sha256: Sha256Digest::of(&stored),
                stored_frames: packed.stored_frames.clone(),
            };
            parts.push(Part {
                name: *name,
                size: content.len() as u64,
                sha256: Sha256Digest::of(content),
                frames: packed.frames.clone(),
                ways: vec![Way::Full(full)],
            });
            files.insert(file.to_owned(), stored);
        }
        let release = Release {
            format: 1,
            app_id: payload::app_id("slipway", "vm"),
            name: "slipway".to_owned(),
            variant: "vm".to_owned(),
            version,
            arch: crate::slot::arch().to_owned(),
            root_hash: Sha256Digest(hash.0),
            minimum_version: None,
            rollback_index: 0,
            parts,
            notes: String::new(),
        };
        release.check().unwrap();
        Self { release, parts: contents.into_iter().collect(), files }
    }
}

/// A machine's partitions and ESP as files of a folder; the active slot is A.
pub(crate) fn machine(dir: &Path) -> Places {
    let places = Places { partitions: dir.join("partitions"), esp: dir.join("esp") };
    std::fs::create_dir_all(&places.partitions).unwrap();
    std::fs::create_dir_all(places.entries()).unwrap();
    for (name, length) in [("root-a", 10), ("root-a-verity", 1), ("root-b", 2 * FRAME_BYTES), ("root-b-verity", FRAME_BYTES)] {
        // Stale bytes: an older release, or whatever was there.
        std::fs::write(places.partitions.join(name), noise(99, length.min(64 << 10))).unwrap();
        std::fs::OpenOptions::new().write(true).open(places.partitions.join(name)).unwrap().set_len(length as u64).unwrap();
    }
    std::fs::write(places.entry(Slot::A), b"active entry").unwrap();
    std::fs::write(places.entry(Slot::B), b"old passive entry").unwrap();
    places
}

/// The digests of everything an update must not touch.
pub(crate) fn active(places: &Places) -> Vec<Sha256Digest> {
    let files = [places.partitions.join("root-a"), places.partitions.join("root-a-verity"), places.entry(Slot::A)];
    files.iter().map(|path| Sha256Digest::of(&std::fs::read(path).unwrap())).collect()
}

/// Whether slot B holds exactly the release.
pub(crate) fn holds(places: &Places, release: &TestRelease) -> bool {
    let starts = |file: &str, part| std::fs::read(places.partitions.join(file)).unwrap().starts_with(&release.parts[&part]);
    let uki = std::fs::read(places.entry(Slot::B)).is_ok_and(|bytes| bytes == release.parts[&PartName::Uki]);
    starts("root-b", PartName::Root) && starts("root-b-verity", PartName::Verity) && uki
}

/// Hands out frames of a release, some of them wrong.
pub(crate) struct Memory<'a> {
    pub(crate) release: &'a TestRelease,
    /// Places that send wrong bytes.
    pub(crate) liars: BTreeSet<u32>,
    pub(crate) places: Vec<u32>,
    /// Frames handed out.
    pub(crate) sent: usize,
    queue: Vec<(u32, Vec<u8>)>,
}

impl<'a> Memory<'a> {
    pub(crate) fn new(release: &'a TestRelease) -> Self {
        Self { release, liars: BTreeSet::new(), places: vec![0], sent: 0, queue: Vec::new() }
    }
}

impl Frames for Memory<'_> {
    async fn begin(&mut self, _full: &Full, part: &Part, wanted: &[u32]) -> Result<(), Failure> {
        let content = &self.release.parts[&part.name];
        let frame = |&number: &u32| {
            let from = number as usize * FRAME_BYTES;
            (number, content[from..from + part.frame_len(number as usize)].to_vec())
        };
        self.queue = wanted.iter().rev().map(frame).collect();
        Ok(())
    }

    async fn next(&mut self, into: &mut Aligned) -> Result<Fetched, Failure> {
        let Some((number, bytes)) = self.queue.pop() else { return Ok(Fetched::End) };
        let place = self.places[0];
        into.resize(bytes.len());
        into.bytes_mut().copy_from_slice(&bytes);
        if self.liars.contains(&place) {
            into.bytes_mut()[bytes.len() / 2] ^= 1;
        }
        self.sent += 1;
        Ok(Fetched::Frame { number, place })
    }

    async fn distrust(&mut self, place: u32) -> Result<(), Failure> {
        self.places.retain(|&known| known != place);
        if self.places.is_empty() { Err(Failure::new(FailureKind::Digest, "no place left")) } else { Ok(()) }
    }
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The n-th access fails with an I/O error.
    Fails,
    /// The n-th access and all after it fail, as after a power cut.
    Dies,
    /// The n-th access fails for want of space.
    Full,
}

/// Counts accesses to the slot and lets one of them go wrong.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    pub(crate) fault: Fault,
    pub(crate) at: usize,
    pub(crate) count: Arc<AtomicUsize>,
}

impl Faults {
    pub(crate) fn new(fault: Fault, at: usize) -> Self {
        Self { fault, at, count: Arc::default() }
    }

    fn access(&self) -> io::Result<()> {
        let now = self.count.fetch_add(1, Ordering::SeqCst);
        match self.fault {
            Fault::Fails if now == self.at => Err(io::Error::from_raw_os_error(5)),
            Fault::Dies if now >= self.at => Err(io::Error::from_raw_os_error(5)),
            Fault::Full if now == self.at => Err(io::Error::from_raw_os_error(28)),
            _ => Ok(()),
        }
    }
}

/// Called between writing and reading back.
pub(crate) type Tamper = Arc<dyn Fn(PartName) + Send + Sync>;

/// The slot of a folder, with faults.
pub(crate) struct Faulty {
    pub(crate) inner: DiskSlot,
    pub(crate) faults: Faults,
    pub(crate) tamper: Option<Tamper>,
}

struct FaultyMedium {
    inner: Box<dyn Medium>,
    faults: Faults,
    name: PartName,
    tamper: Option<Tamper>,
}

impl Passive for Faulty {
    fn invalidate(&mut self) -> io::Result<()> {
        self.faults.access()?;
        self.inner.invalidate()
    }

    fn open(&mut self, part: PartName, bytes: u64) -> io::Result<Box<dyn Medium>> {
        self.faults.access()?;
        Ok(Box::new(FaultyMedium {
            inner: self.inner.open(part, bytes)?,
            faults: self.faults.clone(),
            name: part,
            tamper: self.tamper.clone(),
        }))
    }

    fn publish(&mut self) -> io::Result<()> {
        self.faults.access()?;
        self.inner.publish()
    }
}

impl Medium for FaultyMedium {
    fn capacity(&self) -> u64 {
        self.inner.capacity()
    }

    fn read_at(&mut self, offset: u64, into: &mut Aligned) -> io::Result<()> {
        self.faults.access()?;
        self.inner.read_at(offset, into)
    }

    fn write_at(&mut self, offset: u64, bytes: &Aligned) -> io::Result<()> {
        if let Err(error) = self.faults.access() {
            // Half of it got there, as when the power goes.
            let mut half = Aligned::new(bytes.len());
            half.resize(bytes.len() / 2);
            half.bytes_mut().copy_from_slice(&bytes.bytes()[..bytes.len() / 2]);
            self.inner.write_at(offset, &half)?;
            return Err(error);
        }
        self.inner.write_at(offset, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.faults.access()?;
        self.inner.flush()
    }

    fn forget(&mut self) -> io::Result<()> {
        self.faults.access()?;
        if let Some(tamper) = &self.tamper {
            tamper(self.name);
        }
        self.inner.forget()
    }
}
