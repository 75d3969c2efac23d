//! Invariant: a frame gives exactly as many bytes as were expected, or an error and none; it never allocates more than a frame holds.
//! The check itself is in `invariants/frame.rs`, which `cargo test` runs as well.
#![no_main]

#[path = "../invariants/frame.rs"]
mod invariant;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariant::check(bytes));
