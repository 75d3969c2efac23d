//! What a power cut in the middle of an update can leave behind, explored state by state.
//!
//! A machine runs from [`machine::ServedMachine`], which records every write, flush and discard of its disk and of the firmware's
//! variables. [`recording`] reads that back, [`timeline`] plays it and knows what is durable at each moment, [`variants`] lists the
//! states that a cut at a moment may leave ([`choices`] says which of the unflushed sectors survive), and [`state`] shows such a state
//! as a disk without copying one. [`judge`] finds out what a state means ([`facts`]) with readers of its own: [`gpt`], [`fat`],
//! [`efi_vars`], [`loader`] and [`state_partition`]. [`invariants`] and [`lint`] are the rules, [`explore`] brings all together;
//! [`revive`] puts a state on real firmware, and [`report`] is the certificate.
//!
//! The model and its limits are described in `docs/power-cuts.md`.

mod bytes;
pub mod choices;
pub mod efi_vars;
pub mod explore;
pub mod facts;
pub mod fat;
pub mod gpt;
pub mod invariants;
pub mod judge;
pub mod lint;
pub mod loader;
pub mod machine;
pub mod place;
pub mod recording;
pub mod report;
pub mod revive;
pub mod sector;
pub mod source;
pub mod state;
pub mod state_partition;
#[cfg(test)]
mod synthetic;
pub mod timeline;
pub mod variants;
