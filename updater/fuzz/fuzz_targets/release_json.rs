//! Invariant: no bytes make the parser panic; an accepted release is within its limits, and is the same after writing and reading it.
//! The check itself is in `invariants/release_json.rs`, which `cargo test` runs as well.
#![no_main]

#[path = "../invariants/release_json.rs"]
mod invariant;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariant::check(bytes));
