//! One document makes a machine what it should be, whichever way it arrives.

use std::sync::Arc;

use anyhow::{Context, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::qemu::machine::{CLOUD_CONFIG, Credential, FirmwareFile};
use qemu_tests::disk::Disk;
use qemu_tests::file_server::FileServer;
use qemu_tests::media;
use qemu_tests::scenario::{Bench, Check, Scenario, When};
use qemu_tests::scratch;
use qemu_tests::vm::{Spec, Vm};
use serde_json::Value;

use crate::ssh;

/// How long after the agent answers the report may take, in KVM seconds.
const REPORT_SECS: u64 = 30;
/// How long applying a small document by hand may take, in KVM seconds.
const APPLY_SECS: u64 = 15;
/// The report of this boot.
const REPORT: &str = "/run/slipway/cloud-config.json";
/// Where documents leave their marks.
const MARKS: &str = "/etc/slipway-probe";
/// The address that QEMU's user-mode network gives to its guest.
const GUEST_IPV4: &str = "10.0.2.15";

/// The document of 2015: a cluster of etcd and fleet, and a unit that is only put in place.
const OF_2015: &str = "#cloud-config
coreos:
  etcd:
    discovery: https://discovery.example.org/<token>
    addr: $private_ipv4:4001
    peer-addr: $private_ipv4:7001
  units:
    - name: etcd.service
      command: start
    - name: fleet.service
      command: start
    - name: host.service
      runtime: no
      content: |
        [Unit]
        Description=Host
        [Service]
        ExecStart=/usr/bin/sleep infinity
        [X-Fleet]
        X-Conflicts=host@*.service
";

/// A document with a mistake on line 6.
const BROKEN: &str = "#cloud-config
hostname: from-the-document
coreos:
  units:
    - name: probe.service
      comand: start
";
const BROKEN_LINE: u64 = 6;

/// A document whose only effect is a file named after its source.
pub(crate) fn mark(name: &str) -> String {
    format!("#cloud-config\nwrite_files:\n  - path: {MARKS}/{name}\n    content: {name}\n")
}

/// Hands the shared machine its document by `fw_cfg`, so that no machine of its own is needed to see it arrive.
pub(crate) fn configure_shared(spec: &mut Spec, files: &Utf8Path) -> anyhow::Result<()> {
    spec.firmware_files.push(firmware_file(files, "shared", &mark("fw-cfg"))?);
    Ok(())
}

/// The document of [`mark`] came from the source of its name, and did its work.
pub(crate) fn arrived(vm: &Vm, name: &str) -> anyhow::Result<()> {
    let report = report(vm)?;
    ensure!(report["source"]["name"] == name, "the report names another source: {}", report["source"]);
    vm.guest().check(&format!("grep -qx {name} {MARKS}/{name}"))?;
    Ok(())
}

pub(crate) const FW_CFG: Check = Check {
    name: "configuration_by_fw_cfg",
    promise: "`image-builder run --cloud-config FILE` configures the machine at its first boot, and `cloud-config detect` says why.",
    run: |vm| {
        let report = report(vm)?;
        ensure!(report.to_string().contains("fw-cfg"), "the report does not name the source: {report}");
        vm.guest().check(&format!("grep -qx fw-cfg {MARKS}/fw-cfg"))?;
        let detected = detect(vm)?;
        ensure!(detected["source"] == "fw-cfg", "detected: {detected}");
        Ok(())
    },
};

pub(crate) const EVERY_SOURCE: Scenario = Scenario::new(
    "every_local_source_is_found_in_its_order",
    "A document is found on the kernel command line, in SMBIOS, in fw_cfg, on a config drive, on a NoCloud disk and on the oem \
              partition; where there are several, the one closest to this boot counts.",
    |bench| {
        let dir = scratch::dir("media")?;
        let dir = Utf8Path::from_path(dir.path()).context("the temporary folder's name is not UTF-8")?;
        let server = FileServer::start(&[("/cloud-config.yaml", mark("cmdline").as_bytes())])?;
        let mut spec = bench.spec()?;
        spec.image = with_oem(bench, dir, &mark("oem"))?;
        spec.services = vec![server.service()];
        let url = FileServer::guest_url("/cloud-config.yaml");
        spec.oem_strings = vec![format!("io.systemd.stub.kernel-cmdline-extra=cloud-config-url={url}")];
        spec.credentials.push(Credential::new("slipway.cloud-config", mark("smbios")));
        spec.firmware_files = vec![firmware_file(dir, "every", &mark("fw-cfg"))?];
        spec.media = vec![
            media::iso(dir, "drive", "config-2", &[("openstack/latest/user_data", mark("config-drive").as_bytes())])?,
            media::fat(dir, "seed", "CIDATA", &[("user-data", mark("nocloud").as_bytes()), ("meta-data", b"instance-id: i-1\n")])?,
        ];
        let vm = bench.start("vm", &spec)?;
        vm.wait_for_boot()?;
        let report = report(&vm)?;
        ensure!(report.to_string().contains("cmdline"), "the report does not name the source: {report}");
        vm.guest().check(&format!("grep -qx cmdline {MARKS}/cmdline && ! test -e {MARKS}/smbios && ! test -e {MARKS}/nocloud"))?;
        ensure!(server.asked() == ["/cloud-config.yaml"], "asked for: {:?}", server.asked());

        let detected = detect(&vm)?;
        let leads: Vec<&str> = detected["leads"].as_array().into_iter().flatten().filter_map(|lead| lead["source"].as_str()).collect();
        let order = ["cmdline", "smbios", "fw-cfg", "config-drive", "nocloud", "oem"];
        ensure!(leads == order, "detected in this order: {leads:?}");
        for source in &order[1..] {
            vm.guest().check_for(&format!("cloud-config apply --from {source} && grep -qx {source} {MARKS}/{source}"), APPLY_SECS)?;
        }
        // Media are looked at without a trace.
        let mounts = vm.guest().check("cat /proc/self/mounts")?;
        for device in ["/dev/vdb", "/dev/vdc", "/dev/vda6"] {
            ensure!(!mounts.stdout.contains(device), "{device} stays mounted: {}", mounts.text());
        }
        Ok(())
    },
)
.seconds(170);

pub(crate) const SERIAL: Scenario = Scenario::new(
    "serial_number_leads_to_a_seed",
    "A machine whose serial number says `ds=nocloud;s=URL` gets document and name from there.",
    |bench| {
        let server =
            FileServer::start(&[("/seed/user-data", mark("serial").as_bytes()), ("/seed/meta-data", b"local-hostname: seeded\n")])?;
        let mut spec = bench.spec()?;
        spec.services = vec![server.service()];
        spec.serial_number = Some(format!("ds=nocloud;s={}", FileServer::guest_url("/seed/")));
        let vm = bench.start("vm", &spec)?;
        vm.wait_for_boot()?;
        report(&vm)?;
        vm.guest().check(&format!("grep -qx serial {MARKS}/serial && test \"$(hostname)\" = seeded"))?;
        Ok(())
    },
)
.seconds(100);

pub(crate) const OEM: Scenario = Scenario::new(
    "oem_partition_configures_a_machine",
    "What the maker puts on the oem partition configures a machine that nobody else configures.",
    |bench| {
        let dir = scratch::dir("media")?;
        let dir = Utf8Path::from_path(dir.path()).context("the temporary folder's name is not UTF-8")?;
        let mut spec = bench.spec()?;
        spec.image = with_oem(bench, dir, &mark("oem"))?;
        let vm = bench.start("vm", &spec)?;
        vm.wait_for_boot()?;
        arrived(&vm, "oem")
    },
)
.seconds(100)
// The order of all sources, this one among them, is shown for every change.
.when(When::Full);

pub(crate) const SAMPLE_OF_2015: Scenario = Scenario::new(
    "document_of_2015_on_a_config_drive",
    "A cluster document from 2015 on a config drive is applied: addresses are put in, the unit is in place and not started, and \
              the report says what this image does not have.",
    |bench| {
        let dir = scratch::dir("media")?;
        let dir = Utf8Path::from_path(dir.path()).context("the temporary folder's name is not UTF-8")?;
        let ec2 = format!(r#"{{"instance-id": "i-2015", "local-ipv4": "{GUEST_IPV4}"}}"#);
        let files: media::Files<'_> = &[
            ("openstack/latest/user_data", OF_2015.as_bytes()),
            ("openstack/latest/meta_data.json", br#"{"hostname": "node-1", "uuid": "i-2015"}"#),
            ("ec2/latest/meta-data.json", ec2.as_bytes()),
        ];
        let mut spec = bench.spec()?;
        spec.media = vec![media::iso(dir, "drive", "config-2", files)?];
        let vm = bench.start("vm", &spec)?;
        vm.wait_for_agent()?;
        let report = report(&vm)?;
        for word in ["config-drive", "fleet.service"] {
            ensure!(report.to_string().contains(word), "the report does not name {word}: {report}");
        }
        vm.guest().check("grep -qxF '[X-Fleet]' /etc/systemd/system/host.service && test \"$(hostname)\" = node-1")?;
        ensure!(vm.guest().run("systemctl is-active host.service")?.text() == "inactive", "host.service was started");
        let configured =
            format!("grep -rqsF '{GUEST_IPV4}' /etc/systemd/system /run/systemd/system /etc/slipway /run/slipway /etc/default");
        vm.guest().check(&configured).context("nothing holds the address that etcd is to use")?;
        ensure!(!vm.guest().run("grep -rqsF '$private_ipv4' /etc/systemd/system /run/systemd/system")?.success(), "a token stays");
        Ok(())
    },
)
.seconds(110)
// The discovery service of the document is out of reach here.
.allow(&["Failed to start", "Dependency failed for"]);

pub(crate) const BROKEN_DOCUMENT: Scenario = Scenario::new(
    "broken_document_leaves_a_machine_one_can_log_in_to",
    "With a mistake in its document a machine still boots, lets in who the platform's metadata names, applies nothing of the \
              document, and says file and line of the mistake.",
    |bench| {
        let dir = scratch::dir("media")?;
        let dir = Utf8Path::from_path(dir.path()).context("the temporary folder's name is not UTF-8")?;
        let key = String::from_utf8(ssh::credential()?.value).context("the public key is not UTF-8")?;
        let meta_data = format!("instance-id: i-broken\nlocal-hostname: still-here\npublic-keys:\n  - {}\n", key.trim());
        let mut spec = bench.spec()?;
        spec.guest_ports = vec![ssh::PORT];
        let files: media::Files<'_> = &[("user-data", BROKEN.as_bytes()), ("meta-data", meta_data.as_bytes())];
        spec.media = vec![media::fat(dir, "seed", "CIDATA", files)?];
        let vm = bench.start("vm", &spec)?;
        vm.wait_for_agent()?;
        let report = report(&vm)?;
        ensure!(report.to_string().contains("user-data"), "the report does not name the file: {report}");
        ensure!(has_line(&report, BROKEN_LINE), "the report does not name line {BROKEN_LINE}: {report}");
        wait_for_ssh(&vm)?;
        let who = ssh::ssh(&vm, "core", true, "id -un; hostname")?;
        ensure!(who == "core\nstill-here\n", "core is {who:?}");
        Ok(())
    },
)
.seconds(110)
.allow(&["Failed to start"]);

/// The report of this boot, once it is there.
fn report(vm: &Vm) -> anyhow::Result<Value> {
    let output = vm.guest().wait_for(&format!("cat {REPORT}"), REPORT_SECS, |output| output.success() && !output.text().is_empty())?;
    serde_json::from_str(&output.stdout).with_context(|| format!("{REPORT} holds {}", output.text()))
}

fn detect(vm: &Vm) -> anyhow::Result<Value> {
    let output = vm.guest().check("cloud-config detect --json")?;
    serde_json::from_str(&output.stdout).with_context(|| format!("cloud-config detect said {}", output.text()))
}

/// Whether `"line": wanted` stands anywhere in a report.
fn has_line(report: &Value, wanted: u64) -> bool {
    match report {
        Value::Object(map) => map.iter().any(|(key, value)| (key == "line" && *value == wanted) || has_line(value, wanted)),
        Value::Array(list) => list.iter().any(|value| has_line(value, wanted)),
        _ => false,
    }
}

fn wait_for_ssh(vm: &Arc<Vm>) -> anyhow::Result<()> {
    // A service that listens is of no use before the network is there.
    let reachable = "systemctl is-active ssh.service && ip -4 -o address show scope global | grep -q ' 10.0.2.15/'";
    vm.guest().wait_for(reachable, REPORT_SECS, |output| output.success() && output.text() == "active").map(drop)
}

/// `text` in a file that QEMU hands to the guest.
fn firmware_file(dir: &Utf8Path, name: &str, text: &str) -> anyhow::Result<FirmwareFile> {
    let file = dir.join(format!("{name}.yaml"));
    std::fs::write(&file, text).with_context(|| format!("writing {file}"))?;
    Ok(FirmwareFile { name: CLOUD_CONFIG.to_owned(), file })
}

/// A copy of the image whose oem partition holds a document.
fn with_oem(bench: &Bench<'_>, dir: &Utf8Path, text: &str) -> anyhow::Result<Utf8PathBuf> {
    let disk = Disk::copy_of(&bench.image()?, dir)?;
    let image = media::fat(dir, "oem", "OEM", &[("cloud-config.yml", text.as_bytes())])?;
    disk.fill(disk.partition("oem")?, &image)?;
    Ok(disk.path().to_owned())
}
