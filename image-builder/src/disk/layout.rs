//! The partition table of every Slipway disk.
//!
//! Updates never write it, so its sizes hold for the life of a machine. GUIDs are derived from version and name, so that the same
//! version makes the same bytes. Types are those of the Discoverable Partitions Specification (UAPI Group); labels name the slots.

use uuid::{Uuid, uuid};

/// Logical block, in bytes.
pub const SECTOR_BYTES: u64 = 512;
/// Partitions begin and end on multiples of this, in bytes; the first mebibyte holds the primary table, the last one the backup.
pub const ALIGNMENT_BYTES: u64 = 1 << 20;
/// Smallest state partition, in bytes: what an image carries; the first boot grows it to the end of the disk.
pub const STATE_MIN_BYTES: u64 = 256 << 20;
/// Size of the EFI system partition, in bytes.
pub const ESP_BYTES: u64 = 1 << 30;
/// Size of a slot's root partition, in bytes.
pub const ROOT_BYTES: u64 = 2 << 30;
/// Size of a slot's hash tree partition, in bytes.
pub const VERITY_BYTES: u64 = 64 << 20;
/// Size of the OEM partition, in bytes.
pub const OEM_BYTES: u64 = 128 << 20;

/// EFI system partition.
pub const TYPE_ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// Root file system, x86-64.
pub const TYPE_ROOT: Uuid = uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
/// Hash tree of a root file system, x86-64.
pub const TYPE_ROOT_VERITY: Uuid = uuid!("2c7357ed-ebd2-46d9-aec1-23d437ec2bf5");
/// Generic Linux data.
pub const TYPE_LINUX_DATA: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");

/// Namespace of all identifiers that are derived from a version.
const NAMESPACE: Uuid = uuid!("7be0a4ac-5b8f-5d0c-9c1b-3f1f6d1c0a5e");

/// Attribute bits of a partition as the Discoverable Partitions Specification defines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(pub u64);

impl Attributes {
    /// No bit set.
    pub const NONE: Self = Self(0);
    /// Grow the file system to the partition's size when it is mounted.
    pub const GROW_FILE_SYSTEM: Self = Self(1 << 59);
    /// Mount read-only.
    pub const READ_ONLY: Self = Self(1 << 60);
    /// Leave alone in automatic discovery. A new slot B is empty, so tools that look at images must not pick it.
    pub const NO_AUTO: Self = Self(1 << 63);

    /// The bits of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionSpec {
    /// Number, from 1.
    pub number: u32,
    /// Label; hosts find their partitions by it.
    pub label: &'static str,
    /// Type GUID.
    pub kind: Uuid,
    /// Size in bytes; for the last one the size in an image.
    pub size_bytes: u64,
    /// Attribute bits.
    pub attributes: Attributes,
}

const fn row(number: u32, label: &'static str, kind: Uuid, size_bytes: u64, attributes: Attributes) -> PartitionSpec {
    PartitionSpec { number, label, kind, size_bytes, attributes }
}

const SLOT_A: Attributes = Attributes::READ_ONLY;
const SLOT_B: Attributes = Attributes::READ_ONLY.and(Attributes::NO_AUTO);

/// The whole table, without gaps.
pub const PARTITIONS: [PartitionSpec; 7] = [
    row(1, "esp", TYPE_ESP, ESP_BYTES, Attributes::NONE),
    row(2, "root-a", TYPE_ROOT, ROOT_BYTES, SLOT_A),
    row(3, "root-a-verity", TYPE_ROOT_VERITY, VERITY_BYTES, SLOT_A),
    row(4, "root-b", TYPE_ROOT, ROOT_BYTES, SLOT_B),
    row(5, "root-b-verity", TYPE_ROOT_VERITY, VERITY_BYTES, SLOT_B),
    row(6, "oem", TYPE_LINUX_DATA, OEM_BYTES, Attributes::NONE),
    row(7, "state", TYPE_LINUX_DATA, STATE_MIN_BYTES, Attributes::GROW_FILE_SYSTEM),
];

