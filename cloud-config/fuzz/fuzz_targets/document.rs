//! Invariant: whatever the bytes, reading ends with a plan or with errors that have a place; and the same bytes give the same plan.
//! The check itself is in `invariants/document.rs`, which `cargo test` runs as well.
#![no_main]

#[path = "../invariants/document.rs"]
mod invariant;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| invariant::check(bytes));
