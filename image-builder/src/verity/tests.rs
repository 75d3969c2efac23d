use std::time::Instant;

use super::*;
use crate::cmd::{Cmd, CmdError};
use crate::test_support::skip;

struct Made {
    dir: tempfile::TempDir,
    root: RootHash,
}

impl Made {
    fn new(blocks: u64, salt: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut data = vec![0; (blocks * BLOCK_BYTES) as usize];
        // A xorshift stream: cheap, and no two blocks are alike.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ blocks;
        for word in data.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        std::fs::write(dir.path().join("data"), data).unwrap();
        let root = format(&dir.path().join("data"), &dir.path().join("tree"), salt, Uuid::from_u128(5)).unwrap();
        Self { dir, root }
    }

    fn verify(&self) -> Result<Superblock> {
        let open = |name: &str| Extent::open(&self.dir.path().join(name)).unwrap().slice(name, 0, self.len(name)).unwrap();
        verify(&open("data"), &open("tree"), &self.root)
    }

    fn len(&self, name: &str) -> u64 {
        std::fs::metadata(self.dir.path().join(name)).unwrap().len()
    }

    fn flip(&self, name: &str, at: u64) {
        let file = File::options().read(true).write(true).open(self.dir.path().join(name)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        byte[0] ^= 1;
        file.write_all_at(&byte, at).unwrap();
    }
}

#[test]
fn veritysetup_makes_the_same_tree_and_accepts_ours() {
    for blocks in [1, 2, 128, 129, 5000] {
        for salt in [&b""[..], &[0xab; 32]] {
            let made = Made::new(blocks, salt);
            let path = |name: &str| made.dir.path().join(name).display().to_string();
            let hex_salt = if salt.is_empty() { "-".to_owned() } else { hex::encode(salt) };
            let format = Cmd::new("veritysetup").args([
                "format",
                &format!("--salt={hex_salt}"),
                &format!("--uuid={}", Uuid::from_u128(5)),
                &path("data"),
                &path("theirs"),
            ]);
            match format.text() {
                Err(error @ CmdError::Missing { .. }) => return skip(&error.to_string()),
                Err(error) => panic!("{error}"),
                Ok(text) => assert!(text.contains(&made.root.to_string()), "{blocks} blocks:\n{text}"),
            }
            let same = std::fs::read(path("tree")).unwrap() == std::fs::read(path("theirs")).unwrap();
            assert!(same, "the trees of {blocks} blocks differ");
            Cmd::new("veritysetup").args(["verify", &path("data"), &path("tree"), &made.root.to_string()]).run().unwrap();
        }
    }
}

#[test]
fn a_sound_tree_is_accepted() {
    for blocks in [1, 2, 128, 129, 5000, 128 * 128 + 1] {
        let superblock = Made::new(blocks, b"pepper").verify().unwrap();
        assert_eq!((superblock.data_blocks, &superblock.salt[..]), (blocks, &b"pepper"[..]));
    }
}

#[test]
fn the_first_wrong_block_is_named() {
    // 5000 data blocks: block 0 superblock, block 1 top, blocks 2 to 41 level 0.
    let table: &[(&str, &[u64], &str)] = &[
        ("data", &[0], "data: data block 0 (byte 0) does not match the verity tree"),
        ("data", &[4999 * 4096 + 4095], "data: data block 4999 (byte 20475904) does not match the verity tree"),
        ("data", &[4_000 * 4096, 1_030 * 4096, 1_025 * 4096], "data: data block 1025 (byte 4198400) does not match the verity tree"),
        ("tree", &[4096], "tree: tree block 1 (byte 4096) does not match its root hash"),
        ("tree", &[8191], "tree: tree block 1 (byte 4096) does not match its root hash"),
        ("tree", &[8192], "tree: tree block 2 (byte 8192) does not match its parent"),
        ("tree", &[41 * 4096 + 4095], "tree: tree block 41 (byte 167936) does not match its parent"),
        ("tree", &[0], "tree: superblock (first 4096 bytes): it does not begin with `verity`"),
        ("tree", &[75], "tree: superblock (first 4096 bytes): 16782216 data blocks are more than data holds"),
        ("tree", &[3000], "tree: superblock (first 4096 bytes): unused byte 3000 is not zero"),
    ];
    for (name, offsets, expected) in table {
        let made = Made::new(5000, b"s");
        offsets.iter().for_each(|at| made.flip(name, *at));
        assert_eq!(made.verify().unwrap_err().to_string(), *expected);
        offsets.iter().for_each(|at| made.flip(name, *at));
        made.verify().unwrap();
    }
}

#[test]
fn another_root_hash_is_refused() {
    let mut made = Made::new(3, b"");
    made.root.0[31] ^= 1;
    assert!(matches!(made.verify(), Err(VerityError::TreeBlock { block: 1, .. })));
    let mut made = Made::new(1, b"");
    made.root.0[0] ^= 1;
    // One block has no tree: the block itself carries the blame.
    assert!(matches!(made.verify(), Err(VerityError::DataBlock { block: 0, .. })));
}

#[test]
fn partitions_may_be_longer_than_what_they_hold() {
    let made = Made::new(300, b"x");
    let disk = made.dir.path().join("disk");
    let mut bytes = vec![0xee; 12288];
    bytes.extend(std::fs::read(made.dir.path().join("data")).unwrap());
    bytes.resize(4 << 20, 0xdd);
    bytes.extend(std::fs::read(made.dir.path().join("tree")).unwrap());
    bytes.resize(5 << 20, 0xcc);
    std::fs::write(&disk, bytes).unwrap();
    let disk = Extent::open(&disk).unwrap();
    let data = disk.slice("root-a", 12288, (4 << 20) - 12288).unwrap();
    let tree = disk.slice("root-a-verity", 4 << 20, 1 << 20).unwrap();
    verify(&data, &tree, &made.root).unwrap();
    assert!(verify(&data.slice("short", 0, 299 * 4096).unwrap(), &tree, &made.root).is_err());
}

#[test]
fn data_without_whole_blocks_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for bytes in [0, 1, 4095, 4097] {
        std::fs::write(dir.path().join("data"), vec![0; bytes]).unwrap();
        let result = format(&dir.path().join("data"), &dir.path().join("tree"), b"", Uuid::nil());
        assert!(matches!(result, Err(VerityError::Size { .. })), "{bytes}");
    }
    assert!(
        format(&dir.path().join("absent"), &dir.path().join("tree"), b"", Uuid::nil()).unwrap_err().to_string().starts_with("opening ")
    );
}

#[test]
fn a_gigabyte_takes_seconds() {
    // Not a benchmark: a guard against an accidental quadratic or unoptimised path (debug builds included).
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    File::create(&data).unwrap().set_len(256 << 20).unwrap();
    let begun = Instant::now();
    format(&data, &dir.path().join("tree"), &[7; 32], Uuid::nil()).unwrap();
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
}
