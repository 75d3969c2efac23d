//! etcd on this machine: whether it runs here, as whom, and what happens when a member is lost.
//!
//! | module | holds |
//! | --- | --- |
//! | [`seen`] | what is known about the machine and the cluster at one moment |
//! | [`decide()`] | what to do about it: pure |
//! | [`Engine`] | looks, decides, does one thing, and begins again |
//! | [`launch`], [`init`] | how etcd is started, and by whom |
//! | [`members`] | the live members, asked |
//! | [`neighbour`] | whether a machine that was never a member is waiting too |
//! | [`rendezvous`] | where machines find each other |
//! | [`lock`] | one change of the members at a time |
//! | [`forward`] | 127.0.0.1:2379 on a machine that is no member |
//! | [`memory`] | what this machine remembers over a restart |

pub mod decide;
pub mod engine;
pub mod forward;
pub mod init;
pub mod launch;
pub mod lock;
pub mod members;
pub mod memory;
pub mod neighbour;
pub mod rendezvous;
pub mod seen;

pub use decide::{Step, decide};
pub use engine::Engine;
