use std::path::PathBuf;

use uuid::Uuid;

use super::*;
use crate::cmd::{Cmd, CmdError};
use crate::test_support::skip;

/// A folder with `data`, and `tree` made of it.
struct Made {
    dir: tempfile::TempDir,
    root: RootHash,
}

impl Made {
    fn new(blocks: u64, salt: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data: Vec<u8> = (0..blocks * BLOCK_BYTES).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
        std::fs::write(dir.path().join("data"), data).unwrap();
        let root = format(&dir.path().join("data"), &dir.path().join("tree"), salt, Uuid::from_u128(5)).unwrap();
        Self { dir, root }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

#[test]
fn veritysetup_makes_the_same_tree_and_accepts_ours() {
    for blocks in [1, 2, 128, 129, 5000] {
        for salt in [&b""[..], &[0xab; 32]] {
            let made = Made::new(blocks, salt);
            let path = |name: &str| made.path(name).display().to_string();
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
