//! Installing the packages of a lock into a fresh root, inside the user namespace.
//!
//! dpkg itself unpacks and configures, so maintainer scripts, triggers and diversions behave as on any Debian. What
//! makes it quick is what is left out: no apt inside the root, no fsync, no documentation, one dpkg call for everything.

mod inner;
mod kernel;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use inner::serve;

use crate::namespace::{self, NamespaceError};

/// Name of the hidden subcommand that is the inner half.
pub const SUBCOMMAND: &str = "internal-install";

/// Bumped when the same plan would give another result, so that caches are not believed any more.
pub const REVISION: u32 = 1;

/// What the inner process is told to do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The .deb files to install, in order.
    pub packages: Vec<PlannedPackage>,
    /// Users that exist before any package is configured, so that ids never depend on the order of installation.
    pub users: Vec<PlannedUser>,
    /// Groups likewise.
    pub groups: Vec<PlannedGroup>,
    /// Globs over `kernel/...` paths of kernel modules to keep; the last match wins.
    pub kernel_modules: Vec<String>,
    /// An empty directory to work in; everything below it is removed again.
    pub work: PathBuf,
    /// Where the captured tree goes, as a tar archive.
    pub archive: PathBuf,
}

/// One package to install.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedPackage {
    /// Binary package name.
    pub name: String,
    /// The verified .deb.
    pub deb: PathBuf,
    /// Needed before the first maintainer script can run: essential, or a dependency of an essential package.
    pub first: bool,
}

/// A user to create.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedUser {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Comment field.
    pub comment: String,
    /// Supplementary groups.
    pub groups: Vec<String>,
}

/// A group to create.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlannedGroup {
    /// Name.
    pub name: String,
    /// Group id.
    pub gid: u32,
}

/// What the inner process found out on the way.
#[derive(Debug, Serialize, Deserialize)]
pub struct Installed {
    /// Which package ships which path.
    pub owners: BTreeMap<String, String>,
    /// Kernel release, e.g. `6.12.0-cloud-amd64`.
    pub kernel: String,
}

/// Installs `plan` as root of a user namespace; the tree is in `plan.archive` afterwards.
pub fn install(plan: &Plan) -> Result<Installed, NamespaceError> {
    namespace::run(SUBCOMMAND, plan)
}

/// The fixed order in which paths of merged /usr are written in Debian's file lists.
fn merged_usr(path: &str) -> String {
    for dir in ["bin", "sbin", "lib", "lib64"] {
        if let Some(rest) = path.strip_prefix('/').and_then(|path| path.strip_prefix(dir))
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return format!("/usr/{dir}{rest}");
        }
    }
    path.to_owned()
}

fn path_str(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::merged_usr;

    #[test]
    fn file_lists_are_read_as_merged_usr() {
        let table = [
            ("/bin/sh", "/usr/bin/sh"),
            ("/lib", "/usr/lib"),
            ("/library/x", "/library/x"),
            ("/usr/bin/x", "/usr/bin/x"),
            ("/etc", "/etc"),
        ];
        for (listed, real) in table {
            assert_eq!(merged_usr(listed), real);
        }
    }
}
