//! The invariant of the fuzz target, without a fuzzer: on arbitrary bytes and on damaged samples.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use proptest::prelude::*;

#[path = "../fuzz/invariants/document.rs"]
mod invariant;

/// All samples, good and bad ones.
fn samples() -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples");
    let files = |dir: &Path| dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect::<Vec<_>>();
    let mut paths = [files(&dir), files(&dir.join("bad"))].concat();
    paths.sort();
    assert!(paths.len() > 2, "no samples in {}", dir.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn the_samples_as_they_are() {
    samples().iter().for_each(|bytes| invariant::check(bytes));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        invariant::check(&bytes);
        invariant::check(&[b"#cloud-config\n", bytes.as_slice()].concat());
    }

    #[test]
    fn damaged_samples(
        mut bytes in prop::sample::select(samples()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        for (at, new) in changes {
            let at = at.index(bytes.len());
            bytes[at] = new;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        invariant::check(&bytes);
    }
}
