//! With Secure Boot enforced, our signature is the only way in.

use anyhow::{Context, bail, ensure};
use camino::Utf8Path;
use image_builder::cmd::Cmd;
use image_builder::qemu::secure_boot::certificate_in;
use qemu_tests::disk::Disk;
use qemu_tests::pe;
use qemu_tests::scenario::{Bench, Scenario, When};

const UKI: &str = "EFI/Linux/slipway-a.efi";
/// What belongs beside it, and what a stranger with the disk in their hands leaves there.
const ADDON: &str = "EFI/Linux/slipway-a.efi.extra.d/slot.addon.efi";
const FOREIGN_ADDON: &str = "EFI/Linux/slipway-a.efi.extra.d/stranger.addon.efi";
const FOREIGN_CREDENTIAL: &str = "EFI/Linux/slipway-a.efi.extra.d/ssh.authorized_keys.core.cred";
/// A key for core's login, as `systemd-creds encrypt --with-key=null` seals it: with a key that everybody has.
const SEALED_FOR_NOBODY: &str = "BYRp2vb1QySABUnaD46i+yAAAAABAAAADAAAABAAAAAdZY1wgicvp60R3GsAAAAAHotH36oXJZBOkp9BvfyiILDiSgbgp5BNid1p\
     GUY8sYDhsu7LJfwtamwFk+Wouq+gFktPMB/r+xW2j+pDxp8+tKBR/26UC98vkWEe9J6okHx8C1Jx1AgDv/CiDx3CFpkg8RU=";
/// How long a boot may take, in KVM seconds.
const BOOT_SECS: u64 = 60;
/// Whose key that is.
const STRANGER: &str = "stranger";

/// What systemd-boot and OVMF say when a signature does not convince them.
const REFUSALS: &[&str] = &["Access denied", "Access Denied", "Security violation", "Security Violation"];

pub(crate) const SIGNED: Scenario = Scenario::new(
    "secure_boot_accepts_our_image",
    "With Secure Boot enforced and only our certificate enrolled, loader, UKI and addon boot, and an addon that a stranger left there is not heard.",
    |bench| {
        let disk = bench.disk()?;
        let mut addon = pe::strip_signature(&disk.esp_read(ADDON)?)?;
        pe::replace_in(&mut addon, ".cmdline", b"slot=a", b"evil=1")?;
        disk.esp_write(FOREIGN_ADDON, &addon)?;
        let mut spec = bench.spec()?;
        spec.image = disk.path().to_owned();
        spec.enforce = Some(certificate_in(bench.keys()?.as_std_path())?);
        let vm = bench.start("vm", &spec)?;
        vm.wait_for_boot()?;
        let variable = vm.guest().check("od -An -tu1 /sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")?;
        ensure!(variable.text().split_whitespace().next_back() == Some("1"), "the firmware says SecureBoot is {}", variable.text());
        let status = vm.guest().check("bootctl status --no-pager")?;
        ensure!(status.stdout.contains("Secure Boot: enabled"), "bootctl says\n{}", status.stdout);
        // The addon is what names the slot: it was accepted as well.
        vm.guest().check("grep -qw slot=a /proc/cmdline")?;
        vm.guest().check("! grep -q evil /proc/cmdline")?;
        Ok(())
    },
)
.seconds(110);

pub(crate) const CREDENTIAL: Scenario = Scenario::new(
    "secure_boot_and_a_tpm_refuse_a_strangers_credential",
    "With Secure Boot and a TPM, a credential beside the UKI that is sealed with the key that everybody has lets nobody in.",
    |bench| {
        let disk = bench.disk()?;
        disk.esp_write(FOREIGN_CREDENTIAL, SEALED_FOR_NOBODY.as_bytes())?;
        let mut spec = bench.spec()?;
        spec.image = disk.path().to_owned();
        spec.enforce = Some(certificate_in(bench.keys()?.as_std_path())?);
        // Without one, systemd takes such a credential: see "Out of scope" in docs/security.md.
        spec.tpm = true;
        let vm = bench.start("vm", &spec)?;
        vm.wait_for_agent()?;
        let refused = "journalctl -b --no-pager | grep 'TPM2 is present, and SecureBoot is enabled, refusing' || true";
        vm.guest().wait_for(refused, BOOT_SECS, |said| !said.text().is_empty())?;
        vm.guest().wait_for("systemctl is-active multi-user.target || true", BOOT_SECS, |said| said.text() == "active")?;
        vm.guest().check(&format!("! grep -rq {STRANGER} /home/core/.ssh /run/credentials"))?;
        Ok(())
    },
)
.seconds(130)
.when(When::Full)
// The unit that would have written the key says that it did not get it; the console shortens names.
.allow(&["systemd-tmpfiles-s", "reate System Files and Directories"]);

pub(crate) const OTHERS: Scenario = Scenario::new(
    "secure_boot_refuses_other_images",
    "With Secure Boot enforced, a UKI that is unsigned, changed by one bit, or signed by another key does not start.",
    |bench| {
        let disk = bench.disk()?;
        let signed = disk.esp_read(UKI)?;
        let unsigned = pe::strip_signature(&signed)?;
        let mut changed = signed;
        pe::flip_bit_in(&mut changed, ".cmdline")?;
        let foreign = sign_with_another_key(&unsigned, disk.path().parent().context("the disk lies nowhere")?)?;
        for (name, uki) in [("unsigned", unsigned), ("changed", changed), ("foreign", foreign)] {
            disk.esp_write(UKI, &uki)?;
            is_refused(bench, name, &disk)?;
        }
        Ok(())
    },
)
.seconds(70);

fn is_refused(bench: &Bench<'_>, name: &str, disk: &Disk) -> anyhow::Result<()> {
    let mut spec = bench.spec()?;
    spec.image = disk.path().to_owned();
    spec.enforce = Some(certificate_in(bench.keys()?.as_std_path())?);
    let vm = bench.start(name, &spec)?;
    vm.wait(&format!("the {name} UKI is refused"), 12, || {
        if vm.guest().boot_id().is_ok() {
            bail!("the {name} UKI booted");
        }
        // Refused is the UKI, not the loader or anything else the firmware tries: one line names both.
        let refused = |line: &str| line.contains("slipway-a.efi") && REFUSALS.iter().any(|words| line.contains(words));
        Ok(vm.console()?.lines().any(refused).then_some(()))
    })?;
    vm.kill();
    Ok(())
}

fn sign_with_another_key(uki: &[u8], dir: &Utf8Path) -> anyhow::Result<Vec<u8>> {
    let (key, certificate, plain, signed) = (dir.join("k.key"), dir.join("k.crt"), dir.join("plain.efi"), dir.join("signed.efi"));
    Cmd::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=somebody else", "-days", "3650", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .run()?;
    std::fs::write(&plain, uki).with_context(|| format!("writing {plain}"))?;
    Cmd::new("sbsign").arg("--key").arg(&key).arg("--cert").arg(&certificate).arg("--output").arg(&signed).arg(&plain).run()?;
    std::fs::read(&signed).with_context(|| format!("reading {signed}"))
}
