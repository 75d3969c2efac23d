//! What every booted machine is.

use anyhow::{Context, ensure};
use qemu_tests::scenario::Check;
use qemu_tests::vm::Vm;
use serde_json::Value;

pub(crate) const BOOTS: Check = Check {
    name: "boots_to_multi_user_without_a_failed_unit",
    promise: "The image boots by UEFI to multi-user, and not one unit fails.",
    run: |vm| {
        vm.wait_for_boot()?;
        vm.guest().check("test -d /sys/firmware/efi && systemctl is-active multi-user.target docker.service ssh.service")?;
        Ok(())
    },
};

pub(crate) const ROOT_IS_READ_ONLY: Check = Check {
    name: "root_is_verified_and_read_only",
    promise: "The root file system is checked by dm-verity, and not even root can write to it.",
    run: |vm| {
        let guest = vm.guest();
        let root = guest.check("findmnt -nro FSTYPE,OPTIONS /")?;
        ensure!(root.text().starts_with("erofs ro"), "the root is mounted as: {}", root.text());
        let uuid = guest.check(&format!("cat /sys/block/{}/dm/uuid", root_device(vm)?))?;
        ensure!(uuid.text().starts_with("CRYPT-VERITY-"), "the root is no verity device: {}", uuid.text());
        // A remount may claim to succeed; what counts is that nothing can be written afterwards.
        guest.run("mount -o remount,rw /")?;
        for path in ["/slipway-probe", "/usr/slipway-probe", "/usr/bin/slipway-probe"] {
            let write = guest.run(&format!("echo probe > {path}"))?;
            ensure!(!write.success(), "{path} can be written");
            ensure!(write.stderr.contains("Read-only file system"), "writing {path} fails for another reason: {write}");
        }
        let device = guest.run(&format!("dd if=/dev/zero of=/dev/{} bs=4096 count=1 conv=notrunc,fsync", root_device(vm)?))?;
        ensure!(!device.success(), "the verity device can be written");
        Ok(())
    },
};

pub(crate) const NETWORK: Check = Check {
    name: "network_comes_up_by_dhcp",
    promise: "A wired interface gets its address by DHCP.",
    run: |vm| has_address(vm, "virtio_net"),
};

pub(crate) const NO_PASSWORDS: Check = Check {
    name: "no_account_has_a_password",
    promise: "Nobody can log in with a password, on the console or by ssh.",
    run: |vm| {
        let shadow = vm.guest().check("cat /etc/shadow")?;
        for line in shadow.stdout.lines() {
            let hash = line.split(':').nth(1).with_context(|| format!("{line:?} in /etc/shadow"))?;
            ensure!(hash.starts_with(['!', '*']), "the account is open: {line}");
        }
        let sshd = vm.guest().check("sshd -T 2>/dev/null || /usr/sbin/sshd -T")?;
        ensure!(sshd.stdout.contains("passwordauthentication no"), "sshd takes passwords");
        Ok(())
    },
};

pub(crate) const NO_INTERPRETERS: Check = Check {
    name: "no_package_manager_and_no_interpreter",
    promise: "An intruder finds no package manager, no compiler, no perl and no python.",
    run: |vm| {
        let found = vm.guest().run("for name in apt apt-get dpkg perl python3 gcc cc make; do command -v $name; done; true")?;
        ensure!(found.text().is_empty(), "found: {}", found.text());
        Ok(())
    },
};

pub(crate) const WATCHDOG: Check = Check {
    name: "hardware_watchdog_is_armed",
    promise: "Where there is a hardware watchdog, a host that hangs is reset.",
    run: |vm| {
        let armed = vm.guest().wait_for("cat /sys/class/watchdog/watchdog0/state", 9, |output| output.text() == "active");
        armed.map(drop)
    },
};

pub(crate) const LOADER: Check = Check {
    name: "loader_knows_the_active_slot",
    promise: "The boot loader lists the slot that runs, under its fixed name, and holds an addon for either slot.",
    run: |vm| {
        let entries = loader_entries(vm)?;
        ensure!(entries == ["slipway-a.efi"], "a new image offers {entries:?}");
        ensure!(booted_slot(vm)? == 'a', "a new image boots slot b");
        vm.guest()
            .check("cd /boot/EFI/Linux && test -s slipway-a.efi.extra.d/slot.addon.efi && test -s slipway-b.efi.extra.d/slot.addon.efi")?;
        Ok(())
    },
};

/// Names of the systems that the boot loader offers, sorted.
pub(crate) fn loader_entries(vm: &Vm) -> anyhow::Result<Vec<String>> {
    let list = vm.guest().check("bootctl list --json=short")?;
    let list: Vec<Value> = serde_json::from_str(list.text()).with_context(|| format!("bootctl said {}", list.text()))?;
    let names = list.iter().filter_map(|entry| entry["id"].as_str());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("slipway-")).map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

/// The slot of the running system, by its kernel command line and by the partition its root is read from.
pub(crate) fn booted_slot(vm: &Vm) -> anyhow::Result<char> {
    let cmdline = vm.guest().check("cat /proc/cmdline")?;
    let says = cmdline.text().split_whitespace().find_map(|word| word.strip_prefix("slot=")).context("the command line names no slot")?;
    let partitions =
        vm.guest().check(&format!("for link in /sys/block/{}/slaves/*; do grep -h ^PARTNAME= $link/uevent; done", root_device(vm)?))?;
    ensure!(!partitions.text().is_empty(), "the root's partitions have no names");
    for line in partitions.stdout.lines() {
        let name = line.trim_start_matches("PARTNAME=");
        ensure!(name.starts_with(&format!("root-{says}")), "slot {says} reads its root from partition {name}");
    }
    says.chars().next().context("the command line names an empty slot")
}

/// Kernel name of the block device under `/`, e.g. `dm-0`. Needs neither udev nor mount tables, which come late in a boot.
pub(crate) fn root_device(vm: &Vm) -> anyhow::Result<String> {
    let link = vm.guest().check("readlink \"/sys/dev/block/$(stat -c %Hd:%Ld /)\"")?;
    let name = link.text().rsplit('/').next().unwrap_or_default();
    ensure!(name.starts_with("dm-"), "the root is on {:?}, which is no device-mapper device", link.text());
    Ok(name.to_owned())
}

/// The card driven by `driver` has the address that QEMU's DHCP server hands out.
pub(crate) fn has_address(vm: &Vm, driver: &str) -> anyhow::Result<()> {
    let cards = vm.guest().check("for card in /sys/class/net/*/device/driver; do readlink -f $card; done")?;
    ensure!(cards.stdout.lines().any(|line| line.ends_with(&format!("/{driver}"))), "no card with driver {driver}: {}", cards.text());
    let found = vm.guest().wait_for("ip -4 -o address show scope global", 9, |output| output.stdout.contains(" 10.0.2.15/24 "));
    found.map(drop)
}
