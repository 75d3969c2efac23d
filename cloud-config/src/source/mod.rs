//! Where user data and metadata come from.
//!
//! ```text
//! evidence          detect        find                                Found
//! DMI, labels,  ->  leads in  ->  asks one lead after the other,  ->  user data, metadata,
//! command line      an order      until one has user data             where from and why
//! ```
//!
//! [`detect`] is pure looking and never uses the network; [`find()`] follows the leads it names. Each source is one file with
//! a function from a [`Host`] to what it says; the machine is behind that trait, so that every source is tested against
//! recorded answers. `docs/data-sources.md` describes all of it for users.

mod azure;
mod cmdline;
mod cmdline_url;
mod config_drive;
pub mod detect;
mod digitalocean;
mod disk;
mod dmi;
mod ec2;
mod encoding;
mod error;
mod facts;
#[cfg(test)]
mod fake;
mod fields;
mod file;
mod find;
mod fw_cfg;
mod gce;
mod hetzner;
mod host;
pub mod http;
mod id;
pub mod limits;
pub mod named;
mod net;
mod network;
mod nocloud;
mod oem;
mod openstack;
mod ovf;
mod packet;
mod plain_yaml;
mod platform;
pub mod probe;
mod smbios;
mod system;

mod vmware;

use std::fmt;

use serde::Serialize;

pub use error::{FindError, ReadError, SourceError};
pub use find::{From, Request, find};
pub use host::{Device, Host, Medium};
pub use id::SourceId;
pub use platform::Platform;
pub use system::SystemHost;

use crate::metadata::Metadata;

/// What was found, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The source that has user data; else the first that knows anything; else [`SourceId::None`].
    pub source: SourceId,
    /// How this machine was recognised as having that source.
    pub why: String,
    /// What the user wants. At most one blob; it may be an archive of several.
    pub user_data: Vec<Blob>,
    /// What the provider and the maker of the image want, weakest last; user data counts more.
    pub vendor_data: Vec<Blob>,
    /// What is known about this machine.
    pub metadata: Metadata,
    /// Files for `systemd-networkd`, where the source describes the network.
    pub network_files: Vec<NetworkFile>,
    /// What was left out, and why; for the report.
    pub notes: Vec<String>,
}

/// Bytes and where they come from, for messages.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    /// File, URL or key.
    pub name: String,
    /// Content, as it was found; possibly packed.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Blob {
    // User data may hold secrets, and debug output ends in journals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({}, {} bytes)", self.name, self.bytes.len())
    }
}

/// A file for `systemd-networkd`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkFile {
    /// File name without a directory, e.g. `10-slipway-eth0.network`.
    pub name: String,
    /// Content.
    pub content: String,
}

/// What one source says.
#[derive(Debug, Default)]
struct Part {
    user_data: Option<Blob>,
    vendor_data: Option<Blob>,
    metadata: Metadata,
    network_files: Vec<NetworkFile>,
    notes: Vec<String>,
}

impl Blob {
    /// Content with a name, unless there is nothing in it: platforms hand out empty user data where nobody gave any.
    fn unless_empty(name: impl Into<String>, bytes: Vec<u8>) -> Option<Self> {
        (!bytes.trim_ascii().is_empty()).then(|| Self { name: name.into(), bytes })
    }
}
