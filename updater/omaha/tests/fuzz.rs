//! The invariants of the fuzz targets, on arbitrary bytes and damaged seeds.
#![allow(clippy::unwrap_used, reason = "tests may")]

use proptest::prelude::*;

use damage::{damaged, seeds};

#[path = "../../fuzz/invariants/damage.rs"]
mod damage;
#[path = "../../fuzz/invariants/omaha_request.rs"]
mod request;
#[path = "../../fuzz/invariants/omaha_response.rs"]
mod response;

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
    fn damaged_requests(bytes in damaged(seeds("omaha_request"))) {
        request::check(&bytes);
    }

    #[test]
    fn damaged_responses(bytes in damaged(seeds("omaha_response"))) {
        response::check(&bytes);
    }
}
