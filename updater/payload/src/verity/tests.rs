use std::time::Instant;

use proptest::prelude::*;

use super::*;

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
        verify(&self.open("data"), &self.open("tree"), &self.root)
    }

    fn open(&self, name: &str) -> FileBlocks {
        let mut file = FileBlocks::open(&self.dir.path().join(name)).unwrap();
        file.name = name.into();
        file
    }

    /// The same check, over streams.
    fn check(&self) -> Result<Superblock> {
        let file = |name: &str| File::open(self.dir.path().join(name)).unwrap();
        let sizes = TreeSizes { data_bytes: self.open("data").len(), tree_bytes: self.open("tree").len() };
        check(file("data"), file("tree"), sizes, &self.root)
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
fn a_sound_tree_is_accepted() {
    for blocks in [1, 2, 128, 129, 5000, 128 * 128 + 1] {
        let made = Made::new(blocks, b"pepper");
        let superblock = made.verify().unwrap();
        assert_eq!(made.check().unwrap(), superblock);
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
        ("tree", &[3000], "tree: superblock (first 4096 bytes): unused byte 3000 is not zero"),
    ];
    for (name, offsets, expected) in table {
        let made = Made::new(5000, b"s");
        offsets.iter().for_each(|at| made.flip(name, *at));
        assert_eq!(made.verify().unwrap_err().to_string(), *expected);
        assert_eq!(made.check().unwrap_err().to_string(), *expected);
        offsets.iter().for_each(|at| made.flip(name, *at));
        made.verify().unwrap();
        made.check().unwrap();
    }
}

#[test]
fn a_tree_of_another_size_is_refused() {
    let made = Made::new(5000, b"s");
    made.flip("tree", 75);
    let problems = [
        (made.verify(), "16782216 data blocks are more than data holds"),
        (made.check(), "it is the tree of 16782216 data blocks, not of 5000"),
    ];
    for (result, problem) in problems {
        assert_eq!(result.unwrap_err().to_string(), format!("tree: superblock (first 4096 bytes): {problem}"));
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

/// Data of `blocks` blocks in memory with its tree, made by streaming.
fn streamed(blocks: u64, salt: &[u8]) -> (Vec<u8>, Vec<u8>, RootHash, TreeSizes) {
    let data: Vec<u8> = (0..blocks * BLOCK_BYTES).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect();
    let mut out = io::Cursor::new(Vec::new());
    let root = tree(&data[..], data.len() as u64, salt, Uuid::from_u128(5), &mut out).unwrap();
    let out = out.into_inner();
    let sizes = TreeSizes { data_bytes: data.len() as u64, tree_bytes: out.len() as u64 };
    (data, out, root, sizes)
}

#[test]
fn streaming_makes_the_same_tree() {
    for blocks in [1, 2, 127, 128, 129, 256, 5000, 128 * 128 + 1] {
        let made = Made::new(blocks, b"pepper");
        let data = std::fs::read(made.dir.path().join("data")).unwrap();
        let mut out = io::Cursor::new(Vec::new());
        let root = tree(&data[..], data.len() as u64, b"pepper", Uuid::from_u128(5), &mut out).unwrap();
        assert_eq!(root, made.root, "{blocks} blocks");
        assert_eq!(root_hash(&data[..], data.len() as u64, b"pepper").unwrap(), made.root);
        assert!(out.into_inner() == std::fs::read(made.dir.path().join("tree")).unwrap(), "the trees of {blocks} blocks differ");
    }
}

#[test]
fn streams_may_be_longer_but_not_shorter() {
    let (data, tree, root, sizes) = streamed(300, b"x");
    let long = |bytes: &[u8]| [bytes, &[0xdd; 5000]].concat();
    check(&long(&data)[..], &long(&tree)[..], sizes, &root).unwrap();
    for (data, tree) in [(&data[..data.len() - 1], &tree[..]), (&data, &tree[..tree.len() - 1]), (&data, &[]), (&[], &tree)] {
        assert!(matches!(check(data, tree, sizes, &root), Err(VerityError::Io { step: "reading", .. })));
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused_before_anything_is_read() {
    struct Untouched;
    impl io::Read for Untouched {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("nothing may be read");
        }
    }
    let root = RootHash([0; 32]);
    for (data_bytes, tree_bytes) in
        [(0, 4096), (4095, 4096), (4096, 8192), (8192, 4096), (!4095, 4096), ((8 << 30) + 4096, 4096), (1 << 60, 1 << 53)]
    {
        assert!(check(Untouched, Untouched, TreeSizes { data_bytes, tree_bytes }, &root).is_err(), "{data_bytes} {tree_bytes}");
    }
    for bytes in [0, 1, 4097, (8 << 30) + 4096] {
        assert!(root_hash(Untouched, bytes, b"").is_err(), "{bytes}");
        assert!(tree(Untouched, bytes, b"", Uuid::nil(), io::Cursor::new(Vec::new())).is_err(), "{bytes}");
    }
    assert!(matches!(root_hash(Untouched, 4096, &[0; 257]), Err(VerityError::Salt { bytes: 257 })));
}

#[test]
fn padding_of_the_tree_is_part_of_it() {
    // A tree whose root hash covers a byte behind the last digest: nothing of ours makes such a one.
    let (data, mut tree, _, sizes) = streamed(100, b"");
    *tree.last_mut().unwrap() = 1;
    let root = RootHash(digest(&salted(b""), &tree[BLOCK_BYTES as usize..]));
    assert!(matches!(check(&data[..], &tree[..], sizes, &root), Err(VerityError::TreeBlock { block: 1, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No change of a byte of data or tree goes unseen, but in the UUID, which nothing covers.
    #[test]
    fn every_flipped_bit_is_seen(blocks in 1_u64..300, in_tree: bool, at: prop::sample::Index, bit in 0_u8..8) {
        let (mut data, mut tree, root, sizes) = streamed(blocks, b"salt");
        let bytes = if in_tree { &mut tree } else { &mut data };
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let uuid = in_tree && (16..32).contains(&at);
        match check(&data[..], &tree[..], sizes, &root) {
            Ok(_) => prop_assert!(uuid, "byte {} of the {}", at, if in_tree { "tree" } else { "data" }),
            // Changed salt shows in the first block that is hashed.
            Err(_) if in_tree && at < BLOCK_BYTES as usize => prop_assert!(!uuid),
            Err(VerityError::DataBlock { block, .. }) => prop_assert!(!in_tree && block == at as u64 / BLOCK_BYTES),
            Err(VerityError::TreeBlock { block, .. }) => prop_assert!(in_tree && block == at as u64 / BLOCK_BYTES),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
