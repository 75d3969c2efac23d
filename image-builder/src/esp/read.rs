//! Reads a FAT32 file system: lists and reads files, never writes, never trusts a number.
//!
//! Follows Microsoft's "FAT: General Overview of On-Disk Format", version 1.03. FAT12 and FAT16 are refused.

mod directory;

use std::io;

use crate::extent::Extent;
pub use directory::Entry;

/// Directories deeper than this are refused; ours have five levels.
const DEPTH_MAX: usize = 16;
/// More files and folders than this are refused; an ESP has a dozen.
const ENTRIES_MAX: usize = 10_000;
/// Largest file we read into memory, in bytes; a UKI has about 40 MB.
pub const FILE_MAX_BYTES: u64 = 512 << 20;
/// Largest allocation table we read into memory, in bytes: enough for 64 GiB with clusters of 4 KiB.
const TABLE_MAX_BYTES: u64 = 64 << 20;
/// The end of a chain is any value from here on.
const END_OF_CHAIN: u32 = 0x0fff_fff8;
/// Fewer clusters than this make a FAT12 or FAT16.
const FAT32_MIN_CLUSTERS: u64 = 65525;

/// Why a FAT file system could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FatError {
    /// The device could not be read.
    #[error("reading {object}: {source}")]
    Io {
        /// The partition or file.
        object: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// It is something else.
    #[error("{object} holds no FAT32 file system: {problem}")]
    NotFat {
        /// The partition or file.
        object: String,
        /// What is wrong with its first sector.
        problem: String,
    },
    /// It contradicts itself.
    #[error("{object}: damaged FAT32: {problem}")]
    Damaged {
        /// The partition or file.
        object: String,
        /// Where, and what is wrong.
        problem: String,
    },
    /// No such file.
    #[error("{object} has no file {path}")]
    NotFound {
        /// The partition or file.
        object: String,
        /// The path.
        path: String,
    },
    /// Larger than we read into memory.
    #[error("{object}: {path} is {bytes} bytes long, more than {FILE_MAX_BYTES}")]
    TooLarge {
        /// The partition or file.
        object: String,
        /// The path.
        path: String,
        /// Its length in bytes.
        bytes: u64,
    },
}

/// An open FAT32 file system; its allocation table is in memory.
#[derive(Debug)]
pub struct Fat {
    extent: Extent,
    cluster_bytes: u64,
    data_start: u64,
    table: Vec<u32>,
    root_cluster: u32,
    volume_id: u32,
}

