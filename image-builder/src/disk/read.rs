//! Opens a disk image: partition table and the byte range of each partition.

use std::fs::File;
use std::io;
use std::path::Path;

use uuid::Uuid;

use super::layout::{Attributes, SECTOR_BYTES};
use crate::extent::Extent;

/// Bytes of the entry array of a table with 128 entries.
const ENTRIES_BYTES: u64 = 128 * ENTRY_BYTES;
const ENTRY_BYTES: u64 = 128;
/// Offsets in a GPT header (UEFI specification, 5.3.2).
const AT_ENTRIES_LBA: usize = 72;
const AT_ENTRY_COUNT: usize = 80;
const AT_ENTRY_BYTES: usize = 84;
const AT_ENTRIES_CRC: usize = 88;

/// Why a file is not a disk that we can look into.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// The file could not be read.
    #[error("reading {image}: {source}")]
    Io {
        /// The image.
        image: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// There is no partition table.
    #[error("{image} is not a disk image with a GPT partition table{hint}")]
    NotGpt {
        /// The image.
        image: String,
        /// What it seems to be instead.
        hint: &'static str,
    },
    /// Only one of the two tables is left, or neither is whole.
    #[error("{image}: the {copy} partition table is damaged: {problem}")]
    Table {
        /// The image.
        image: String,
        /// `primary` or `backup`.
        copy: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A partition lies outside of the file.
    #[error("{image} is truncated: partition {label} ends at byte {end}, the file at byte {len}")]
    Truncated {
        /// The image.
        image: String,
        /// The partition's label.
        label: String,
        /// First byte behind the partition.
        end: u64,
        /// Length of the file, in bytes.
        len: u64,
    },
    /// No partition has that label.
    #[error("{image} has no partition labelled {label}")]
    NoPartition {
        /// The image.
        image: String,
        /// The label.
        label: String,
    },
}

/// One partition of an open image.
#[derive(Debug, Clone)]
pub struct DiskPartition {
    /// Number, from 1.
    pub number: u32,
    /// Label.
    pub label: String,
    /// Type GUID.
    pub kind: Uuid,
    /// The partition's own GUID.
    pub guid: Uuid,
    /// Attribute bits.
    pub attributes: Attributes,
    /// Its bytes.
    pub extent: Extent,
}

/// An open disk image.
#[derive(Debug)]
pub struct Disk {
    /// All of its bytes.
    pub extent: Extent,
    /// The disk's GUID.
    pub guid: Uuid,
    /// The partitions, by number.
    pub partitions: Vec<DiskPartition>,
}

impl Disk {
    /// Opens the raw image at `path`, or a disk. Both tables must be whole and agree with each other.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let image = path.display().to_string();
        let io = |source| DiskError::Io { image: image.clone(), source };
        let extent = Extent::open(path).map_err(io)?;
        let tables = raw_tables(&extent)?;
        agree(&image, &tables)?;
        let file = File::open(path).map_err(io)?;
        let config = gpt::GptConfig::new().logical_block_size(gpt::disk::LogicalBlockSize::Lb512).only_valid_headers(true);
        let table = config.open_from_device(file);
        let table = table.map_err(|error| DiskError::Table { image: image.clone(), copy: "primary", problem: error.to_string() })?;
        let mut partitions = Vec::new();
        for (number, entry) in table.partitions() {
            let start = entry.first_lba.saturating_mul(SECTOR_BYTES);
            let end = entry.last_lba.saturating_add(1).saturating_mul(SECTOR_BYTES);
            let (len, label) = (end.saturating_sub(start), entry.name.clone());
            let bytes = extent.slice(&label, start, len).map_err(|_| DiskError::Truncated {
                image: image.clone(),
                label: label.clone(),
                end,
                len: extent.len(),
            })?;
            let (kind, guid, attributes) = (entry.part_type_guid.guid, entry.part_guid, Attributes(entry.flags));
            partitions.push(DiskPartition { number: *number, label, kind, guid, attributes, extent: bytes });
        }
        Ok(Self { guid: *table.guid(), extent, partitions })
    }

    /// The partition labelled `label`.
    pub fn partition(&self, label: &str) -> Result<&DiskPartition, DiskError> {
        let found = self.partitions.iter().find(|partition| partition.label == label);
        found.ok_or_else(|| DiskError::NoPartition { image: self.extent.name().to_owned(), label: label.to_owned() })
    }
}

