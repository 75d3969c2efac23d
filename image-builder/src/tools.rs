//! The tools tree: the target suite's own programs (mkfs.erofs, mtools, ...), pinned by the lock.
//!
//! They shape the bytes of an image, so the host's versions must not matter. The tree is unpacked from packages
//! and its programs run through its own dynamic loader: no chroot, no namespace, no root.

use std::path::{Path, PathBuf};

use crate::cmd::Cmd;

/// Packages that make up the tools tree; the lock adds their dependencies.
pub const PACKAGES: &[&str] = &["dosfstools", "erofs-utils", "mtools", "osslsigncode", "systemd-boot-efi"];

const LOADER: &str = "usr/lib64/ld-linux-x86-64.so.2";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// An unpacked tools tree.
#[derive(Debug, Clone)]
pub struct Tools {
    root: PathBuf,
}

impl Tools {
    /// The tools tree unpacked at `root`.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// A file of the tree, e.g. `usr/lib/systemd/boot/efi/linuxx64.efi.stub`.
    #[must_use]
    pub fn file(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// A command that runs `program` of the tree with the tree's own loader and libraries.
    #[must_use]
    pub fn cmd(&self, program: &str) -> Cmd {
        let binary = ["usr/bin", "usr/sbin"].iter().map(|dir| self.root.join(dir).join(program)).find(|path| path.exists());
        let binary = binary.unwrap_or_else(|| Path::new("usr/bin").join(program));
        Cmd::new(self.root.join(LOADER))
            .arg("--library-path")
            .arg(self.root.join(LIBRARIES))
            .arg(binary)
            .env("OPENSSL_CONF", "/dev/null")
            .env("OPENSSL_MODULES", self.root.join(LIBRARIES).join("ossl-modules"))
    }
}
