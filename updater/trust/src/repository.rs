//! The other side: writing and signing a repository.
//!
//! Offline, with the keys of people: [`RootDraft`] and [`TargetsDraft`]. Online, by the server: [`snapshot`] and [`timestamp`]. All of them
//! refuse to write what a client would refuse to read, and verify what they build upon, so that nobody signs an intruder's work.
//! Publish in the order root, targets, snapshot, timestamp, so that a client never meets a list of things that are not there yet.

mod cosign;
mod online;
mod root;
mod signing;
mod targets;

pub use cosign::{check, check_next_root, cosign, cosign_root};
pub use online::{next_version, snapshot, timestamp};
pub use root::RootDraft;
pub use targets::TargetsDraft;

/// The version of the TUF specification that written files name.
pub const SPEC_VERSION: &str = "1.0.31";
