//! What makes the root this image and no particular host: os-release, and empty places for what each host makes itself.

use crate::manifest::Origin;
use crate::tree::{Node, Tree};

/// Who the image is.
#[derive(Debug, Clone)]
pub struct Identity<'a> {
    /// `ID` and `IMAGE_ID`, e.g. `slipway`.
    pub id: &'a str,
    /// Name for people, e.g. `Slipway`.
    pub name: &'a str,
    /// `VARIANT_ID`, e.g. `vm`.
    pub variant: &'a str,
    /// `VERSION_ID` and `IMAGE_VERSION`, e.g. `1.0.0`.
    pub version: &'a str,
    /// Debian suite the packages are from, e.g. `trixie`.
    pub suite: &'a str,
    /// Architecture in Debian's spelling.
    pub arch: &'a str,
}

/// The text of os-release(5).
#[must_use]
pub fn os_release(identity: &Identity<'_>) -> String {
    let Identity { id, name, variant, version, suite, arch } = identity;
    format!(
        "PRETTY_NAME=\"{name} {version} ({variant})\"\nNAME=\"{name}\"\nID={id}\nID_LIKE=debian\nVERSION=\"{version}\"\n\
         VERSION_ID={version}\nVERSION_CODENAME={suite}\nVARIANT_ID={variant}\nIMAGE_ID={id}\nIMAGE_VERSION={version}\n\
         ARCHITECTURE={arch}\nDEFAULT_HOSTNAME={id}\n"
    )
}

/// Writes os-release and clears everything that must differ from host to host.
pub fn apply(tree: &mut Tree, identity: &Identity<'_>) {
    tree.insert("/usr/lib/os-release", Node::file(os_release(identity), 0o644, Origin::Builder));
    tree.insert("/etc/os-release", Node::symlink("../usr/lib/os-release", Origin::Builder));
    // systemd makes the id on the first boot and knows by this word that it is the first.
    tree.insert("/etc/machine-id", Node::file("uninitialized\n".to_owned(), 0o444, Origin::Builder));
    tree.insert("/etc/issue", Node::file(format!("{} {} \\n \\l\n\n", identity.name, identity.version), 0o644, Origin::Builder));
    tree.insert("/etc/issue.net", Node::file(format!("{} {}\n", identity.name, identity.version), 0o644, Origin::Builder));
    tree.insert("/etc/motd", Node::file(String::new(), 0o644, Origin::Builder));
    for host_specific in ["/etc/hostname", "/etc/fstab", "/etc/debian_version", "/etc/adjtime", "/etc/resolv.conf"] {
        tree.remove(host_specific);
    }
    tree.insert("/etc/resolv.conf", Node::symlink("../run/systemd/resolve/stub-resolv.conf", Origin::Builder));
    tree.insert(
        "/etc/hosts",
        Node::file("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned(), 0o644, Origin::Builder),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_has_the_fields_that_tools_read() {
        let text =
            os_release(&Identity { id: "slipway", name: "Slipway", variant: "vm", version: "1.0.0", suite: "trixie", arch: "amd64" });
        for line in ["ID=slipway", "VERSION_ID=1.0.0", "IMAGE_ID=slipway", "IMAGE_VERSION=1.0.0", "PRETTY_NAME=\"Slipway 1.0.0 (vm)\""] {
            assert!(text.lines().any(|there| there == line), "{line} is missing in {text}");
        }
    }
}
