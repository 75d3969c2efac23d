//! The half that runs as root of the user namespace.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change, unmount};

use super::{Installed, Plan, PlannedGroup, PlannedUser, kernel, merged_usr, path_str};
use crate::cmd::{Cmd, CmdError};
use crate::namespace;
use crate::parallel;
use crate::tree::{Tree, archive};

/// Documentation and translations: most of what a package unpacks, and nothing a host needs. Copyright files stay
/// until the SBOM has read them.
const UNPACK_EXCLUDES: &[&str] = &[
    "/usr/share/doc/*",
    "/usr/share/man/*",
    "/usr/share/info/*",
    "/usr/share/locale/*",
    "/usr/share/lintian/*",
    "/usr/share/bash-completion/*",
    "/usr/share/zsh/*",
    "/usr/share/fish/*",
    "/usr/share/bug/*",
];
const UNPACK_INCLUDES: &[&str] = &["/usr/share/doc/*/copyright"];

/// Satisfies the dependency of Debian's kernels on something that makes an initrd: this builder does.
const INITRD_PROVIDER: &str = "Package: slipway-initrd\nStatus: install ok installed\nMaintainer: image-builder\n\
    Architecture: all\nVersion: 1\nProvides: linux-initramfs-tool\nDescription: the initrd is made by image-builder\n\n";

/// Reads a plan from standard input, carries it out and answers on standard output.
pub fn serve() -> anyhow::Result<()> {
    namespace::serve(|plan: Plan| install(&plan))
}

fn install(plan: &Plan) -> anyhow::Result<Installed> {
    // A file's mode must come from its package, not from the umask of the person who builds.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let root = plan.work.join("root");
    let result = install_into(plan, &root);
    // Only this namespace may remove what belongs to its other users.
    unmount_all(&root);
    let cleaned = fs::remove_dir_all(&plan.work).with_context(|| format!("removing {}", plan.work.display()));
    let installed = result?;
    cleaned?;
    Ok(installed)
}

fn install_into(plan: &Plan, root: &Path) -> anyhow::Result<Installed> {
    lay_out(root)?;
    unpack_first(plan, root)?;
    mount_kernel_file_systems(root)?;
    block_services(root)?;
    let debs = bind_packages(plan, root)?;
    dpkg(root, &unpack_arguments(&debs)).context("unpacking the packages")?;
    configure_accounts(plan, root)?;
    dpkg(root, &["--configure".into(), "--pending".into()]).context("configuring the packages")?;
    assert_all_installed(root)?;
    unblock_services(root)?;
    unmount_all(root);
    let kernel = kernel::trim(root, &plan.kernel_modules)?;
    let owners = read_owners(&root.join("var/lib/dpkg/info"))?;
    let tree = archive::capture(root)?;
    write_archive(&tree, &plan.archive)?;
    Ok(Installed { owners, kernel })
}

/// Merged /usr has to be there before the first package, or dpkg makes directories of the links.
fn lay_out(root: &Path) -> anyhow::Result<()> {
    for dir in ["bin", "sbin", "lib", "lib64"] {
        fs::create_dir_all(root.join("usr").join(dir))?;
        symlink(format!("usr/{dir}"), root.join(dir))?;
    }
    for dir in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "etc", "proc", "sys", "dev", "run", "packages"] {
        fs::create_dir_all(root.join(dir))?;
    }
    fs::write(root.join("var/lib/dpkg/available"), "")?;
    fs::write(root.join("var/lib/dpkg/status"), INITRD_PROVIDER)?;
    // The root directory itself may have come from a private temporary directory.
    fs::set_permissions(root, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Unpacks what maintainer scripts need to run at all; dpkg installs these packages again properly afterwards.
fn unpack_first(plan: &Plan, root: &Path) -> anyhow::Result<()> {
    parallel::for_each(plan.packages.iter().filter(|package| package.first), |package| {
        unpack(&package.deb, root).with_context(|| format!("unpacking {}", package.name))
    })
}

/// `dpkg-deb --extract` would replace the links of merged /usr, so the archive is filtered through tar.
fn unpack(deb: &Path, root: &Path) -> anyhow::Result<()> {
    let mut source = Cmd::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .with(|command| {
            command.stdout(std::process::Stdio::piped());
        })
        .spawn()?;
    let stdout = source.stdout.take().context("dpkg-deb has no output")?;
    Cmd::new("tar")
        .args(["--extract", "--keep-directory-symlink", "--directory"])
        .arg(root)
        .with(|command| {
            command.stdin(stdout);
        })
        .run()?;
    if !source.wait()?.success() {
        bail!("{} is not a readable package", deb.display());
    }
    Ok(())
}

fn mount_kernel_file_systems(root: &Path) -> anyhow::Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount("proc", root.join("proc"), "proc", MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, None)
        .context("mounting /proc")?;
    mount_bind_recursive("/sys", root.join("sys")).context("mounting /sys")?;
    // Not world-writable and sticky as by default: the kernel would refuse `> /dev/null` there.
    mount("tmpfs", root.join("dev"), "tmpfs", MountFlags::NOSUID, Some(c"mode=755")).context("mounting /dev")?;
    mount("tmpfs", root.join("run"), "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, Some(c"mode=755")).context("mounting /run")?;
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        let target = root.join("dev").join(device);
        File::create(&target)?;
        mount_bind(Path::new("/dev").join(device), &target).with_context(|| format!("binding /dev/{device}"))?;
    }
    for (name, target) in
        [("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")]
    {
        symlink(target, root.join("dev").join(name))?;
    }
    fs::create_dir(root.join("dev/shm"))?;
    Ok(())
}

