//! The invariant of the fuzz target, on arbitrary bytes and damaged seeds.
#![allow(clippy::unwrap_used, reason = "tests may")]

use proptest::prelude::*;

use damage::damaged;

#[path = "../../fuzz/invariants/damage.rs"]
mod damage;
#[path = "../../fuzz/invariants/tuf_metadata.rs"]
mod metadata;

#[test]
fn every_genuine_file_keeps_the_invariant() {
    let seeds = metadata::seeds();
    assert_eq!(seeds.len(), 8);
    seeds.iter().for_each(|seed| metadata::check(seed));
}

proptest! {
    // Each case signs once and runs two clients.
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
        metadata::check(&bytes);
    }

    #[test]
    fn damaged_files(bytes in damaged(metadata::seeds())) {
        metadata::check(&bytes);
    }
}
