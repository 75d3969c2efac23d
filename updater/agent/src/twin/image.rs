//! What is on the medium when the power is off, and what may be on it when the power goes now.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a disk writes as a whole or not at all, in bytes.
pub(super) const SECTOR_BYTES: usize = 512;
/// Pending operations are combined in every way as long as that makes no more images than this. The longest list that the production
/// code ever has pending makes far fewer; only a model that forgets to flush gets beyond.
pub(super) const COMBINATIONS_MAX: usize = 4096;
/// Beyond [`COMBINATIONS_MAX`]: so many random choices, beside all prefixes, singletons and pairs.
const RANDOM_CHOICES: usize = 64;
/// A write of more sectors than this is torn at its ends and in its middle only.
const TORN_SECTORS_MAX: usize = 8;

/// Content that is compared by its digest.
#[derive(Debug, Clone)]
pub(super) struct Blob(Arc<(Vec<u8>, u64)>);

impl Blob {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let hash = hasher.finish();
        Self(Arc::new((bytes, hash)))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0.0
    }
}

impl Hash for Blob {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.1.hash(state);
    }
}

/// A file, whatever it is called.
pub(super) type Node = u32;
/// A name with its folder.
pub(super) type Name = Arc<Path>;

/// Everything durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Image {
    pub(super) names: BTreeMap<Name, Node>,
    pub(super) data: BTreeMap<Node, Blob>,
    pub(super) variables: BTreeMap<Name, Blob>,
}

impl Image {
    pub(super) fn put(&mut self, path: impl Into<PathBuf>, bytes: Vec<u8>) {
        let node = self.next_node();
        self.data.insert(node, Blob::new(bytes));
        self.names.insert(path.into().into(), node);
    }

    pub(super) fn get(&self, path: &Path) -> Option<&[u8]> {
        Some(self.data.get(self.names.get(path)?)?.bytes())
    }

    pub(super) fn next_node(&self) -> Node {
        self.data.keys().next_back().map_or(1, |last| last + 1)
    }

    fn write(&mut self, node: Node, offset: usize, bytes: &[u8]) {
        let mut content = self.data.get(&node).map(|blob| blob.bytes().to_vec()).unwrap_or_default();
        if content.len() < offset + bytes.len() {
            content.resize(offset + bytes.len(), 0);
        }
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
        self.data.insert(node, Blob::new(content));
    }

    /// Forgets content without a name.
    fn collect(&mut self) {
        let used: BTreeSet<Node> = self.names.values().copied().collect();
        self.data.retain(|node, _| used.contains(node));
    }

    pub(super) fn digest<H: Hasher>(&self, state: &mut H) {
        for (name, node) in &self.names {
            name.hash(state);
            self.data.get(node).hash(state);
        }
        self.variables.hash(state);
    }
}

/// Something the updater asked for and nobody made durable yet.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Bytes of a file or partition; a file grows to hold them.
    Write { node: Node, offset: usize, bytes: Arc<[u8]> },
    /// Another length of a file.
    Length { node: Node, length: usize },
    /// Names on a file system with a journal: all of it or nothing, and nothing before what was asked for earlier.
    Journaled { changes: Vec<(Name, Option<Node>)> },
    /// One name on FAT, which has no journal.
    Plain { name: Name, node: Option<Node> },
    /// On FAT, the second half of a rename: the name learns where the content is.
    Attach { name: Name, node: Node },
    /// On FAT, the second half of a removal: the clusters are free, and a name that still leads to them finds their beginning only.
    Free { node: Node },
}

/// What became of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Absent,
    Whole,
    /// Only this many sectors from the beginning.
    Head(usize),
    /// All but so many sectors at the beginning.
    Tail(usize),
}

impl Op {
    fn fates(&self) -> Vec<Fate> {
        let Self::Write { bytes, .. } = self else { return vec![Fate::Absent, Fate::Whole] };
        let sectors = bytes.len().div_ceil(SECTOR_BYTES);
        let cuts: Vec<usize> = if sectors <= TORN_SECTORS_MAX { (1..sectors).collect() } else { vec![1, sectors / 2, sectors - 1] };
        let torn = cuts.iter().flat_map(|cut| [Fate::Head(*cut), Fate::Tail(*cut)]);
        [Fate::Absent, Fate::Whole].into_iter().chain(torn).collect()
    }

    fn is_journaled(&self) -> bool {
        matches!(self, Self::Journaled { .. })
    }

