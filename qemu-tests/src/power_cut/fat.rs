//! A second reader of FAT32, for file systems that may be in any state: it reads on where others stop, and says what is wrong.
//!
//! Follows Microsoft's "FAT: General Overview of On-Disk Format", version 1.03. Nothing here is shared with the builder's
//! reader, which refuses what is not perfect.

use std::collections::HashMap;
use std::io;

use payload::verity::Blocks;

use super::bytes::{u16_at, u32_at};

const ENTRY: usize = 32;
const END_OF_CHAIN: u32 = 0x0fff_fff8;
const FOLDER: u8 = 0x10;
const LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0f;
const DELETED: u8 = 0xe5;
const LAST_PART: u8 = 0x40;
const SHARED: &str = "belongs to";
/// Folders deeper than this are not followed; ours have five levels.
const DEPTH_MAX: usize = 8;
/// Clusters of a folder that are read at most.
const FOLDER_CLUSTERS_MAX: usize = 64;

/// Sizes from the boot sector, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Size of a cluster.
    pub cluster: u64,
    /// Beginning of the first allocation table.
    pub table_start: u64,
    /// Size of one allocation table.
    pub table: u64,
    /// Beginning of cluster 2.
    pub data_start: u64,
    /// Number of clusters.
    pub clusters: u32,
    /// First cluster of the root folder.
    pub root: u32,
}

impl Geometry {
    /// Reads a boot sector.
    pub fn parse(boot: &[u8]) -> Result<Self, String> {
        let (sector, per_cluster) = (u64::from(u16_at(boot, 11)), u64::from(boot.get(13).copied().unwrap_or(0)));
        if u16_at(boot, 510) != 0xaa55 || sector != 512 || !per_cluster.is_power_of_two() || boot.get(16) != Some(&2) {
            return Err("the boot sector is none of FAT32 with two tables".into());
        }
        let (reserved, table, total) = (u64::from(u16_at(boot, 14)), u64::from(u32_at(boot, 36)), u64::from(u32_at(boot, 32)));
        let data = reserved + 2 * table;
        let clusters = total.checked_sub(data).map(|sectors| sectors / per_cluster);
        let clusters =
            clusters.and_then(|clusters| u32::try_from(clusters).ok()).filter(|clusters| u64::from(*clusters) + 2 <= table * 128);
        let clusters = clusters.ok_or("the numbers of the boot sector contradict each other")?;
        let (cluster, table_start) = (per_cluster * sector, reserved * sector);
        Ok(Self { cluster, table_start, table: table * sector, data_start: data * sector, clusters, root: u32_at(boot, 44) })
    }
}

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path from the root, in lower case: FAT does not know case.
    pub path: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// Size in bytes.
    pub size: u64,
    /// Its clusters, as far as the chain makes sense.
    pub chain: Vec<u32>,
    /// What is wrong with it.
    pub fault: Option<String>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file or folder, from the root.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
    /// Whether it concerns another file as well.
    pub shared: bool,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Fat {
    /// Sizes.
    pub geometry: Geometry,
    /// Everything that has a name.
    pub entries: Vec<Entry>,
    /// Faults that a person or a later write would suffer from.
    pub faults: Vec<Fault>,
    /// Faults that hurt nobody, as (what, how many).
    pub tolerated: Vec<(&'static str, usize)>,
}

impl Fat {
    /// Reads the whole structure, none of the files.
    pub fn read(partition: &impl Blocks) -> io::Result<Result<Self, String>> {
        let mut boot = [0; 512];
        partition.read_at(0, &mut boot)?;
        let geometry = match Geometry::parse(&boot) {
            Ok(geometry) => geometry,
            Err(problem) => return Ok(Err(problem)),
        };
        let mut first = vec![0; geometry.table as usize];
        let mut second = first.clone();
        partition.read_at(geometry.table_start, &mut first)?;
        partition.read_at(geometry.table_start + geometry.table, &mut second)?;
        let table: Vec<u32> = first.chunks_exact(4).take(geometry.clusters as usize + 2).map(|raw| u32_at(raw, 0) & 0x0fff_ffff).collect();
        let mut walk = Walk { partition, geometry, table, owners: HashMap::new(), entries: Vec::new(), faults: Vec::new() };
        walk.folder("", geometry.root, 0)?;
        let mut tolerated = Vec::new();
        let differing = first.chunks(512).zip(second.chunks(512)).filter(|(one, two)| one != two).count();
        let used = walk.table.iter().skip(2).filter(|next| **next != 0).count();
        let lost = used.saturating_sub(walk.owners.len());
        if u32_at(&first, 4) & 0x0800_0000 == 0 || boot[65] & 1 != 0 {
            tolerated.push(("marked as not cleanly unmounted", 1));
        }
        for (what, count) in [("sectors in which the two tables differ", differing), ("clusters that belong to no file", lost)] {
            if count > 0 {
                tolerated.push((what, count));
            }
        }
        Ok(Ok(Self { geometry, entries: walk.entries, faults: walk.faults, tolerated }))
    }

    /// The file at `path`, which is in lower case.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| !entry.is_folder && entry.path == path)
    }

    /// Its content; a file that is broken has none.
    pub fn content(&self, partition: &impl Blocks, entry: &Entry) -> io::Result<Option<Vec<u8>>> {
        if entry.fault.is_some() {
            return Ok(None);
        }
        let mut bytes = vec![0; entry.chain.len() * self.geometry.cluster as usize];
        let mut at = 0;
        for run in entry.chain.chunk_by(|one, two| one.checked_add(1) == Some(*two)) {
            let count = run.len() * self.geometry.cluster as usize;
            partition.read_at(self.geometry.place(run[0]), &mut bytes[at..at + count])?;
            at += count;
        }
        bytes.truncate(entry.size as usize);
        Ok(Some(bytes))
    }
}

