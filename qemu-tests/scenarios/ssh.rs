//! Logging in, as an operator does it.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};
use image_builder::cmd::Cmd;
use image_builder::qemu::machine::Credential;
use qemu_tests::scenario::Check;
use qemu_tests::scratch;
use qemu_tests::vm::Vm;

/// ssh's port.
pub(crate) const PORT: u16 = 22;

/// A key pair for this run: `id` and `id.pub` in a directory of their own.
static KEY: Mutex<Option<tempfile::TempDir>> = Mutex::new(None);

/// The directory with the key pair, made when it is first asked for.
fn key_dir() -> anyhow::Result<PathBuf> {
    let mut key = KEY.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(dir) = &*key {
        return Ok(dir.path().to_owned());
    }
    let dir = scratch::dir("key")?;
    Cmd::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "slipway-test", "-f"]).arg(dir.path().join("id")).run()?;
    Ok(key.insert(dir).path().to_owned())
}

/// Removes the key pair; nothing drops what is static.
pub(crate) fn remove_key() {
    KEY.lock().unwrap_or_else(PoisonError::into_inner).take();
}

/// What lets the holder of the key log in as `core`.
pub(crate) fn credential() -> anyhow::Result<Credential> {
    let public = std::fs::read(key_dir()?.join("id.pub")).context("reading the public ssh key")?;
    Ok(Credential::new("ssh.authorized_keys.core", public))
}

pub(crate) const LOGIN: Check = Check {
    name: "operator_logs_in_by_ssh_key_only",
    promise: "An ssh key handed over by the hypervisor logs its holder in as core, who may administer the host; nobody else gets in.",
    run: |vm| {
        let who = ssh(vm, "core", true, "id -un; sudo -n id -un; docker version --format '{{.Server.Os}}'")?;
        ensure!(who == "core\nroot\nlinux\n", "core is {who:?}");
        ensure!(ssh(vm, "root", true, "true").is_err(), "the operator's key opens the root account");
        ensure!(ssh(vm, "core", false, "true").is_err(), "ssh lets somebody in without a key");
        Ok(())
    },
};

/// What `command` says when `user` runs it over ssh.
pub(crate) fn ssh(vm: &Vm, user: &str, with_key: bool, command: &str) -> anyhow::Result<String> {
    let seconds = vm.pace().limit(std::time::Duration::from_secs(3)).as_secs();
    let mut cmd = Cmd::new("ssh").args(["-F", "none", "-p", &vm.port(PORT)?.to_string(), "-o", "BatchMode=yes"]);
    for option in ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "LogLevel=ERROR", "IdentityAgent=none"]
    {
        cmd = cmd.args(["-o", option]);
    }
    cmd = cmd.args(["-o", &format!("ConnectTimeout={seconds}")]);
    // A file that does not exist keeps ssh from trying the keys of whoever runs the tests.
    cmd = cmd.arg("-i").arg(key_dir()?.join(if with_key { "id" } else { "no-key" }));
    Ok(cmd.args([&format!("{user}@127.0.0.1"), "--", command]).text()?)
}
