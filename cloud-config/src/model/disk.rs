//! Data disks: partitions, file systems, mounts, swap. The system's own disk is not for these.

use super::Located;
use super::section::section;
use super::value::{AbsolutePath, ListedText, PartitionShare, PartitionTable, SwapSize};

section! {
    /// The partition table of one data disk.
    pub struct DiskSetup {
        /// Kind of the table; `gpt` if missing.
        table_type: Option<Located<PartitionTable>>,
        /// Partitions in order, each a share of the disk in percent; `true` for one over the whole disk.
        layout: Vec<Located<PartitionShare>>,
        /// Replaces a table that is there; without it a disk with anything on it is left alone.
        overwrite: Option<Located<bool>>,
    }
}

section! {
    /// One file system.
    pub struct FileSystem {
        /// The disk or partition.
        device: Located<AbsolutePath>,
        /// Kind of file system, such as `ext4`.
        filesystem: Located<String> | "type" | "format",
        /// Label.
        label: Option<Located<String>>,
        /// Number of the partition on `device`; `none` or missing for the device itself.
        partition: Option<Located<String>>,
        /// Replaces a file system that is there; without it the device is left alone.
        overwrite: Option<Located<bool>>,
        /// Further arguments for mkfs.
        extra_opts: Vec<Located<String>>,
    }
}

section! {
    /// One mount. A list of device, path, type, options says the same, as in fstab.
    pub struct Mount {
        /// Device, `LABEL=...`, `UUID=...` or a remote such as `server:/export`.
        device: Located<String> | "what",
        /// Where it is mounted.
        path: Located<AbsolutePath> | "where" | "mountpoint",
        /// Kind of file system; `auto` if missing.
        filesystem: Option<Located<String>> | "type",
        /// Options, comma separated.
        options: Vec<Located<ListedText>>,
    }
    merged by path;
    shorthand "a list of device, path, type and options as in fstab";
}

section! {
    /// A swap file.
    pub struct Swap {
        /// The file; `/var/swapfile` if missing.
        filename: Option<Located<AbsolutePath>>,
        /// Size, such as `2G`; `auto` for one that fits the memory.
        size: Option<Located<SwapSize>>,
        /// Upper limit of an automatic size.
        maxsize: Option<Located<SwapSize>>,
    }
}
