//! The types of single values, each with its grammar.
//!
//! A type that exists has been checked: a [`UnitName`] is a file name, an [`AbsolutePath`] leaves no root, a [`Mode`] is a mode.

mod choice;
mod cluster;
mod command;
mod content;
mod file;
mod host;
mod import;
mod name;
mod secret;
mod size;
mod sudo;
mod url;
mod user;

pub use choice::{ClusterRole, ClusterTls, Encoding, EtcHosts, LockKind, PartitionTable, RebootStrategy, SwarmRole, UnitCommand};
pub use cluster::{Count, Label, Span};
pub use command::Command;
pub use content::{Content, ContentError, MAX_CONTENT_BYTES};
pub use file::{AbsolutePath, Mode, Owner, Sha256};
pub use host::{Certificate, Hostname, Timezone};
pub use import::{GithubUser, ImportId, ImportUrl};
pub use name::{DropInName, NetworkName, UnitName};
pub use secret::{MASK, Secret};
pub use size::{PartitionShare, SwapSize};
pub use sudo::{SudoRule, is_sudo_user};
pub use url::HttpUrl;
pub use user::{AccountName, ListedText, SshKey};
