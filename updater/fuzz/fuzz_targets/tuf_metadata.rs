//! Invariant: bytes without a valid signature change nothing of what is trusted, and no bytes, signed or not, make a client panic.
//! The check itself is in `invariants/tuf_metadata.rs`, which `cargo test` runs as well.
#![no_main]

#[path = "../invariants/tuf_metadata.rs"]
mod invariant;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariant::check(bytes));
