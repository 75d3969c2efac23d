//! What a host keeps: everything it was told, through every kind of restart.

use anyhow::{Context, ensure};
use camino::Utf8Path;
use qemu_tests::scenario::{Check, Scenario};
use qemu_tests::vm::{DISK_BYTES, Vm};

/// What alignment and the backup partition table may leave unused at the end of the disk, in bytes.
const SLACK_BYTES: u64 = 2 << 20;

const SECTOR: u64 = 512;

pub(crate) const FILLS_THE_DISK: Check = Check {
    name: "state_partition_fills_the_disk",
    promise: "On a disk larger than the image, the state partition and its file system take all that is left.",
    run: |vm| {
        let script = "part=$(basename \"$(findmnt -nro SOURCE /var)\"); cd /sys/class/block/$part; \
                      echo \"$(<start) $(<size) $(df -B1 --output=size /var | tail -n 1)\"; grep -h ^PARTNAME= uevent";
        let output = vm.guest().check(script)?;
        ensure!(output.stdout.contains("PARTNAME=state"), "/var is on another partition: {}", output.text());
        let numbers: Vec<u64> = output.stdout.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let &[start, size, file_system] = numbers.as_slice() else { anyhow::bail!("three numbers expected: {}", output.text()) };
        let end = (start + size) * SECTOR;
        ensure!(end + SLACK_BYTES >= DISK_BYTES, "the partition ends at {end} of {DISK_BYTES} bytes");
        // ext4 keeps a few percent for itself.
        ensure!(file_system >= size * SECTOR / 100 * 92, "the file system has {file_system} of {} bytes", size * SECTOR);
        Ok(())
    },
};

pub(crate) const SURVIVES: Scenario = Scenario::new(
    "state_survives_reboot_and_crash",
    "Changes under /etc, /var and /home, the machine's identity and its ssh host keys survive a reboot and a kernel panic, \
              after which the machine comes back by itself.",
    |bench| {
        let vm = bench.fork("vm", &bench.spec()?)?;
        change(&vm)?;
        let before = remembered(&vm)?;

        let boot = vm.reboot()?;
        ensure!(remembered(&vm)? == before, "after a reboot the host remembers\n{}\ninstead of\n{before}", remembered(&vm)?);

        vm.guest().check("sync; (sleep 1; echo c > /proc/sysrq-trigger) > /dev/null 2>&1 &")?;
        vm.wait_for_boot_after(&boot).context("after a kernel panic")?;
        vm.wait_for_boot().context("after a kernel panic")?;
        ensure!(remembered(&vm)? == before, "after a crash the host remembers\n{}\ninstead of\n{before}", remembered(&vm)?);
        vm.power_off()
    },
)
.seconds(280)
.allow(&["Kernel panic"]);

/// Where ext4 keeps its superblock's checksum, in bytes from the beginning of the partition.
const CHECKSUM_AT: u64 = 1024 + 0x3fc;

pub(crate) const TORN: Scenario = Scenario::new(
    "torn_superblock_of_the_state_partition_costs_nothing",
    "When a power cut tears the superblock of the state partition, which nobody recognises then, it is mended and not made anew.",
    |bench| {
        let vm = bench.fork("vm", &bench.spec()?)?;
        change(&vm)?;
        let before = remembered(&vm)?;
        let boot = vm.guest().boot_id()?;
        // The second of its two sectors alone is what a write that was under way left.
        let tear = format!(
            "sync; disk=$(readlink -f /dev/disk/by-partlabel/state) && \
             printf torn | dd of=$disk bs=1 seek={CHECKSUM_AT} conv=notrunc,fsync && dd if=$disk bs=1 skip={CHECKSUM_AT} count=4 iflag=nocache"
        );
        let torn = vm.guest().check(&tear)?;
        ensure!(torn.stdout.ends_with("torn"), "the checksum was not changed: {torn}");
        vm.reset()?;
        vm.wait_for_boot_after(&boot)?;
        ensure!(remembered(&vm)? == before, "the host remembers\n{}\ninstead of\n{before}", remembered(&vm)?);
        ensure!(vm.console()?.contains("its checksum was computed anew"), "nothing was mended, so nothing was torn");
        Ok(())
    },
)
.seconds(120);

/// A new file, a changed file and a removed file in /etc, and files where users and services keep theirs.
fn change(vm: &Vm) -> anyhow::Result<()> {
    vm.guest().write_file(Utf8Path::new("/var/lib/slipway-probe/data"), &[7; 100_000])?;
    vm.guest().check(
        "echo new > /etc/slipway-probe && echo '# probe' >> /etc/hosts && rm /etc/issue.net && \
         echo home > /home/core/probe && chown core:core /home/core/probe && echo root > /root/probe",
    )?;
    Ok(())
}

/// Everything that must be the same after a restart.
fn remembered(vm: &Vm) -> anyhow::Result<String> {
    let output = vm.guest().check(
        "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub /etc/slipway-probe /etc/hosts /home/core/probe /root/probe && \
         sha256sum /var/lib/slipway-probe/data && stat -c '%n %a %U' /home/core/probe /etc/ssh/ssh_host_ed25519_key && \
         ! test -e /etc/issue.net",
    )?;
    Ok(output.stdout)
}