/// One copy of the table: header sector and entry array as they are on disk.
struct RawTable {
    copy: &'static str,
    header: Vec<u8>,
    entries: Vec<u8>,
}

fn raw_tables(extent: &Extent) -> Result<[RawTable; 2], DiskError> {
    let image = extent.name().to_owned();
    let read = |offset, len| extent.read_vec(offset, len).map_err(|source| DiskError::Io { image: image.clone(), source });
    if extent.len() < 68 * SECTOR_BYTES {
        return Err(DiskError::NotGpt { image, hint: ": it is too small" });
    }
    let primary = read(SECTOR_BYTES, SECTOR_BYTES as usize)?;
    // A sector-sized file length is part of what makes the backup findable.
    let last = extent.len() / SECTOR_BYTES - 1;
    let backup = read(last * SECTOR_BYTES, SECTOR_BYTES as usize)?;
    if !primary.starts_with(b"EFI PART") && !backup.starts_with(b"EFI PART") {
        let hint = looks_like(&read(0, 8)?);
        return Err(DiskError::NotGpt { image: image.clone(), hint });
    }
    let table = |copy, header: Vec<u8>| {
        let wrong = |problem: String| DiskError::Table { image: image.clone(), copy, problem };
        if !header.starts_with(b"EFI PART") {
            let hint =
                if copy == "backup" { "it is not at the end of the image, which was cut or enlarged" } else { "its signature is missing" };
            return Err(wrong(hint.into()));
        }
        let field = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes"));
        if (u64::from(field(AT_ENTRY_COUNT)), u64::from(field(AT_ENTRY_BYTES))) != (ENTRIES_BYTES / ENTRY_BYTES, ENTRY_BYTES) {
            return Err(wrong(format!("it has {} entries of {} bytes, not 128 of 128", field(AT_ENTRY_COUNT), field(AT_ENTRY_BYTES))));
        }
        let lba = u64::from_le_bytes(header[AT_ENTRIES_LBA..AT_ENTRIES_LBA + 8].try_into().expect("eight bytes"));
        let entries = extent.read_vec(lba.saturating_mul(SECTOR_BYTES), ENTRIES_BYTES as usize);
        let entries = entries.map_err(|_| wrong(format!("its entries at sector {lba} are outside of the image")))?;
        if crc32(&entries) != field(AT_ENTRIES_CRC) {
            return Err(wrong("the checksum of its entries is wrong".into()));
        }
        let mut blank = header[..92].to_vec();
        blank[16..20].fill(0);
        if crc32(&blank) != field(16) || field(12) != 92 {
            return Err(wrong("the checksum of its header is wrong".into()));
        }
        Ok(RawTable { copy, header, entries })
    };
    Ok([table("primary", primary)?, table("backup", backup)?])
}

fn agree(image: &str, [primary, backup]: &[RawTable; 2]) -> Result<(), DiskError> {
    // Positions differ by design: own sector, the other's sector, entries, and the checksum over them.
    let common = |table: &RawTable| [&table.header[..16], &table.header[40..72], &table.header[80..92]].concat();
    if common(primary) == common(backup) && primary.entries == backup.entries {
        return Ok(());
    }
    Err(DiskError::Table { image: image.to_owned(), copy: backup.copy, problem: "it differs from the primary one".into() })
}

fn looks_like(head: &[u8]) -> &'static str {
    match head {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ": it is compressed with zstd; unpack it first with `unzstd`",
        [0x1f, 0x8b, ..] => ": it is compressed with gzip; unpack it first with `gunzip`",
        [0xfd, b'7', b'z', ..] => ": it is compressed with xz; unpack it first with `unxz`",
        [b'Q', b'F', b'I', 0xfb, ..] => ": it is a qcow2 image; convert it first with `qemu-img convert -O raw`",
        _ => "",
    }
}

