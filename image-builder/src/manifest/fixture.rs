//! A small manifest for tests: one of everything the format knows.

use sha2::{Digest, Sha256};

use super::{FORMAT, File, Kind, Manifest, Origin, Package, Reason, Unit, UnitState};

/// A dozen packages and some thirty paths, valid.
pub(crate) fn manifest() -> Manifest {
    let kernel_package = "linux-image-6.12.117-cloud-amd64";
    let mut manifest = Manifest {
        format: FORMAT,
        image_id: "slipway".to_owned(),
        variant: "vm".to_owned(),
        version: "1.0.0".to_owned(),
        arch: "amd64".to_owned(),
        kernel: "6.12.117-cloud-amd64".to_owned(),
        kernel_config: [("CONFIG_DM_VERITY", "y"), ("CONFIG_EROFS_FS", "m"), ("CONFIG_HZ", "250")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        cmdline: "console=ttyS0 panic=10 gpt".to_owned(),
        packages: vec![
            package("base-files", "13.8+deb13u7", "GPL-2.0-or-later", Reason::Essential),
            package("containerd", "1.7.24~ds1-6+b1", "Apache-2.0", needed_by("docker.io")),
            package("docker.io", "26.1.5+dfsg1-9", "Apache-2.0", asked(14)),
            package("etcd-server", "3.5.16-4", "Apache-2.0 AND MIT", asked(15)),
            package("libc6", "2.41-12", "GPL-2.0-or-later AND LGPL-2.1-or-later", needed_by("base-files")),
            package("libseccomp2", "2.6.0-2", "LGPL-2.1-only", needed_by("runc")),
            package("libstdc++6", "14.2.0-19", "LicenseRef-GPL-3-with-exception", needed_by("etcd-server")),
            package(kernel_package, "6.12.117-1", "GPL-2.0-only", asked(12)),
            package("openssh-server", "1:10.0p1-7", "NOASSERTION", asked(16)),
            package("perl-base", "5.40.1-6", "GPL-1.0-or-later OR Artistic-1.0", Reason::Essential),
            package("runc", "1.1.15+ds1-2", "Apache-2.0", needed_by("containerd")),
            package("sudo", "1.9.16p2-3", "ISC", asked(17)),
        ],
        files: vec![
            dir("/", Origin::Builder),
            link("/bin", "usr/bin", from("base-files")),
            dir("/etc", from("base-files")),
            data("/etc/hostname", 8, tree()),
            data("/etc/ld.so.cache", 9_000, Origin::Configure),
            dir("/etc/systemd", from("base-files")),
            link("/etc/systemd/system", "/usr/lib/systemd/system", Origin::RecipeSetting { recipe: "vm.toml".to_owned(), line: 22 }),
            link("/lib", "usr/lib", from("base-files")),
            dir("/usr", from("base-files")),
            dir("/usr/bin", from("base-files")),
            program("/usr/bin/containerd", 41_000_000, "containerd"),
            program("/usr/bin/dockerd", 62_000_000, "docker.io"),
            program("/usr/bin/etcd", 24_000_000, "etcd-server"),
            program("/usr/bin/perl", 4_000_000, "perl-base"),
            node("/usr/bin/perl5.40.1", Kind::Hardlink, "/usr/bin/perl", from("perl-base")),
            program("/usr/bin/runc", 11_000_000, "runc"),
            program("/usr/bin/sudo", 280_000, "sudo"),
            dir("/usr/lib", from("base-files")),
            dir("/usr/lib/modules", from(kernel_package)),
            data("/usr/lib/modules/erofs.ko", 300_000, from(kernel_package)),
            data("/usr/lib/modules/overlay.ko", 400_000, from(kernel_package)),
            data("/usr/lib/os-release", 300, Origin::Builder),
            dir("/usr/lib/systemd", from("base-files")),
            dir("/usr/lib/systemd/system", from("base-files")),
            data("/usr/lib/systemd/system/docker.service", 1_700, from("docker.io")),
            data("/usr/lib/systemd/system/docker.socket", 300, from("docker.io")),
            program("/usr/lib/x86_64-linux-gnu/libc.so.6", 2_000_000, "libc6"),
            link("/usr/lib/x86_64-linux-gnu/libseccomp.so.2", "libseccomp.so.2.6.0", from("libseccomp2")),
            data("/usr/lib/x86_64-linux-gnu/libseccomp.so.2.6.0", 130_000, from("libseccomp2")),
            data("/usr/lib/x86_64-linux-gnu/libstdc++.so.6", 2_500_000, from("libstdc++6")),
            program("/usr/sbin/sshd", 1_100_000, "openssh-server"),
        ],
        units: vec![
            unit("docker.service", UnitState::Enabled, &[]),
            unit("docker.socket", UnitState::Enabled, &["/run/docker.sock"]),
            unit("etcd.service", UnitState::Disabled, &[]),
            unit("getty@.service", UnitState::Masked, &[]),
            unit("ssh.socket", UnitState::Enabled, &["0.0.0.0:22", "[::]:22"]),
        ],
    };
    file(&mut manifest, "/usr/bin/sudo").mode = 0o4755;
    manifest
}

/// The entry of `path`, to be changed by a test.
pub(crate) fn file<'a>(manifest: &'a mut Manifest, path: &str) -> &'a mut File {
    manifest.files.iter_mut().find(|file| file.path == path).expect("a path of the fixture")
}

/// A package of Debian that is called like its source.
pub(crate) fn package(name: &str, version: &str, licence: &str, reason: Reason) -> Package {
    let (name, version) = (name.to_owned(), version.to_owned());
    let source = if name == "libc6" { "glibc".to_owned() } else { name.clone() };
    let sha256 = digest(&format!("{name} {version}"));
    let (source_version, licence) = (version.clone(), licence.to_owned());
    Package { name, version, arch: "amd64".to_owned(), source, source_version, sha256, licence, reason }
}

/// A regular file of `size` bytes.
pub(crate) fn data(path: &str, size: u64, origin: Origin) -> File {
    File { size, ..node(path, Kind::File, &digest(path), origin) }
}

/// Shipped by `package`.
pub(crate) fn from(package: &str) -> Origin {
    Origin::Package { name: package.to_owned() }
}

/// Asked for in this line of `vm.toml`.
pub(crate) fn asked(line: usize) -> Reason {
    Reason::Asked { recipe: "vm.toml".to_owned(), line }
}

/// Needed by `package`.
pub(crate) fn needed_by(package: &str) -> Reason {
    Reason::DependencyOf { package: package.to_owned() }
}

fn program(path: &str, size: u64, package: &str) -> File {
    File { mode: 0o755, ..data(path, size, from(package)) }
}

fn dir(path: &str, origin: Origin) -> File {
    File { mode: 0o755, ..node(path, Kind::Directory, "", origin) }
}

fn link(path: &str, target: &str, origin: Origin) -> File {
    File { mode: 0o777, ..node(path, Kind::Symlink, target, origin) }
}

fn node(path: &str, kind: Kind, content: &str, origin: Origin) -> File {
    File { path: path.to_owned(), kind, mode: 0o644, uid: 0, gid: 0, size: 0, content: content.to_owned(), origin }
}

fn tree() -> Origin {
    Origin::RecipeTree { recipe: "vm.toml".to_owned(), line: 30, tree: "files/base".to_owned() }
}

fn unit(name: &str, state: UnitState, listens: &[&str]) -> Unit {
    Unit { name: name.to_owned(), state, listens: listens.iter().map(|&listen| listen.to_owned()).collect() }
}

fn digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
