//! The same repositories before `tough` and before us: what one writes the other reads, and what one refuses the other refuses.
//!
//! `tough` is an implementation of The Update Framework by other people, with another cryptographic library.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop the test")]
#![allow(clippy::type_complexity, reason = "tables of cases with functions in them")]

#[path = "../support/mod.rs"]
mod support;

mod canonical_form;
mod corruptions;
mod ours_to_tough;
mod readers;
mod tough_to_ours;