/// CRC-32 as GPT uses it (IEEE 802.3, reflected).
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()));
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::path::PathBuf;

    use super::*;
    use crate::disk::layout::{self, PARTITIONS};

    struct Image(tempfile::TempDir);

    impl Image {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let part = dir.path().join("part");
            std::fs::write(&part, [7; 4096]).unwrap();
            let parts = crate::disk::Parts { esp: &part, root: &part, verity: &part, oem: None, state: None };
            crate::disk::image::write(&parts, "1.0.0", &dir.path().join("disk"), None).unwrap();
            Self(dir)
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("disk")
        }

        fn patch(&self, at: u64, bytes: &[u8]) -> &Self {
            File::options().write(true).open(self.path()).unwrap().write_all_at(bytes, at).unwrap();
            self
        }

        fn resize(&self, len: u64) -> &Self {
            File::options().write(true).open(self.path()).unwrap().set_len(len).unwrap();
            self
        }

        fn error(&self) -> String {
            Disk::open(&self.path()).unwrap_err().to_string().replace(&self.path().display().to_string(), "disk")
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let image = Image::new();
        let disk = Disk::open(&image.path()).unwrap();
        assert_eq!(disk.guid, layout::disk_guid("1.0.0"));
        assert_eq!(disk.partitions.len(), PARTITIONS.len());
        for (partition, spec) in disk.partitions.iter().zip(PARTITIONS) {
            let facts = (partition.number, partition.label.as_str(), partition.kind, partition.guid, partition.attributes);
            assert_eq!(facts, (spec.number, spec.label, spec.kind, spec.guid("1.0.0"), spec.attributes));
            assert_eq!((partition.extent.offset(), partition.extent.len()), (spec.start_bytes(), spec.size_bytes));
        }
        let root = disk.partition("root-a").unwrap();
        assert_eq!(root.extent.read_vec(4094, 4).unwrap(), [7, 7, 0, 0]);
        assert!(disk.partition("root-c").unwrap_err().to_string().ends_with("has no partition labelled root-c"));
    }

    #[test]
    fn damage_is_named() {
        let end = layout::image_bytes();
        let table: &[(u64, &[u8], &str)] = &[
            (512, b"X", "disk: the primary partition table is damaged: its signature is missing"),
            (512 + 16, b"\xff\xff", "disk: the primary partition table is damaged: the checksum of its header is wrong"),
            (512 + 80, &[0xff; 4], "disk: the primary partition table is damaged: it has 4294967295 entries of 128 bytes, not 128 of 128"),
            (512 + 84, &[0, 1], "disk: the primary partition table is damaged: it has 128 entries of 256 bytes, not 128 of 128"),
            (
                512 + 72,
                &[0xff; 8],
                "disk: the primary partition table is damaged: its entries at sector 18446744073709551615 are outside of the image",
            ),
            (1024 + 128, &[0], "disk: the primary partition table is damaged: the checksum of its entries is wrong"),
            (end - 512, b"X", "disk: the backup partition table is damaged: it is not at the end of the image, which was cut or enlarged"),
            (end - 512 + 56, b"X", "disk: the backup partition table is damaged: the checksum of its header is wrong"),
            (end - 33 * 512, b"X", "disk: the backup partition table is damaged: the checksum of its entries is wrong"),
        ];
        for (at, bytes, expected) in table {
            assert_eq!(Image::new().patch(*at, bytes).error(), *expected);
        }
    }

    #[test]
    fn other_files_are_refused_with_a_hint() {
        let image = Image::new();
        let table: &[(&[u8], &str)] = &[
            (b"", "disk is not a disk image with a GPT partition table: it is too small"),
            (&[0; 65536], "disk is not a disk image with a GPT partition table"),
            (
                b"\x28\xb5\x2f\xfd",
                "disk is not a disk image with a GPT partition table: it is compressed with zstd; unpack it first with `unzstd`",
            ),
            (
                b"QFI\xfb",
                "disk is not a disk image with a GPT partition table: it is a qcow2 image; convert it first with `qemu-img convert -O raw`",
            ),
        ];
        for (head, expected) in table {
            let mut content = head.to_vec();
            content.resize(if head.is_empty() { 0 } else { 65536 }, 0);
            std::fs::write(image.path(), content).unwrap();
            assert_eq!(image.error(), *expected);
        }
        assert!(Disk::open(Path::new("/nonexistent")).unwrap_err().to_string().starts_with("reading /nonexistent: "));
    }

    #[test]
    fn a_cut_or_enlarged_image_is_noticed() {
        for len in [layout::image_bytes() - 512, layout::image_bytes() + 4096, 1 << 20] {
            assert!(Image::new().resize(len).error().contains("which was cut or enlarged"), "{len}");
        }
    }

    #[test]
    fn crc_matches_the_standards_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
