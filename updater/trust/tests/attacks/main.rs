//! The attacks of the update literature, one by one, against the client workflow. No test here touches a disk or a network.

#[path = "../support/mod.rs"]
mod support;

mod consistency;
mod curve;
mod keys;
mod mutation;
mod names;
mod parsing;
mod publishing;
mod reuse;
mod rollback;
mod rotation;
mod signatures;
mod time;
