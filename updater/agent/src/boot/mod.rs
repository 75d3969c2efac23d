//! What boots next, and what boots for ever.
//!
//! A trial is one-shot: logind tells the boot loader to start an entry once, and whatever happens then, the boot after it starts the
//! default again. A commit changes that default, in two places because firmware forgets: first `loader.conf` on the ESP, then the EFI
//! variable, which overrides it. See [`commit()`] for why this order.

mod commit;
mod efivar;
mod firmware;
mod loader_conf;
mod logind;
mod terminals;
mod trial;

pub use commit::{Loader, commit, committed};
pub use efivar::EfiVariables;
pub use firmware::firmware;
pub use logind::{Services, SystemBus};
pub use terminals::warn_users;
pub use trial::{arm, disarm, tidy};
