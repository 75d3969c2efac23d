use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use super::*;

/// Smallest state partition, in bytes: mke2fs gives it blocks of 1 KiB; and one with blocks of 4 KiB.
const SIZES: [u64; 2] = [256 << 20, 1 << 30];

/// Runs a program of e2fsprogs; `None` where it is not installed, as on a machine that only compiles.
#[expect(clippy::disallowed_methods, reason = "a test of one program is no place for the builder's library")]
fn run(program: &str, arguments: &[&str], file: &Path) -> Option<(i32, String)> {
    let output = std::process::Command::new(program).args(arguments).arg(file).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output();
    let output = output.ok()?;
    let words = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    Some((output.status.code().unwrap_or(-1), words))
}

struct Partition {
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Partition {
    fn new(bytes: u64) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        File::create(&path).unwrap().set_len(bytes).unwrap();
        let (status, words) = run("mke2fs", &["-q", "-t", "ext4"], &path)?;
        assert_eq!(status, 0, "{words}");
        // As if it had been mounted.
        let (status, words) = run("debugfs", &["-w", "-R", "set_super_value mtime 20261202"], &path)?;
        assert_eq!(status, 0, "{words}");
        Some(Self { path, _folder: folder })
    }

    fn open(&self) -> File {
        OpenOptions::new().read(true).write(true).open(&self.path).unwrap()
    }

    fn superblock(&self) -> [u8; BYTES] {
        Superblock::read(&self.open(), AT, "reading").unwrap().0
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.open().write_all_at(bytes, at).unwrap();
    }
}

/// A file system, and its superblock before and after a change that reaches both sectors.
fn changed(bytes: u64) -> Option<(Partition, [u8; BYTES], [u8; BYTES])> {
    let partition = Partition::new(bytes)?;
    let before = partition.superblock();
    let (status, words) = run("tune2fs", &["-C", "7", "-E", "mount_opts=noatime"], &partition.path)?;
    assert_eq!(status, 0, "{words}");
    let after = partition.superblock();
    assert!(before[..SECTOR_BYTES] != after[..SECTOR_BYTES] && before[SECTOR_BYTES..] != after[SECTOR_BYTES..]);
    Some((partition, before, after))
}

#[test]
fn either_half_of_a_torn_write_is_mended_and_the_file_system_is_whole() {
    for bytes in SIZES {
        let Some((partition, before, after)) = changed(bytes) else { return };
        for (first, second) in [(before, after), (after, before)] {
            partition.put(AT, &[&first[..SECTOR_BYTES], &second[SECTOR_BYTES..]].concat());
            let (status, words) = run("e2fsck", &["-n", "-f"], &partition.path).unwrap();
            assert!(status != 0 && words.contains("uperblock"), "torn, and e2fsck does not mind: {words}");
            assert_eq!(mend(&partition.open()).unwrap(), Found::Mended);
            let (status, words) = run("e2fsck", &["-n", "-f"], &partition.path).unwrap();
            assert_eq!(status, 0, "{words}");
            let mended = partition.superblock();
            assert_eq!(mended[..SECTOR_BYTES], first[..SECTOR_BYTES], "the first sector stays as it is");
            assert_eq!(mend(&partition.open()).unwrap(), Found::Whole, "once is enough");
        }
    }
}

#[test]
fn what_is_whole_or_empty_is_left_alone() {
    let Some(partition) = Partition::new(SIZES[0]) else { return };
    let whole = partition.superblock();
    assert_eq!(mend(&partition.open()).unwrap(), Found::Whole);
    assert_eq!(partition.superblock(), whole);
    for garbage in [[0; BYTES], [0xff; BYTES], [0x53; BYTES]] {
        partition.put(AT, &garbage);
        assert_eq!(mend(&partition.open()).unwrap(), Found::Nothing);
        assert_eq!(partition.superblock(), garbage);
    }
    // Made, and never mounted: the power failed meanwhile, and there is no copy yet.
    let mut unfinished = whole;
    unfinished[MOUNT_TIME_AT..MOUNT_TIME_AT + 4].fill(0);
    partition.put(AT, &unfinished);
    assert_eq!(mend(&partition.open()).unwrap(), Found::Nothing);
    assert_eq!(partition.superblock(), unfinished);
    let (status, words) = run("mke2fs", &["-q", "-t", "ext4", "-O", "^metadata_csum"], &partition.path).unwrap();
    assert_eq!(status, 0, "{words}");
    partition.put(AT + CHECKSUM_AT as u64, &[1, 2, 3, 4]);
    assert_eq!(mend(&partition.open()).unwrap(), Found::Whole, "without checksums there is none to mend");
}

#[test]
fn more_than_a_power_cut_is_refused_and_nothing_is_written() {
    let field = |at: usize, bytes: &[u8]| (at as u64, bytes.to_vec());
    let table = [
        (field(UUID_AT, &[9; UUID_BYTES]), "the UUID"),
        (field(LOG_BLOCK_SIZE_AT, &[7, 0, 0, 0]), "the size of a block"),
        (field(INODES_PER_GROUP_AT, &[1, 1, 1, 1]), "the number of inodes in a group"),
        // Leads to a place where there is no copy.
        (field(BLOCKS_PER_GROUP_AT, &[0, 16, 0, 0]), "the magic number"),
    ];
    for ((at, bytes), expected) in table {
        let Some(partition) = Partition::new(SIZES[0]) else { return };
        partition.put(AT + at, &bytes);
        let before = partition.superblock();
        let refusal = mend(&partition.open()).unwrap_err();
        assert!(matches!(refusal, Refusal::Strange { what } if what == expected), "{expected}: {refusal}");
        assert_eq!(partition.superblock(), before, "{expected}");
    }
    let Some(partition) = Partition::new(SIZES[0]) else { return };
    partition.put(AT + BLOCKS_PER_GROUP_AT as u64, &[0xff; 4]);
    assert!(matches!(mend(&partition.open()).unwrap_err(), Refusal::Disk { .. }), "the copy would be behind the end");
    partition.open().set_len(AT + 100).unwrap();
    assert!(matches!(mend(&partition.open()).unwrap_err(), Refusal::Disk { .. }), "too short for a superblock");
}

#[test]
fn a_disk_that_cannot_be_written_is_told() {
    let Some((partition, before, after)) = changed(SIZES[0]) else { return };
    partition.put(AT, &[&before[..SECTOR_BYTES], &after[SECTOR_BYTES..]].concat());
    let refusal = mend(&File::open(&partition.path).unwrap()).unwrap_err();
    assert!(refusal.to_string().starts_with("writing the superblock's checksum"), "{refusal}");
}