    fn apply(&self, fate: Fate, image: &mut Image) {
        if fate == Fate::Absent {
            return;
        }
        match self {
            Self::Write { node, offset, bytes } => match fate {
                Fate::Head(sectors) => image.write(*node, *offset, &bytes[..(sectors * SECTOR_BYTES).min(bytes.len())]),
                Fate::Tail(sectors) => {
                    let from = (sectors * SECTOR_BYTES).min(bytes.len());
                    image.write(*node, offset + from, &bytes[from..]);
                }
                _ => image.write(*node, *offset, bytes),
            },
            Self::Length { node, length } => {
                let mut content = image.data.get(node).map(|blob| blob.bytes().to_vec()).unwrap_or_default();
                content.resize(*length, 0);
                image.data.insert(*node, Blob::new(content));
            }
            Self::Journaled { changes } => changes.iter().for_each(|(name, node)| image.name(name, *node)),
            Self::Plain { name, node } => {
                if node.is_some() && image.names.get(&alias(name)) == node.as_ref() {
                    image.name(&alias(name), None);
                }
                image.name(name, *node);
            }
            // The short name of an entry whose long one did not get there: a stranger's file, which nobody asked for.
            Self::Attach { name, node } if !image.names.contains_key(name) => image.name(&alias(name), Some(*node)),
            Self::Attach { name, node } => image.name(name, Some(*node)),
            Self::Free { node } => {
                let begun = image.data.get(node).map(|blob| blob.bytes()[..blob.bytes().len() / 2].to_vec()).unwrap_or_default();
                image.data.insert(*node, Blob::new(begun));
            }
        }
    }
}

/// What FAT calls a file whose long name is lost; the end of a name decides whether boot loaders look at it.
fn alias(name: &Path) -> Name {
    let end = name.extension().unwrap_or_default().to_ascii_uppercase();
    name.with_file_name("SLIPWA~1").with_extension(end).into()
}

impl Image {
    fn name(&mut self, name: &Name, node: Option<Node>) {
        match node {
            Some(node) => {
                self.names.insert(Arc::clone(name), node);
                self.data.entry(node).or_insert_with(|| Blob::new(Vec::new()));
            }
            None => drop(self.names.remove(name)),
        }
    }

    /// Applies all of `ops`: an orderly end.
    pub(super) fn settle<'a>(&mut self, ops: impl IntoIterator<Item = &'a Op>) {
        ops.into_iter().for_each(|op| op.apply(Fate::Whole, self));
    }

    /// Every image that a power cut may leave, by the rules of this module. `seed` decides what is tried beyond [`COMBINATIONS_MAX`].
    pub(super) fn survivors(&self, pending: &[Op], seed: u64) -> Vec<Self> {
        let choices = choices(pending, seed);
        choices.into_iter().map(|fates| self.survivor(pending, &fates)).collect()
    }

    fn survivor(&self, pending: &[Op], fates: &[Fate]) -> Self {
        let mut image = self.clone();
        // What a cut leaves of a journal is a beginning of it.
        let mut journal_ended = false;
        for (op, fate) in pending.iter().zip(fates) {
            if op.is_journaled() {
                journal_ended |= *fate == Fate::Absent;
                if journal_ended {
                    continue;
                }
            }
            op.apply(*fate, &mut image);
        }
        image.collect();
        image
    }
}

/// One fate for each operation, in all ways or, where these are too many, in the most telling ones.
fn choices(pending: &[Op], seed: u64) -> Vec<Vec<Fate>> {
    let fates: Vec<Vec<Fate>> = pending.iter().map(Op::fates).collect();
    let count = fates.iter().try_fold(1usize, |product, fates| product.checked_mul(fates.len()).filter(|all| *all <= COMBINATIONS_MAX));
    if count.is_some() {
        return fates.iter().fold(vec![Vec::new()], |made, fates| {
            made.iter().flat_map(|begun: &Vec<Fate>| fates.iter().map(|fate| [begun.as_slice(), &[*fate]].concat())).collect()
        });
    }
    let all = |fate| vec![fate; pending.len()];
    let mut made = vec![all(Fate::Absent), all(Fate::Whole)];
    for (first, options) in fates.iter().enumerate() {
        // All before it, and it in every way: a prefix.
        for fate in options {
            let mut prefix = all(Fate::Absent);
            prefix[..first].fill(Fate::Whole);
            prefix[first] = *fate;
            made.push(prefix);
        }
        for base in [Fate::Absent, Fate::Whole] {
            for fate in options.iter().filter(|fate| **fate != base) {
                let mut single = all(base);
                single[first] = *fate;
                made.push(single);
            }
            let other = if base == Fate::Absent { Fate::Whole } else { Fate::Absent };
            for second in first + 1..pending.len() {
                let mut pair = all(base);
                (pair[first], pair[second]) = (other, other);
                made.push(pair);
            }
        }
    }
    let mut random = super::Random::new(seed);
    for _ in 0..RANDOM_CHOICES {
        made.push(fates.iter().map(|fates| fates[random.below(fates.len())]).collect());
    }
    made
}
