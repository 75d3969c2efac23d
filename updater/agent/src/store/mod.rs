//! What survives a reboot: `state.json`, the trusted metadata as opaque bytes, and where both live.

mod state;
mod trusted;

pub use state::{Loaded, Store, StoreError};
pub use trusted::TrustedFiles;