impl Fat {
    /// Reads the boot sector and the allocation tables. Copies of either must agree.
    pub fn open(extent: &Extent) -> Result<Self, FatError> {
        let object = extent.name().to_owned();
        let io = |source| FatError::Io { object: object.clone(), source };
        let wrong = |problem: &str| FatError::NotFat { object: object.clone(), problem: problem.to_owned() };
        let damaged = |problem: &str| FatError::Damaged { object: object.clone(), problem: problem.to_owned() };
        if extent.len() < 512 {
            return Err(wrong("it is too small"));
        }
        let boot = extent.read_vec(0, 512).map_err(io)?;
        let u16_at = |at: usize| u64::from(u16::from_le_bytes([boot[at], boot[at + 1]]));
        let u32_at = |at: usize| u32::from_le_bytes([boot[at], boot[at + 1], boot[at + 2], boot[at + 3]]);
        if boot[510..] != [0x55, 0xaa] {
            return Err(wrong("its first sector has no signature"));
        }
        let (sector_bytes, sectors_per_cluster) = (u16_at(11), u64::from(boot[13]));
        if !(512..=4096).contains(&sector_bytes) || !sector_bytes.is_power_of_two() || !sectors_per_cluster.is_power_of_two() {
            return Err(wrong("its sector or cluster size makes no sense"));
        }
        if u16_at(17) != 0 || u16_at(22) != 0 || boot[82..87] != *b"FAT32" {
            return Err(wrong("it is FAT12 or FAT16, or something else"));
        }
        let (reserved, copies, table_sectors) = (u16_at(14), u64::from(boot[16]), u64::from(u32_at(36)));
        let total = if u16_at(19) != 0 { u16_at(19) } else { u64::from(u32_at(32)) };
        if total * sector_bytes > extent.len() {
            return Err(damaged("boot sector: it is longer than its partition"));
        }
        let data_sector = reserved + copies * table_sectors;
        let clusters = total.checked_sub(data_sector).ok_or_else(|| damaged("boot sector: no room for data"))? / sectors_per_cluster;
        let table_bytes = table_sectors * sector_bytes;
        if copies == 0
            || copies > 2
            || reserved == 0
            || clusters < FAT32_MIN_CLUSTERS
            || table_bytes < (clusters + 2) * 4
            || table_bytes > TABLE_MAX_BYTES
        {
            return Err(damaged("boot sector: its numbers contradict each other"));
        }
        let table_at = |copy: u64| extent.read_vec((reserved + copy * table_sectors) * sector_bytes, table_bytes as usize).map_err(io);
        let first = table_at(0)?;
        if copies == 2
            && let Some(at) = first.iter().zip(table_at(1)?).position(|(one, two)| *one != two)
        {
            return Err(damaged(&format!("the two allocation tables differ at byte {at}")));
        }
        let backup_sector = u16_at(50);
        if (1..reserved).contains(&backup_sector) && extent.read_vec(backup_sector * sector_bytes, 512).map_err(io)? != boot {
            return Err(damaged("the boot sector and its backup differ"));
        }
        let table = first
            .chunks_exact(4)
            .take(clusters as usize + 2)
            .map(|entry| u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]]) & 0x0fff_ffff);
        let (cluster_bytes, data_start) = (sectors_per_cluster * sector_bytes, data_sector * sector_bytes);
        Ok(Self {
            extent: extent.clone(),
            cluster_bytes,
            data_start,
            table: table.collect(),
            root_cluster: u32_at(44),
            volume_id: u32_at(67),
        })
    }

    /// Volume serial number.
    #[must_use]
    pub fn volume_id(&self) -> u32 {
        self.volume_id
    }

    /// Every file and folder, parents before children, in the order of the directories.
    pub fn list(&self) -> Result<Vec<Entry>, FatError> {
        let mut found: Vec<Entry> = Vec::new();
        let mut next = 0;
        let mut pending = vec![(String::new(), self.root_cluster, 0)];
        while let Some((folder, cluster, depth)) = pending.get(next).cloned() {
            next += 1;
            let content = self.chain_bytes(&folder, cluster, u64::MAX)?;
            for mut entry in directory::parse(&content).map_err(|problem| self.damaged(format!("folder /{folder}: {problem}")))? {
                if !folder.is_empty() {
                    entry.path = format!("{folder}/{}", entry.path);
                }
                if entry.is_folder {
                    if depth == DEPTH_MAX {
                        return Err(self.damaged(format!("folder /{}: more than {DEPTH_MAX} levels deep", entry.path)));
                    }
                    pending.push((entry.path.clone(), entry.first_cluster, depth + 1));
                }
                found.push(entry);
                if found.len() > ENTRIES_MAX {
                    return Err(self.damaged(format!("more than {ENTRIES_MAX} files")));
                }
            }
        }
        Ok(found)
    }

    /// The file at `path`, e.g. `EFI/BOOT/BOOTX64.EFI`; names are compared without regard to case, as firmware does.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, FatError> {
        let entry = self.list()?.into_iter().find(|entry| !entry.is_folder && entry.path.eq_ignore_ascii_case(path));
        let entry = entry.ok_or_else(|| FatError::NotFound { object: self.extent.name().to_owned(), path: path.to_owned() })?;
        self.read_entry(&entry)
    }

    /// The content of a file that [`Fat::list`] found.
    pub fn read_entry(&self, entry: &Entry) -> Result<Vec<u8>, FatError> {
        if entry.size > FILE_MAX_BYTES {
            return Err(FatError::TooLarge { object: self.extent.name().to_owned(), path: entry.path.clone(), bytes: entry.size });
        }
        if entry.size == 0 {
            return Ok(Vec::new());
        }
        let mut bytes = self.chain_bytes(&entry.path, entry.first_cluster, entry.size)?;
        if (bytes.len() as u64) < entry.size {
            return Err(self.damaged(format!("/{}: its clusters end before its {} bytes", entry.path, entry.size)));
        }
        bytes.truncate(entry.size as usize);
        Ok(bytes)
    }

    /// The first byte that is not zero in a cluster that no file uses; offset from the start of the file system.
    pub fn first_nonzero_unused(&self) -> Result<Option<u64>, FatError> {
        let io = |source| FatError::Io { object: self.extent.name().to_owned(), source };
        let mut at = self.data_start;
        while let Some(found) = self.extent.first_nonzero(at).map_err(io)? {
            let cluster = ((found - self.data_start) / self.cluster_bytes) as usize + 2;
            if self.table.get(cluster).is_none_or(|next| *next == 0) {
                return Ok(Some(found));
            }
            // Jump over the whole run of used clusters.
            let free = self.table[cluster..].iter().position(|next| *next == 0).map_or(self.table.len(), |run| cluster + run);
            at = self.data_start + (free as u64 - 2) * self.cluster_bytes;
        }
        Ok(None)
    }

    /// The clusters from `first` to the end of the chain, or as many as hold `bytes`.
    fn chain_bytes(&self, path: &str, first: u32, bytes: u64) -> Result<Vec<u8>, FatError> {
        let limit = bytes.div_ceil(self.cluster_bytes).min(self.table.len() as u64) as usize;
        let mut chain = Vec::new();
        let mut cluster = first;
        while cluster < END_OF_CHAIN && chain.len() < limit {
            let next = self.table.get(cluster as usize).filter(|_| cluster >= 2);
            let next = *next.ok_or_else(|| self.damaged(format!("/{path}: cluster {cluster} does not exist")))?;
            chain.push(cluster);
            // Directories have no size to stop at: a chain that is longer than a folder may be is a loop.
            if bytes == u64::MAX && chain.len() as u64 * self.cluster_bytes > directory::BYTES_MAX {
                return Err(self.damaged(format!("/{path}: its chain of clusters does not end")));
            }
            cluster = next;
        }
        let mut content = vec![0; chain.len() * self.cluster_bytes as usize];
        let mut rest = &mut content[..];
        for run in chain.chunk_by(|one, two| one.checked_add(1) == Some(*two)) {
            let (now, later) = rest.split_at_mut(run.len() * self.cluster_bytes as usize);
            let offset = self.data_start + u64::from(run[0] - 2) * self.cluster_bytes;
            self.extent.read_at(offset, now).map_err(|source| FatError::Io { object: self.extent.name().to_owned(), source })?;
            rest = later;
        }
        Ok(content)
    }

    fn damaged(&self, problem: String) -> FatError {
        FatError::Damaged { object: self.extent.name().to_owned(), problem }
    }
}

#[cfg(test)]
mod tests;
