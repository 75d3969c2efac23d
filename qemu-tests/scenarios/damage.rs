//! Bits that flip on the disk are noticed, always.

use anyhow::{bail, ensure};
use qemu_tests::console;
use qemu_tests::disk::BLOCK;
use qemu_tests::scenario::Scenario;

use crate::system::root_device;

/// Where the 16 bytes of an EROFS file system's UUID are. Nothing reads them: only the hash tree can object to a change.
const EROFS_UUID_AT: u64 = 1024 + 48;

pub(crate) const FLIPPED_BIT: Scenario = Scenario::new(
    "flipped_bit_in_the_root_is_never_read",
    "One bit that changed in the root file system makes reading that block an error; the rest stays readable.",
    |bench| {
        let disk = bench.disk()?;
        let root = disk.partition("root-a")?;
        // Late in the image and away from its metadata: most boots do not need what is there.
        let block = disk.erofs_blocks(root)? * 7 / 10;
        disk.flip_bit(root, block * BLOCK + 123)?;
        let mut spec = bench.spec()?;
        spec.image = disk.path().to_owned();
        let vm = bench.start("vm", &spec)?;
        let message = format!("data block {block} is corrupted");
        if let Err(error) = vm.wait_for_agent() {
            ensure!(vm.console()?.contains(&message), "the machine did not boot, and not because of the bit: {error:#}");
            return Ok(());
        }
        let device = root_device(&vm)?;
        let read = |block: u64| vm.guest().run(&format!("dd if=/dev/{device} of=/dev/null bs={BLOCK} skip={block} count=1"));
        let damaged = read(block)?;
        ensure!(!damaged.success(), "a damaged block can be read");
        ensure!(damaged.stderr.contains("Input/output error"), "reading fails for another reason: {damaged}");
        for neighbour in [block - 1, block + 1] {
            let output = read(neighbour)?;
            ensure!(output.success(), "the block beside the damaged one: {output}");
        }
        let log = vm.guest().check("dmesg")?;
        ensure!(log.stdout.contains(&message), "the kernel does not say: {message}");
        Ok(())
    },
)
.seconds(110)
// Boot may or may not touch the damaged block.
.allow(&["is corrupted", "I/O error"]);

pub(crate) const FLIPPED_SUPERBLOCK: Scenario = Scenario::new(
    "damaged_root_does_not_boot_and_does_not_hang",
    "A root file system whose first block was changed is not mounted, and the machine restarts instead of waiting for a person.",
    |bench| {
        let disk = bench.disk()?;
        disk.flip_bit(disk.partition("root-a")?, EROFS_UUID_AT)?;
        let mut spec = bench.spec()?;
        spec.image = disk.path().to_owned();
        let vm = bench.start("vm", &spec)?;
        vm.wait("the machine gives up and restarts", 24, || {
            if vm.guest().boot_id().is_ok() {
                bail!("a damaged root booted");
            }
            Ok((console::boots(&vm.console()?) >= 2).then_some(()))
        })?;
        let console = vm.console()?;
        ensure!(console.contains("data block 0 is corrupted"), "the restart has another reason than the damaged block");
        Ok(())
    },
)
.seconds(80)
.allow(&[
    "is corrupted",
    "I/O error",
    "Failed to start",
    "Failed to mount",
    "Dependency failed for",
    "Timed out waiting for device",
    "emergency.target",
]);