impl PartitionSpec {
    /// The row labelled `label`.
    #[must_use]
    pub fn named(label: &str) -> Option<&'static Self> {
        PARTITIONS.iter().find(|spec| spec.label == label)
    }

    /// Where the partition begins on every disk, in bytes.
    #[must_use]
    pub fn start_bytes(&self) -> u64 {
        let before = PARTITIONS.iter().take_while(|spec| spec.number < self.number);
        ALIGNMENT_BYTES + before.map(|spec| spec.size_bytes).sum::<u64>()
    }

    /// The partition's GUID in an image of `version`.
    #[must_use]
    pub fn guid(&self, version: &str) -> Uuid {
        derived(version, self.label)
    }
}

/// Length of a raw image, in bytes.
#[must_use]
pub fn image_bytes() -> u64 {
    let partitions: u64 = PARTITIONS.iter().map(|spec| spec.size_bytes).sum();
    partitions + 2 * ALIGNMENT_BYTES
}

/// The disk's GUID in an image of `version`.
#[must_use]
pub fn disk_guid(version: &str) -> Uuid {
    derived(version, "disk")
}

/// An identifier that is the same for the same `version` and `name` (UUIDv5), for partitions, file systems and hash trees.
#[must_use]
pub fn derived(version: &str, name: &str) -> Uuid {
    // Neither part can hold a NUL, so no two pairs meet.
    Uuid::new_v5(&NAMESPACE, format!("{version}\0{name}").as_bytes())
}

/// The UUID of the root's EROFS in an image of `version`.
#[must_use]
pub fn erofs_uuid(version: &str) -> Uuid {
    derived(version, "root-erofs")
}

/// The UUID of the root's hash tree in an image of `version`.
#[must_use]
pub fn verity_uuid(version: &str) -> Uuid {
    derived(version, "root-verity")
}

/// The salt of the hash tree of `version`: public, and different for every version.
#[must_use]
pub fn verity_salt(version: &str) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(format!("slipway verity salt\0{version}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_gapless_and_aligned() {
        let mut next = ALIGNMENT_BYTES;
        for (index, spec) in PARTITIONS.iter().enumerate() {
            assert_eq!((spec.number, spec.start_bytes()), (index as u32 + 1, next), "{}", spec.label);
            assert!(spec.size_bytes > 0 && spec.size_bytes.is_multiple_of(ALIGNMENT_BYTES), "{}", spec.label);
            next += spec.size_bytes;
        }
        assert_eq!(image_bytes(), next + ALIGNMENT_BYTES);
        assert_eq!(PARTITIONS[6].label, "state", "only the last partition can grow");
    }

    #[test]
    fn slots_are_alike_and_large_enough() {
        for (a, b) in [(1, 3), (2, 4)] {
            let (a, b) = (PARTITIONS[a], PARTITIONS[b]);
            assert_eq!((a.kind, a.size_bytes), (b.kind, b.size_bytes));
            assert_eq!(a.label.replace("root-a", "root-b"), b.label);
        }
        assert!(crate::verity::tree_bytes(ROOT_BYTES) <= VERITY_BYTES, "a full root's tree fits");
    }

    #[test]
    fn identifiers_follow_version_and_name() {
        let spec = PARTITIONS[1];
        assert_eq!(spec.guid("1.0.0"), spec.guid("1.0.0"));
        let mut all: Vec<_> = PARTITIONS.iter().flat_map(|spec| [spec.guid("1.0.0"), spec.guid("1.0.1")]).collect();
        all.extend([disk_guid("1.0.0"), disk_guid("1.0.1")]);
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        // These are on disks in the field: a change of the derivation is a change of the format.
        insta::assert_snapshot!(spec.guid("1.0.0"), @"3915ebf7-ecab-5b36-8956-e6dab71dfeec");
    }

    #[test]
    fn only_the_tables_labels_have_rows() {
        assert_eq!(PartitionSpec::named("root-b").map(|spec| spec.number), Some(4));
        assert_eq!(PartitionSpec::named("root-c"), None);
    }
}
