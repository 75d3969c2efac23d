//! The invariants of the fuzz targets, on arbitrary bytes and damaged seeds.
#![allow(clippy::unwrap_used, reason = "tests may")]

use std::path::Path;

use proptest::prelude::*;

#[path = "../../fuzz/invariants/omaha_request.rs"]
mod request;
#[path = "../../fuzz/invariants/omaha_response.rs"]
mod response;

/// The documents in `updater/fuzz/seeds/NAME`.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
    let mut paths: Vec<_> = dir.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds in {}", dir.display());
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// One seed with a few bytes replaced and its end cut off, or two seeds joined somewhere.
fn damaged(name: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let seeds = seeds(name);
    let change = (any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 0..5));
    let parts = (prop::sample::select(seeds.clone()), prop::sample::select(seeds), prop::collection::vec(change, 0..4));
    (parts, any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3_u8).prop_map(|((mut one, other, changes), at, from, how)| {
        for (at, new) in changes {
            let at = at.index(one.len());
            one.splice(at..(at + new.len()).min(one.len()), new);
        }
        match how {
            0 => one.truncate(at.index(one.len())),
            1 => one.splice(at.index(one.len()).., other[from.index(other.len())..].iter().copied()).for_each(drop),
            _ => {}
        }
        one
    })
}

#[test]
fn every_seed_is_accepted_and_keeps_the_invariant() {
    for seed in seeds("omaha_request") {
        omaha::Request::parse(&seed).unwrap();
        request::check(&seed);
    }
    for seed in seeds("omaha_response") {
        omaha::Response::parse(&seed).unwrap();
        response::check(&seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..1000)) {
        request::check(&bytes);
        response::check(&bytes);
    }

    #[test]
    fn arbitrary_markup(text in "(<[a-z/?!]{1,3}|[ a-z]{1,5}=['\"]|>|/>|&[a-z#0-9]{1,4};|<app appid='x'>|</app>|<event |<!--|-->|<!\\[CDATA\\[|\\]\\]>|'|\")*") {
        for root in ["request", "response"] {
            let document = format!("<{root} protocol='3.0'>{text}</{root}>");
            request::check(document.as_bytes());
            response::check(document.as_bytes());
        }
    }

    #[test]
    fn damaged_requests(bytes in damaged("omaha_request")) {
        request::check(&bytes);
    }

    #[test]
    fn damaged_responses(bytes in damaged("omaha_response")) {
        response::check(&bytes);
    }
}
