//! The manifest: what is in an image, file by file and package by package, and why.
//!
//! It is written into every root file system at [`PATH_IN_ROOT`] and beside every build, so that `diff`, `explain`,
//! the SBOM and the reports work from the image alone. It is sorted and holds nothing that depends on time or place.

mod codec;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod owner;
pub mod source;
mod validate;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use codec::to_json;
pub use codec::{MAX_BYTES, read, write};
pub use error::ManifestError;
pub use validate::validate;

/// Where the manifest lives in the root file system: JSON under zstd.
pub const PATH_IN_ROOT: &str = "/usr/lib/sysimage/manifest.json.zst";

/// Version of this format; readers refuse a newer one.
pub const FORMAT: u32 = 1;

/// What one image contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// `IMAGE_ID`, e.g. `slipway`.
    pub image_id: String,
    /// The recipe's variant, e.g. `vm`.
    pub variant: String,
    /// `IMAGE_VERSION`, e.g. `1.0.0`.
    pub version: String,
    /// Debian architecture, e.g. `amd64`.
    pub arch: String,
    /// Kernel release, e.g. `6.12.0-cloud-amd64`.
    pub kernel: String,
    /// Every kernel option that is set, `CONFIG_` prefix included.
    pub kernel_config: BTreeMap<String, String>,
    /// Kernel command line inside the UKI, without the root hash (which depends on this file).
    pub cmdline: String,
    /// Installed packages, by name.
    pub packages: Vec<Package>,
    /// Every path of the root, sorted; the manifest itself is left out.
    pub files: Vec<File>,
    /// systemd units with an `[Install]` section or enabled by a symlink, by name.
    pub units: Vec<Unit>,
}

/// One installed Debian package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Package {
    /// Binary package name.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// `amd64` or `all`.
    pub arch: String,
    /// Source package it was built from.
    pub source: String,
    /// Version of the source package.
    pub source_version: String,
    /// SHA-256 of the .deb, in hex.
    pub sha256: String,
    /// Licences named by the package's machine-readable copyright file, as an SPDX expression, or `NOASSERTION`.
    pub licence: String,
    /// Why it is here.
    pub reason: Reason,
}

/// Why a package is in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "kind")]
pub enum Reason {
    /// A recipe asks for it.
    Asked {
        /// Recipe file name.
        recipe: String,
        /// Line in it, from 1.
        line: usize,
    },
    /// Debian marks it `Essential: yes`.
    Essential,
    /// Another package depends on it (the first one in the order of the lock).
    DependencyOf {
        /// Name of that package.
        package: String,
    },
}

/// One path of the root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct File {
    /// Absolute path.
    pub path: String,
    /// Kind of node.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Permission bits including setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Content size in bytes; zero for anything but regular files.
    pub size: u64,
    /// SHA-256 of the content in hex (regular files), or the target (symlinks), or empty.
    pub content: String,
    /// Who put it there.
    pub origin: Origin,
}

/// Kind of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Hard link to an earlier path, named in `content`.
    Hardlink,
    /// Device, fifo or socket; not expected in an image.
    Special,
}

/// Who put a path into the root.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "from")]
pub enum Origin {
    /// Shipped in a package's archive.
    Package {
        /// Binary package name.
        name: String,
    },
    /// Written while packages were configured: by a maintainer script or a trigger.
    Configure,
    /// Copied from a file tree of the recipe.
    RecipeTree {
        /// Recipe file name.
        recipe: String,
        /// Line of the recipe that names the tree, from 1.
        line: usize,
        /// The tree, as the recipe writes it.
        tree: String,
    },
    /// Follows from a setting of the recipe (a user, an enabled unit, ...).
    RecipeSetting {
        /// Recipe file name.
        recipe: String,
        /// Line of the setting, from 1.
        line: usize,
    },
    /// Made by the builder itself (os-release, the package database, ...).
    Builder,
}

/// One systemd unit that can be, or is, started at boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Unit {
    /// File name, e.g. `docker.service`.
    pub name: String,
    /// Enabled by a symlink in /etc or /usr, disabled, or masked.
    pub state: UnitState,
    /// `ListenStream=`, `ListenDatagram=` and friends of a socket unit, as written.
    pub listens: Vec<String>,
}

/// Whether a unit starts by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    /// Pulled in by a symlink.
    Enabled,
    /// Has an `[Install]` section but nothing pulls it in.
    Disabled,
    /// Linked to /dev/null.
    Masked,
}
