//! The invariants of the fuzz targets, on arbitrary bytes and damaged seeds.
#![allow(clippy::unwrap_used, reason = "tests may")]

use proptest::prelude::*;

use damage::{damaged, seeds};

#[path = "../../fuzz/invariants/damage.rs"]
mod damage;
#[path = "../../fuzz/invariants/frame.rs"]
mod frame;
#[path = "../../fuzz/invariants/release_json.rs"]
mod release_json;

#[test]
fn every_seed_keeps_the_invariant() {
    for seed in seeds("release_json") {
        payload::Release::parse(&seed).unwrap();
        release_json::check(&seed);
    }
    seeds("frame").iter().for_each(|seed| frame::check(seed));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
        release_json::check(&bytes);
        frame::check(&bytes);
    }

    #[test]
    fn damaged_releases(bytes in damaged(seeds("release_json"))) {
        release_json::check(&bytes);
    }

    /// The numbers of a release are what an attacker would play with.
    #[test]
    fn releases_with_other_numbers(seed in prop::sample::select(seeds("release_json")), which: prop::sample::Index, number: i128) {
        let text = String::from_utf8(seed).unwrap();
        let digits: Vec<(usize, usize)> = text.match_indices(": ").map(|(at, _)| at + 2).filter_map(|at| {
            let length = text[at..].bytes().take_while(u8::is_ascii_digit).count();
            (length > 0).then_some((at, length))
        }).collect();
        let (at, length) = digits[which.index(digits.len())];
        release_json::check(format!("{}{number}{}", &text[..at], &text[at + length..]).as_bytes());
    }

    #[test]
    fn damaged_frames(bytes in damaged(seeds("frame"))) {
        frame::check(&bytes);
    }
}
