//! Boot once, fork often: a machine that has settled is stopped and kept, and copies of it start within a second.
//!
//! The template's memory lies in a file that QEMU shares (`share=on`), so that saving it means saving the devices alone:
//! the `x-ignore-shared` capability leaves such memory out of the migration stream, some 4 MiB remain. A fork is a new
//! QEMU that maps the same file privately (`share=off`, copied page by page when written), takes the devices' state from
//! the stream, and works on an overlay of the template's disk and a copy of its firmware variables.
//!
//! A fork differs from its template where it has to: its clock is the host's, its kernel's random numbers are its own
//! (the generation id of the machine changes, on which Linux reseeds), and its cards have addresses of their own, because
//! the template has none when it is saved. [`identity`] makes it another machine where a test needs
//! more than one. What must not be forked: first boots, boot counting, measured boots.

mod files;
mod key;
mod pool;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::qemu::machine::{Machine, Serial, Storage};
use image_builder::qemu::overlay::{self, Format};
use serde_json::{Value, json};

use self::files::Files;
pub use self::pool::{CACHE_ENV, Templates};
use crate::card;
use crate::identity;
use crate::pace::Deadline;
use crate::preserved::Base;
use crate::vm::{Host, Scratch, Spec, Start, Vm, describe};

/// How long saving or loading the devices may take. Measured: 0.05 s.
const MIGRATION: Duration = Duration::from_secs(60);
/// How often QEMU is asked how far it is; the whole takes a few of these.
const MIGRATION_INTERVAL: Duration = Duration::from_millis(5);
/// How long the template may take to write out its disk before it is stopped, in KVM seconds.
const SYNC_SECS: u64 = 12;

/// The generation id that templates boot with. Each fork has another one.
const TEMPLATE_GENERATION: &str = "5c1a3f0e-7d0b-4b52-9d5e-2f0c8a6f4b00";

/// A machine that has booted, settled and been stopped.
#[derive(Debug)]
pub struct Template {
    spec: Spec,
    files: Files,
}

impl Template {
    /// Boots `spec`, without its ports and services, and keeps it in `files`. Logs of the boot go to `logs`.
    fn boot(spec: &Spec, host: &Host, files: Files, logs: &Utf8Path) -> anyhow::Result<Self> {
        let scratch = Scratch::new()?;
        let machine = bare(&describe("template", spec, host, scratch.path(), logs)?, &files.disk(), &files.variables());
        std::fs::rename(scratch.path().join("vars.fd"), files.variables())
            .or_else(|_| std::fs::copy(scratch.path().join("vars.fd"), files.variables()).map(drop))
            .context("handing the firmware's variables to the template")?;
        overlay::create(spec.image.as_std_path(), files.disk().as_std_path(), Some(spec.disk_bytes))?;
        let more = arguments(spec.memory_mib, &Memory::Shared(files.memory()), TEMPLATE_GENERATION);
        let vm = Vm::launch(Start { more, ..Start::of(&machine) }, host, logs, scratch)?;
        // A machine without any card would wait in vain for the network, and be another machine than those that have one.
        let card = vm.plug_services(&[], &[])?;
        vm.wait_for_boot()?;
        vm.guest().check_for("sync", SYNC_SECS)?;
        vm.unplug(card)?;
        vm.guest().hang_up();
        save(&vm, &files.devices())?;
        vm.kill();
        Ok(Self { spec: spec.clone(), files })
    }

    /// Starts a copy. It answers when this returns; its cards are still to be plugged in.
    pub fn fork(&self, name: &str, host: &Host, logs: &Utf8Path) -> anyhow::Result<Vm> {
        let begun = Instant::now();
        let scratch = Scratch::new()?;
        let dir = scratch.path();
        let described = describe(name, &self.spec, host, dir, logs)?;
        let machine = bare(&described, &dir.join("disk.qcow2"), &dir.join("vars.fd"));
        std::fs::copy(self.files.variables(), dir.join("vars.fd")).context("copying the firmware's variables")?;
        overlay::stack(self.files.disk().as_std_path(), dir.join("disk.qcow2").as_std_path())?;
        let generation = uuid::Uuid::new_v4().to_string();
        let mut more = arguments(self.spec.memory_mib, &Memory::Private(self.files.memory()), &generation);
        more.extend(["-incoming".to_owned(), "defer".to_owned()]);
        let wake = arguments(self.spec.memory_mib, &Memory::Own, &generation);
        let vm = Vm::launch(
            Start { more, wake, base: Some(Base { file: self.files.disk(), format: Format::Qcow2 }), ..Start::of(&machine) },
            host,
            logs,
            scratch,
        )?;
        load(&vm, &self.files.devices())?;
        identity::set_clock(&vm)?;
        vm.answered(begun.elapsed());
        Ok(vm)
    }
}

/// A machine like a fork that boots by itself: what is used where forking does not work.
fn boot_cold(name: &str, spec: &Spec, host: &Host, logs: &Utf8Path) -> anyhow::Result<Vm> {
    let scratch = Scratch::new()?;
    let dir = scratch.path().to_owned();
    let machine = bare(&describe(name, spec, host, &dir, logs)?, &dir.join("disk.qcow2"), &dir.join("vars.fd"));
    overlay::create(spec.image.as_std_path(), dir.join("disk.qcow2").as_std_path(), Some(spec.disk_bytes))?;
    let start = Start { more: card::slots(), wake: card::slots(), ..Start::of(&machine) };
    Vm::launch(start, host, logs, scratch)
}

