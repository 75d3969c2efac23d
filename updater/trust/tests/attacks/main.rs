//! The attacks of the update literature, one by one, against the client workflow. No test here touches a disk or a network.
#![allow(clippy::unwrap_used, reason = "helpers of tests stop the test")]
#![allow(clippy::type_complexity, reason = "tables of cases with functions in them")]

#[path = "../support/mod.rs"]
mod support;

mod consistency;
mod curve;
mod keys;
mod messages;
mod mutation;
mod names;
mod parsing;
mod publishing;
mod reuse;
mod rollback;
mod rotation;
mod signatures;
mod time;
mod witness;