fn unmount_all(root: &Path) {
    for dir in ["packages", "run", "dev", "sys", "proc"] {
        // Absent mounts are fine: this also runs after a failure half-way.
        let _ = unmount(root.join(dir), UnmountFlags::DETACH);
    }
}

/// Makes the packages visible under their plain names inside the root.
fn bind_packages(plan: &Plan, root: &Path) -> anyhow::Result<Vec<String>> {
    let dir = root.join("packages");
    mount("tmpfs", &dir, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None)?;
    let mut inside = Vec::new();
    for package in &plan.packages {
        let name = format!("{}.deb", package.name);
        File::create(dir.join(&name))?;
        mount_bind(&package.deb, dir.join(&name)).with_context(|| format!("making {} visible", package.deb.display()))?;
        inside.push(format!("/packages/{name}"));
    }
    Ok(inside)
}

const POLICY: &str = "usr/sbin/policy-rc.d";

/// invoke-rc.d's own way of saying "start nothing": exit status 101.
fn block_services(root: &Path) -> anyhow::Result<()> {
    fs::write(root.join(POLICY), "#!/bin/sh\nexit 101\n")?;
    fs::set_permissions(root.join(POLICY), fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn unblock_services(root: &Path) -> anyhow::Result<()> {
    Ok(fs::remove_file(root.join(POLICY))?)
}

fn unpack_arguments(debs: &[String]) -> Vec<String> {
    let excludes = UNPACK_EXCLUDES.iter().map(|glob| format!("--path-exclude={glob}"));
    let includes = UNPACK_INCLUDES.iter().map(|glob| format!("--path-include={glob}"));
    excludes.chain(includes).chain(["--unpack".into()]).chain(debs.iter().cloned()).collect()
}

fn dpkg(root: &Path, arguments: &[String]) -> Result<(), CmdError> {
    Cmd::new("chroot")
        .arg(root)
        // Everything is unpacked in one go, so dependencies are complete only at the end of it.
        .args(["dpkg", "--force-unsafe-io", "--force-depends", "--force-confold"])
        .args(arguments)
        .env("PATH", "/usr/sbin:/usr/bin")
        .env("HOME", "/root")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("SYSTEMD_OFFLINE", "1")
        .env("INITRD", "No")
        .run()
}

/// Creates the pinned users and groups right after the packages that hold the account tools.
fn configure_accounts(plan: &Plan, root: &Path) -> anyhow::Result<()> {
    dpkg(root, &["--configure".into(), "base-passwd".into()]).context("configuring base-passwd")?;
    append_accounts(root, "etc/group", plan.groups.iter().map(|group| group_line(group, &plan.users)))?;
    append_accounts(root, "etc/passwd", plan.users.iter().map(passwd_line))?;
    join_existing_groups(root, plan)
}

fn group_line(group: &PlannedGroup, users: &[PlannedUser]) -> String {
    let members: Vec<&str> = users.iter().filter(|user| user.groups.contains(&group.name)).map(|user| user.name.as_str()).collect();
    format!("{}:x:{}:{}", group.name, group.gid, members.join(","))
}

fn passwd_line(user: &PlannedUser) -> String {
    format!("{}:x:{}:{}:{}:{}:{}", user.name, user.uid, user.gid, user.comment, user.home, user.shell)
}

fn append_accounts(root: &Path, file: &str, lines: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let mut text = fs::read_to_string(root.join(file)).with_context(|| format!("reading /{file}"))?;
    for line in lines {
        let name = line.split(':').next().unwrap_or_default();
        if text.lines().any(|there| there.split(':').next() == Some(name)) {
            bail!("the recipe pins `{name}`, which Debian's base-passwd already defines in /{file}; remove it from the recipe");
        }
        text.push_str(&line);
        text.push('\n');
    }
    fs::write(root.join(file), text).with_context(|| format!("writing /{file}"))
}

/// Adds users to groups that Debian itself defines, e.g. `core` to `sudo`.
fn join_existing_groups(root: &Path, plan: &Plan) -> anyhow::Result<()> {
    let path = root.join("etc/group");
    let mut lines: Vec<String> = fs::read_to_string(&path)?.lines().map(str::to_owned).collect();
    for user in &plan.users {
        for group in &user.groups {
            if plan.groups.iter().any(|planned| planned.name == *group) {
                continue;
            }
            let Some(line) = lines.iter_mut().find(|line| line.split(':').next() == Some(group)) else {
                bail!("user `{}` is to join group `{group}`, which neither the recipe nor Debian defines", user.name);
            };
            if !line.ends_with(':') {
                line.push(',');
            }
            line.push_str(&user.name);
        }
    }
    lines.push(String::new());
    Ok(fs::write(path, lines.join("\n"))?)
}

fn assert_all_installed(root: &Path) -> anyhow::Result<()> {
    let status = fs::read_to_string(root.join("var/lib/dpkg/status"))?;
    let broken = not_installed(&status);
    if !broken.is_empty() {
        bail!("dpkg left these packages unfinished: {}", broken.join(", "));
    }
    Ok(())
}

fn not_installed(status: &str) -> Vec<&str> {
    status
        .split("\n\n")
        .filter(|stanza| !stanza.trim().is_empty() && !stanza.contains("\nStatus: install ok installed"))
        .filter_map(|stanza| stanza.trim_start().lines().next()?.strip_prefix("Package: "))
        .collect()
}

/// Which package ships which path, by dpkg's own file lists.
fn read_owners(info: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut owners = BTreeMap::new();
    let mut lists: Vec<PathBuf> = fs::read_dir(info)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    lists.sort();
    for list in lists.iter().filter(|path| path.extension().is_some_and(|extension| extension == "list")) {
        let stem = list.file_stem().unwrap_or_default().to_string_lossy();
        let package = stem.split(':').next().unwrap_or_default();
        for path in fs::read_to_string(list).with_context(|| format!("reading {}", path_str(list)))?.lines() {
            owners.insert(merged_usr(path), package.to_owned());
        }
    }
    Ok(owners)
}

fn write_archive(tree: &Tree, path: &Path) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).with_context(|| format!("creating {}", path.display()))?);
    archive::write(tree, &mut out)?;
    out.flush().with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_not_installed_is_named() {
        let status = "Package: good\nStatus: install ok installed\n\nPackage: half\nStatus: install ok half-configured\nVersion: 1\n\n";
        assert_eq!(not_installed(status), ["half"]);
        assert!(not_installed("Package: good\nStatus: install ok installed\n").is_empty());
    }

    #[test]
    fn account_lines_follow_passwd_5() {
        let user = PlannedUser {
            name: "core".into(),
            uid: 1000,
            gid: 1000,
            home: "/home/core".into(),
            shell: "/bin/bash".into(),
            comment: "Core".into(),
            groups: vec!["docker".into()],
        };
        assert_eq!(passwd_line(&user), "core:x:1000:1000:Core:/home/core:/bin/bash");
        let docker = PlannedGroup { name: "docker".into(), gid: 990 };
        assert_eq!(group_line(&docker, &[user]), "docker:x:990:core");
    }

    #[test]
    fn a_pinned_name_that_debian_defines_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/group"), "sudo:x:27:\n").unwrap();
        let error = append_accounts(dir.path(), "etc/group", ["sudo:x:5:".to_owned()].into_iter()).unwrap_err();
        assert!(error.to_string().contains("already defines"), "{error}");
        assert_eq!(fs::read_to_string(dir.path().join("etc/group")).unwrap(), "sudo:x:27:\n");
    }
}