/// `machine` without a card of its own, on other files.
fn bare(machine: &Machine, disk: &Utf8Path, variables: &Utf8Path) -> Machine {
    let mut bare = machine.clone();
    bare.nic = None;
    bare.disks[0].file = Storage::File(disk.to_owned());
    bare.firmware_vars = Storage::File(variables.to_owned());
    bare
}

/// Where a machine's memory lies.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Memory {
    /// In a file that is written to.
    Shared(Utf8PathBuf),
    /// In a file that is only read; what is written is this machine's alone.
    Private(Utf8PathBuf),
    /// In no file.
    Own,
}

/// QEMU's arguments beyond those of the machine. But for where the memory lies and the generation they are always the same,
/// as migration demands.
fn arguments(memory_mib: u32, memory: &Memory, generation: &str) -> Vec<String> {
    let size = format!("id=memory,size={memory_mib}M");
    let path = |path: &Utf8Path| path.as_str().replace(',', ",,");
    let backend = match memory {
        Memory::Shared(file) => format!("memory-backend-file,{size},share=on,mem-path={}", path(file)),
        Memory::Private(file) => format!("memory-backend-file,{size},share=off,mem-path={}", path(file)),
        Memory::Own => format!("memory-backend-ram,{size}"),
    };
    let mut args = card::slots();
    for (name, value) in [("-machine", "memory-backend=memory"), ("-object", &backend), ("-device", &format!("vmgenid,guid={generation}"))]
    {
        args.extend([name.to_owned(), value.to_owned()]);
    }
    args
}

/// Stops the machine and writes what its devices remember to `devices`.
fn save(vm: &Vm, devices: &Utf8Path) -> anyhow::Result<()> {
    vm.qmp().execute("stop", json!({}))?;
    leave_memory_out(vm, true)?;
    vm.qmp().execute("migrate", json!({ "uri": format!("file:{devices}") })).context("saving the template")?;
    finish(vm).context("saving the template")
}

/// Gives the machine what `devices` remembers and lets it run.
fn load(vm: &Vm, devices: &Utf8Path) -> anyhow::Result<()> {
    leave_memory_out(vm, true)?;
    vm.qmp().execute("migrate-incoming", json!({ "uri": format!("file:{devices}") })).context("loading the template")?;
    finish(vm).context("loading the template")?;
    // Whoever preserves this machine wants its memory too.
    leave_memory_out(vm, false)?;
    vm.qmp().execute("cont", json!({})).map(drop)
}

fn leave_memory_out(vm: &Vm, out: bool) -> anyhow::Result<()> {
    let capabilities = json!([{ "capability": "x-ignore-shared", "state": out }]);
    vm.qmp().execute("migrate-set-capabilities", json!({ "capabilities": capabilities })).map(drop)
}

/// Waits until the migration has ended, well or not.
fn finish(vm: &Vm) -> anyhow::Result<()> {
    Deadline::after(MIGRATION).wait_every(MIGRATION_INTERVAL, "QEMU moves the devices' state", || {
        let answer = vm.qmp().execute("query-migrate", json!({}))?;
        verdict(&answer)
    })
}

fn verdict(answer: &Value) -> anyhow::Result<Option<()>> {
    match answer["status"].as_str() {
        Some("completed") => Ok(Some(())),
        Some(bad @ ("failed" | "cancelled")) => bail!("the migration {bad}: {}", answer["error-desc"].as_str().unwrap_or("no reason")),
        _ => Ok(None),
    }
}

/// The serial log, which is not part of what makes a machine.
fn without_log(mut machine: Machine) -> Machine {
    machine.serial = Serial::File(Utf8PathBuf::new());
    machine
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_agree_on_everything_but_the_memory_and_the_generation() {
        let template = arguments(2048, &Memory::Shared("/dev/shm/a,b".into()), "t");
        assert!(template.contains(&"memory-backend-file,id=memory,size=2048M,share=on,mem-path=/dev/shm/a,,b".to_owned()), "{template:?}");
        for memory in [Memory::Private("/dev/shm/a,b".into()), Memory::Own] {
            let fork = arguments(2048, &memory, "f");
            assert_eq!(fork.len(), template.len());
            let changed: Vec<_> = template.iter().zip(&fork).filter(|(old, new)| old != new).map(|(_, new)| new.as_str()).collect();
            assert_eq!(changed.len(), 2, "{changed:?}");
            assert!(changed[0].starts_with("memory-backend-") && !changed[0].contains("share=on"), "{changed:?}");
            assert_eq!(changed[1], "vmgenid,guid=f");
        }
    }

    #[test]
    fn a_failed_migration_is_told_with_its_reason() {
        assert_eq!(verdict(&json!({ "status": "completed" })).unwrap(), Some(()));
        for running in [json!({}), json!({ "status": "setup" }), json!({ "status": "active" })] {
            assert_eq!(verdict(&running).unwrap(), None);
        }
        let error = verdict(&json!({ "status": "failed", "error-desc": "no such block" })).unwrap_err();
        assert!(error.to_string().contains("no such block"));
    }
}
