//! A machine with a TPM: what booted is measured.

use anyhow::ensure;
use qemu_tests::scenario::{Scenario, When};
use qemu_tests::vm::Vm;

/// The register into which systemd-stub measures the parts of the UKI (UAPI group, "Linux TPM PCR Registry").
const UKI_REGISTER: u8 = 11;
/// The register of Secure Boot's state and keys (TCG PC Client Platform Firmware Profile).
const SECURE_BOOT_REGISTER: u8 = 7;

pub(crate) const MEASURED: Scenario = Scenario::new(
    "tpm_measures_what_was_booted",
    "On a machine with a TPM 2.0 the firmware measures its keys and the loader the UKI, the same values at every boot.",
    |bench| {
        let mut spec = bench.spec()?;
        spec.tpm = true;
        let vm = bench.start("vm", &spec)?;
        vm.wait_for_boot()?;
        let first = [register(&vm, UKI_REGISTER)?, register(&vm, SECURE_BOOT_REGISTER)?];
        for value in &first {
            ensure!(value.len() == 64 && value.chars().any(|digit| digit != '0'), "a register was not extended: {first:?}");
        }
        let seen = vm.guest().run("systemd-analyze has-tpm2")?;
        ensure!(seen.stdout.contains("+firmware") && seen.stdout.contains("+driver"), "systemd does not see it: {seen}");
        vm.reboot()?;
        let second = [register(&vm, UKI_REGISTER)?, register(&vm, SECURE_BOOT_REGISTER)?];
        ensure!(first == second, "the same image measures differently: {first:?}, then {second:?}");
        Ok(())
    },
)
.seconds(130)
.when(When::Full);

fn register(vm: &Vm, number: u8) -> anyhow::Result<String> {
    Ok(vm.guest().check(&format!("cat /sys/class/tpm/tpm0/pcr-sha256/{number}"))?.text().to_owned())
}
