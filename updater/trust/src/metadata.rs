//! What the four files say, once their signatures are known to be good.
//!
//! Unknown members are ignored here, as the specification wants; drafts in [`repository`](crate::repository) keep them.

mod header;
mod meta_file;
mod root;
mod snapshot;
mod targets;
mod timestamp;

pub(crate) use header::{Header, format_time};
pub(crate) use meta_file::MetaFile;
pub use root::{RoleKeys, Root};
pub(crate) use snapshot::Snapshot;
pub use targets::{Target, Targets};
pub(crate) use timestamp::TimestampFile;
