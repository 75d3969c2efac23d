//! The walls between the network, the judgement and the disk.
//!
//! Three processes take part in an update. The *fetcher* has the network and nothing else; the *verifier* has the trusted metadata
//! and nothing else; the daemon has the disk and reads nothing that the network sent: it carries files from the first to the second
//! as opaque bytes, takes digests from the second only, and checks each frame against them. So whoever takes over the fetcher can
//! keep an update from happening, no more; the verifier is fed by bytes of bounded size alone, and its judgement is the one thing
//! that is believed (with Secure Boot, firmware judges the result once more).

#[cfg(test)]
mod evil_tests;
pub mod fetch;
mod fetcher;
#[cfg(test)]
mod liar_tests;
mod link;
pub mod messages;
#[cfg(test)]
pub(crate) mod testing;
mod verifier;
pub mod verify;
mod wire;
mod worker;

pub use fetcher::{FetchedFrames, Fetcher};
pub use link::{Kind, PATIENCE, Workers};
pub use verifier::{Sources, refresh, verify};
pub use wire::{MAX_CONTROL_BYTES, Pipe, WireError};
pub use worker::{run_fetch, run_verify};
