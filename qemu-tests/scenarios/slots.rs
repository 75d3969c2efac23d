//! Two slots: the second one works like the first, and one that does not work gives way.

use anyhow::ensure;
use qemu_tests::console;
use qemu_tests::disk::{BLOCK, Disk};
use qemu_tests::scenario::{Bench, Scenario, When};
use qemu_tests::vm::Vm;

use crate::system::{booted_slot, loader_entries};

pub(crate) const SECOND_SLOT: Scenario = Scenario::new(
    "second_slot_boots_once_on_request",
    "The same UKI boots from slot b when a reboot asks for it, with b's partitions; the reboot after that goes back to a.",
    |bench| {
        let disk = with_second_slot(bench)?;
        let mut spec = bench.spec()?;
        spec.image = disk.path().to_owned();
        let vm = bench.start("vm", &spec)?;
        let boot = vm.wait_for_boot()?;
        ensure!(loader_entries(&vm)? == ["slipway-a.efi", "slipway-b.efi"], "the loader offers {:?}", loader_entries(&vm)?);
        // Of two entries the loader would take the last one; the image says otherwise.
        ensure!(booted_slot(&vm)? == 'a', "with both slots filled, b boots by itself");

        // The updater would make a slot that somebody chose by hand the default; this is about the boot chain alone.
        vm.guest().check("systemctl mask --now updater.service")?;
        boot_once(&vm, "slipway-b.efi")?;
        let boot = vm.wait_for_boot_after(&boot)?;
        vm.wait_for_boot()?;
        ensure!(booted_slot(&vm)? == 'b', "slot a answered when b was asked for");

        vm.guest().check("systemctl --no-block reboot")?;
        vm.wait_for_boot_after(&boot)?;
        ensure!(booted_slot(&vm)? == 'a', "slot b stayed, although nothing committed it");
        Ok(())
    },
)
.seconds(270)
.when(When::Full);

pub(crate) const EMPTY_SLOT: Scenario = Scenario::new(
    "slot_without_a_root_gives_way",
    "A UKI in the wrong slot cannot boot a root that is not its own: the machine reboots by itself into the good slot.",
    |bench| {
        let vm = bench.fork("vm", &bench.spec()?)?;
        let boot = vm.wait_for_boot()?;
        let before = console::boots(&vm.console()?);
        vm.guest().check_for("cd /boot/EFI/Linux && cp slipway-a.efi slipway-b.efi && sync", 12)?;
        ensure!(loader_entries(&vm)? == ["slipway-a.efi", "slipway-b.efi"], "the loader offers {:?}", loader_entries(&vm)?);

        boot_once(&vm, "slipway-b.efi")?;
        vm.wait_for_boot_after(&boot)?;
        vm.wait_for_boot()?;
        ensure!(booted_slot(&vm)? == 'a', "an empty slot b booted");
        let starts = console::boots(&vm.console()?) - before;
        ensure!(starts >= 2, "the firmware started {starts} times since: slot b was never tried");
        Ok(())
    },
)
.seconds(260)
.allow(&["Failed to start", "Failed to mount", "Dependency failed for", "Timed out waiting for device", "emergency.target", "I/O error"]);

/// A copy of the image whose slot b holds the same release as slot a, as after an update.
fn with_second_slot(bench: &Bench<'_>) -> anyhow::Result<Disk> {
    let disk = bench.disk()?;
    let root = disk.partition("root-a")?;
    disk.copy(root, disk.partition("root-b")?, disk.erofs_blocks(root)? * BLOCK)?;
    let tree = disk.partition("root-a-verity")?;
    disk.copy(tree, disk.partition("root-b-verity")?, tree.size)?;
    disk.esp_write("EFI/Linux/slipway-b.efi", &disk.esp_read("EFI/Linux/slipway-a.efi")?)?;
    Ok(disk)
}

/// Reboots into a loader entry, once, as the updater does it.
fn boot_once(vm: &Vm, entry: &str) -> anyhow::Result<()> {
    let login1 = "busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager";
    vm.guest().check(&format!("{login1} SetRebootToBootLoaderEntry s {entry} && {login1} Reboot b false"))?;
    Ok(())
}
