//! Invariant: no document makes the parser panic, and an answer that was accepted is the same after writing and reading it.
//! The check itself is in `invariants/omaha_response.rs`, which `cargo test` runs as well.
#![no_main]

#[path = "../invariants/omaha_response.rs"]
mod invariant;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariant::check(bytes));
