//! What survives a reboot: `state.json`, and where it lives.

mod state;

pub use state::{Loaded, Store, StoreError};
