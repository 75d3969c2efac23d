//! Invariant: no document makes the parser panic, and a request that was accepted is the same after writing and reading it.
//! The check itself is in `invariants/omaha_request.rs`, which `cargo test` runs as well.
#![no_main]

#[path = "../invariants/omaha_request.rs"]
mod invariant;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariant::check(bytes));
