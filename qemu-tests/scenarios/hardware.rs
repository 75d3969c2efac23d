//! Real machines: disks and network cards that are not virtual.

use anyhow::ensure;
use image_builder::qemu::machine::{Credential, DiskBus, NicModel};
use qemu_tests::images::Variant;
use qemu_tests::scenario::{Bench, Scenario};

use crate::provisioning;
use crate::system::{has_address, root_device};

pub(crate) const NVME: Scenario = Scenario::new(
    "metal_boots_from_nvme",
    "The metal image boots from an NVMe disk, brings up an Intel network card, and does what a document in SMBIOS says.",
    |bench| boots(bench, DiskBus::Nvme, "nvme"),
)
.on(Variant::Metal)
.seconds(110);

pub(crate) const AHCI: Scenario = Scenario::new(
    "metal_boots_from_sata",
    "The metal image boots from a SATA disk, brings up an Intel network card, and powers off at the press of the button.",
    |bench| boots(bench, DiskBus::Ahci, "sd"),
)
.on(Variant::Metal)
.seconds(120);

fn boots(bench: &Bench<'_>, bus: DiskBus, disk: &str) -> anyhow::Result<()> {
    let mut spec = bench.spec()?;
    spec.bus = bus;
    spec.nic = NicModel::E1000e;
    spec.credentials.push(Credential::new("slipway.cloud-config", provisioning::mark("smbios")));
    let vm = bench.start("vm", &spec)?;
    vm.wait_for_boot()?;
    let parts = vm.guest().check(&format!("ls /sys/block/{}/slaves", root_device(&vm)?))?;
    ensure!(parts.stdout.lines().all(|part| part.starts_with(disk)), "the root is on: {}", parts.text());
    has_address(&vm, "e1000e")?;
    provisioning::arrived(&vm, "smbios")?;
    vm.power_off()
}
