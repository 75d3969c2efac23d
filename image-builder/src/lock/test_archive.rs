//! Tiny signed Debian archives in a temporary folder, reached through `file:`; for tests, without network.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::archives::ArchiveOptions;
use crate::cmd::Cmd;
use crate::progress::Progress;
use crate::recipe::{self, Recipe};
use crate::store::Store;

/// An archive that serves as main and security archive, its keyring, a store and a recipe that fits.
pub(super) struct TestArchive {
    dir: TempDir,
    pub(super) store: Store,
    pub(super) progress: Progress,
}

impl Drop for TestArchive {
    fn drop(&mut self) {
        // gpg leaves an agent behind for every home it worked in.
        for key in ["known", "other"] {
            let _ = Cmd::new("gpgconf").arg("--homedir").arg(self.dir.path().join(key)).args(["--kill", "gpg-agent"]).run();
        }
    }
}

/// How the list of a suite is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    ByKnownKey,
    ByOtherKey,
    Not,
}

impl TestArchive {
    /// An archive with the suites `trixie` and `trixie-security`.
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(&dir.path().join("cache"))).unwrap();
        let archive = Self { dir, store, progress: Progress::silent() };
        for key in ["known", "other"] {
            let home = archive.dir.path().join(key);
            fs::create_dir(&home).unwrap();
            fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
            archive.gpg(key).args(["--passphrase", "", "--quick-gen-key", key, "ed25519", "sign", "never"]).run().unwrap();
        }
        fs::write(archive.keyring(), archive.gpg("known").arg("--export").output().unwrap()).unwrap();
        archive.package("debian", "bash", "Essential: yes\nDepends: libc6");
        archive.package("debian", "libc6", "");
        archive.package("debian", "tini", "Depends: libc6 (>= 0), mail-agent");
        archive.package("debian", "mta", "Provides: mail-agent");
        archive.package("debian", "linux-image-amd64", "Depends: initramfs-tools | linux-initramfs-tool");
        archive.package("debian", "initramfs-tools", "");
        archive.package("debian", "mtools", "Depends: libc6");
        archive.package("security", "openssh-server", "Depends: libc6");
        archive.publish("debian", "trixie", Signed::ByKnownKey);
        archive.publish("security", "trixie-security", Signed::ByKnownKey);
        archive
    }

    fn gpg(&self, key: &str) -> Cmd {
        Cmd::new("gpg").arg("--homedir").arg(self.dir.path().join(key)).args(["--batch", "--quiet"])
    }

    pub(super) fn keyring(&self) -> PathBuf {
        self.dir.path().join("keyring.gpg")
    }

    pub(super) fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub(super) fn options(&self) -> ArchiveOptions {
        let address = |name: &str| Some(format!("file:{}", self.path(name).display()));
        ArchiveOptions { mirror: address("debian"), security_mirror: address("security"), keyring: Some(self.keyring()) }
    }

    /// Where the .deb of a package is in its archive.
    pub(super) fn deb(&self, archive: &str, name: &str) -> PathBuf {
        self.path(archive).join(format!("pool/main/{name}_1.0+deb13~1_all.deb"))
    }

    /// Builds a package into the pool of `archive`; takes effect when it is published.
    pub(super) fn package(&self, archive: &str, name: &str, fields: &str) {
        let tree = self.path(&format!("build/{name}"));
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        let fields = if fields.is_empty() { String::new() } else { format!("{fields}\n") };
        let control = format!(
            "Package: {name}\nVersion: 1.0+deb13~1\nArchitecture: all\nMaintainer: Test <test@localhost>\n{fields}Description: test\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let deb = self.deb(archive, name);
        fs::create_dir_all(deb.parent().unwrap()).unwrap();
        Cmd::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(tree).arg(deb).run().unwrap();
    }

    /// Writes and signs the lists of a suite: all packages of the pool are in it.
    pub(super) fn publish(&self, archive: &str, suite: &str, signed: Signed) {
        let pool = self.path(archive).join("pool/main");
        let mut names: Vec<String> = fs::read_dir(&pool).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let mut list = String::new();
        for name in names {
            let deb = pool.join(&name);
            let control = Cmd::new("dpkg-deb").arg("--field").arg(&deb).text().unwrap();
            let bytes = fs::read(&deb).unwrap();
            let sha256 = hex::encode(Sha256::digest(&bytes));
            list.push_str(&format!("{control}Filename: pool/main/{name}\nSize: {}\nSHA256: {sha256}\n\n", bytes.len()));
        }
        let dists = self.path(archive).join("dists").join(suite);
        fs::create_dir_all(dists.join("main/binary-amd64")).unwrap();
        fs::write(dists.join("main/binary-amd64/Packages"), &list).unwrap();
        let label = if archive == "security" { "Debian-Security" } else { "Debian" };
        let release = format!(
            "Origin: Debian\nLabel: {label}\nSuite: stable\nCodename: {suite}\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n\
             Architectures: amd64\nComponents: main\nSHA256:\n {} {} main/binary-amd64/Packages\n",
            hex::encode(Sha256::digest(&list)),
            list.len()
        );
        let (plain, inline) = (dists.join("Release"), dists.join("InRelease"));
        fs::write(&plain, release).unwrap();
        let _ = fs::remove_file(&inline);
        let key = match signed {
            Signed::ByKnownKey => "known",
            Signed::ByOtherKey => "other",
            Signed::Not => return,
        };
        self.gpg(key).args(["--clearsign", "--output"]).arg(&inline).arg(&plain).run().unwrap();
        fs::remove_file(plain).unwrap();
    }

    /// A recipe `vm.toml` for this archive; line 10 says what to install.
    pub(super) fn recipe(&self, install: &str, exclude: &str) -> Recipe {
        self.recipe_with(&["trixie", "trixie-security"], "main", install, exclude)
    }

    pub(super) fn recipe_with(&self, suites: &[&str], component: &str, install: &str, exclude: &str) -> Recipe {
        let path: &Path = &self.path("vm.toml");
        let text = format!(
            "[image]\nid = \"x\"\nname = \"X\"\nvariant = \"vm\"\narch = \"amd64\"\n[archive]\nsuites = {suites:?}\ncomponents = [{component:?}]\n\
             [packages]\ninstall = [{install}]\nexclude = [{exclude}]\n\
             [kernel]\npackage = \"linux-image-amd64\"\n[root]\ncompression = \"lz4\"\ncluster-bytes = 4096\n"
        );
        fs::write(path, text).unwrap();
        recipe::load(path).unwrap()
    }
}