impl Geometry {
    /// Where a cluster begins, in bytes.
    #[must_use]
    pub fn place(&self, cluster: u32) -> u64 {
        self.data_start + u64::from(cluster.saturating_sub(2)) * self.cluster
    }
}

struct Walk<'a, B> {
    partition: &'a B,
    geometry: Geometry,
    table: Vec<u32>,
    /// Which entry a cluster belongs to.
    owners: HashMap<u32, String>,
    entries: Vec<Entry>,
    faults: Vec<Fault>,
}

impl<B: Blocks> Walk<'_, B> {
    fn folder(&mut self, path: &str, first: u32, depth: usize) -> io::Result<()> {
        let (chain, fault) = self.chain(path, first);
        self.fault(path, fault);
        let mut content = Vec::new();
        for cluster in chain.iter().take(FOLDER_CLUSTERS_MAX) {
            let mut bytes = vec![0; self.geometry.cluster as usize];
            self.partition.read_at(self.geometry.place(*cluster), &mut bytes)?;
            content.extend(bytes);
        }
        let (names, faults) = names(&content);
        faults.into_iter().for_each(|fault| self.fault(path, Some(fault)));
        for Name { text, attributes, first, size } in names {
            let path = if path.is_empty() { text } else { format!("{path}/{text}") };
            let is_folder = attributes & FOLDER != 0;
            if is_folder {
                self.entries.push(Entry { path: path.clone(), is_folder, size: 0, chain: Vec::new(), fault: None });
                if depth < DEPTH_MAX {
                    self.folder(&path, first, depth + 1)?;
                }
                continue;
            }
            let (chain, mut fault) = if first == 0 { (Vec::new(), None) } else { self.chain(&path, first) };
            let needed = u64::from(size).div_ceil(self.geometry.cluster);
            if fault.is_none() && (chain.len() as u64) < needed {
                fault = Some(format!("its {} clusters do not hold its {size} bytes", chain.len()));
            }
            self.fault(&path, fault.clone());
            self.entries.push(Entry { path, is_folder, size: size.into(), chain, fault });
        }
        Ok(())
    }

    fn fault(&mut self, path: &str, problem: Option<String>) {
        if let Some(problem) = problem {
            self.faults.push(Fault { path: path.to_owned(), shared: problem.contains(SHARED), problem });
        }
    }

    fn chain(&mut self, path: &str, first: u32) -> (Vec<u32>, Option<String>) {
        let (mut chain, mut cluster) = (Vec::new(), first);
        loop {
            let next = self.table.get(cluster as usize).copied().filter(|next| cluster >= 2 && *next != 0);
            let Some(next) = next else {
                return (chain, Some(format!("its chain runs into cluster {cluster}, which is free or does not exist")));
            };
            if let Some(other) = self.owners.insert(cluster, path.to_owned()) {
                return (chain, Some(format!("cluster {cluster} {SHARED} /{other} as well")));
            }
            chain.push(cluster);
            if next >= END_OF_CHAIN {
                return (chain, None);
            }
            cluster = next;
        }
    }
}

struct Name {
    text: String,
    attributes: u8,
    first: u32,
    size: u32,
}

/// The names in a folder. A long name that does not belong to the short name behind it does not count, as the specification says.
fn names(content: &[u8]) -> (Vec<Name>, Vec<String>) {
    let (mut names, mut faults) = (Vec::new(), Vec::new());
    let mut parts: Vec<&[u8]> = Vec::new();
    for raw in content.chunks_exact(ENTRY) {
        let attributes = raw[11] & 0x3f;
        match raw[0] {
            0 => break,
            DELETED => parts.clear(),
            _ if attributes == LONG_NAME => parts.push(raw),
            _ if attributes & LABEL != 0 || raw[0] == b'.' => parts.clear(),
            _ => {
                let long = long_name(&parts, &raw[..11]);
                if long.is_none() && !parts.is_empty() {
                    faults.push(format!("a long name does not belong to {}", short_name(raw)));
                }
                parts.clear();
                let first = u32::from(u16_at(raw, 26)) | u32::from(u16_at(raw, 20)) << 16;
                names.push(Name { text: long.unwrap_or_else(|| short_name(raw)).to_lowercase(), attributes, first, size: u32_at(raw, 28) });
            }
        }
    }
    (names, faults)
}

fn long_name(parts: &[&[u8]], short: &[u8]) -> Option<String> {
    let sum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let last = parts.first()?;
    let whole = last[0] == LAST_PART | parts.len() as u8;
    let numbered = parts.iter().rev().enumerate().all(|(index, part)| usize::from(part[0] & !LAST_PART) == index + 1 && part[13] == sum);
    if !whole || !numbered {
        return None;
    }
    let places = || (1..11).step_by(2).chain((14..26).step_by(2)).chain((28..32).step_by(2));
    let units = parts.iter().rev().flat_map(|part| places().map(|at| u16_at(part, at))).take_while(|unit| *unit != 0);
    char::decode_utf16(units).collect::<Result<String, _>>().ok()
}

fn short_name(raw: &[u8]) -> String {
    let half = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_lowercase();
    let (stem, extension) = (half(&raw[..8]), half(&raw[8..11]));
    if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
}

#[cfg(test)]
mod tests;
