//! A fleet of one moves to new releases, and survives bad ones: real images, a real server, real firmware.

use std::sync::Arc;

use anyhow::{Context, ensure};
use camino::Utf8Path;
use qemu_tests::scenario::{Bench, Scenario, When};
use qemu_tests::scratch;
use qemu_tests::update_server::UpdateServer;
use qemu_tests::vm::{Spec, Vm};
use serde_json::Value;

use crate::system::booted_slot;

/// The release that machines start from: the release suite alone.
pub(crate) const INITIAL: &str = "1.0.0";
/// The same OS with all updates of its suite.
pub(crate) const UPDATED: &str = "1.0.1";
/// The same once more.
pub(crate) const NEXT: &str = "1.0.2";
/// Docker does not start in it.
pub(crate) const WITHOUT_DOCKER: &str = "1.0.3";
/// Its kernel panics.
const PANICS: &str = "1.0.4";

/// How long a release may take from the check until the machine answers from its new slot, in KVM seconds.
pub(crate) const UPDATE_SECS: u64 = 160;
/// How long a trial may take to be committed after the machine answers, in KVM seconds.
pub(crate) const COMMIT_SECS: u64 = 90;

pub(crate) const TWICE: Scenario = Scenario::new(
    "updates_twice_and_keeps_everything",
    "A machine on 1.0.0 moves to 1.0.1 and 1.0.2 by itself, slots A, B, A; Docker volumes and changes in /etc are still there. \
     A server restored from yesterday's backup does not take it back.",
    |bench| {
        let fleet = Fleet::start(bench, INITIAL, "strategy = \"immediate\"\nwait-for-users = \"0s\"")?;
        let vm = &fleet.vm;
        vm.guest().check(
            "echo kept > /etc/slipway-probe && echo '# kept' >> /etc/hosts && docker volume create probe && \
             echo kept > /var/lib/docker/volumes/probe/_data/file && sync",
        )?;
        let mut yesterday = None;
        for (version, slot) in [(UPDATED, 'b'), (NEXT, 'a')] {
            let boot = vm.wait_for_agent()?;
            fleet.server.roll_out(version)?;
            vm.guest().check("updater check")?;
            fleet.wait_for_other_boot(&boot)?;
            ensure!(booted_slot(vm)? == slot, "{version} runs from slot {}", booted_slot(vm)?);
            fleet.wait_for_version(version)?;
            vm.guest().check(&format!("grep -qx 'default slipway-{slot}.efi' /boot/loader/loader.conf"))?;
            vm.guest().check("grep -qx kept /etc/slipway-probe && tail -n1 /etc/hosts | grep -qx '# kept'")?;
            vm.guest().check("docker volume ls -q | grep -qx probe && grep -qx kept /var/lib/docker/volumes/probe/_data/file")?;
            fleet.server_knows(|machine| machine["version"] == version)?;
            if yesterday.is_none() {
                yesterday = Some(fleet.server.back_up()?);
                // From here on the list of releases is a newer one.
                let publisher = Thief::new(bench, &fleet.server, NEXT)?;
                publisher.go_on()?;
                publisher.sign_with(&bench.keys()?, jiff::Timestamp::now(), |_| {})?;
            }
        }
        let yesterday = yesterday.context("nothing was backed up")?;
        let boot = vm.reboot()?;
        ensure!(booted_slot(vm)? == 'a', "the committed slot does not stay ({boot})");

        // The server is lost, and comes back as it was before all this.
        fleet.server.restore(&yesterday)?;
        fleet.stays_on(NEXT)
    },
)
.seconds(560);

pub(crate) const BAD_DOCKER: Scenario = Scenario::new(
    "release_without_docker_is_rolled_back_and_quarantined",
    "A release whose Docker does not start is left again by itself, is never tried again, and the server shows the cause.",
    |bench| {
        let fleet = Fleet::start(bench, INITIAL, "strategy = \"immediate\"\nwait-for-users = \"0s\"")?;
        fleet.falls_back_from(WITHOUT_DOCKER, "docker")
    },
)
.seconds(480)
.allow(&["Failed to start", "Dependency failed for"]);

pub(crate) const BAD_KERNEL: Scenario = Scenario::new(
    "release_that_panics_is_rolled_back_and_quarantined",
    "A release whose kernel panics gives way to the old one by itself and is never tried again.",
    |bench| {
        let fleet = Fleet::start(bench, INITIAL, "strategy = \"immediate\"\nwait-for-users = \"0s\"")?;
        fleet.falls_back_from(PANICS, "trial")
    },
)
.seconds(420)
.allow(&["Kernel panic", "Unable to mount root"]);

pub(crate) const BAD_ROOT: Scenario = Scenario::new(
    "root_corrupted_after_the_flip_is_rolled_back",
    "A root that is damaged between the flip and the reboot does not run: verity refuses it and the old slot comes back.",
    |bench| {
        let fleet = Fleet::start(bench, INITIAL, "strategy = \"off\"")?;
        let vm = &fleet.vm;
        fleet.server.roll_out(UPDATED)?;
        fleet.apply()?;
        // The superblock of the file system: without it nothing of the slot can run.
        vm.guest().check("dd if=/dev/urandom of=/dev/disk/by-partlabel/root-b bs=4096 count=64 conv=notrunc,fsync")?;
        let boot = vm.wait_for_agent()?;
        vm.guest().check("updater reboot")?;
        fleet.wait_for_other_boot(&boot)?;
        fleet.is_back_on(INITIAL, UPDATED, "trial")
    },
)
.seconds(420)
// That a slot whose root cannot be opened gives way, and that damage is not mounted, is shown for every change by scenarios of their own.
.when(When::Full)
.allow(&[
    "Failed to start",
    "Failed to mount",
    "Dependency failed for",
    "Timed out waiting for device",
    "emergency.target",
    "I/O error",
    "corrupted",
]);

pub(crate) const INTERRUPTED: Scenario = Scenario::new(
    "interruptions_lose_nothing",
    "When the server goes away or the power fails in the middle of an update, the machine goes on with what it has; when the \
              power fails in the middle of the trial, the old release comes back.",
    |bench| {
        let fleet = Fleet::start(bench, INITIAL, "strategy = \"off\"\nwait-for-users = \"0s\"")?;
        let vm = &fleet.vm;
        fleet.limit_bandwidth(4 << 20)?;
        fleet.server.roll_out(UPDATED)?;
        vm.guest().check("systemd-run --quiet --unit=apply updater apply")?;
        fleet.wait_for_progress(10)?;
        fleet.server.stop();
        ensure!(fleet.bootable_entries()? == ["slipway-a.efi"], "a slot that is being written can be booted");
        fleet.server.resume()?;
        fleet.wait_for_progress(30)?;

        let boot = vm.wait_for_agent()?;
        vm.reset()?;
        vm.wait_for_boot_after(&boot)?;
        let boot = vm.wait_for_boot()?;
        ensure!(booted_slot(vm)? == 'a', "slot a does not come back after a power cut");
        ensure!(fleet.bootable_entries()? == ["slipway-a.efi"], "a half-written slot can be booted");
        fleet.limit_bandwidth(1 << 30)?;
        fleet.apply()?;
        ensure!(fleet.bootable_entries()? == ["slipway-a.efi", "slipway-b.efi"], "the staged slot cannot be booted");

        vm.guest().check("updater reboot")?;
        let trial = fleet.wait_for_other_boot(&boot)?;
        ensure!(booted_slot(vm)? == 'b', "the trial did not boot slot b");
        vm.reset()?;
        fleet.wait_for_other_boot(&trial)?;
        fleet.is_back_on(INITIAL, UPDATED, "trial")
    },
)
.seconds(520);

pub(crate) const REFUSED: Scenario = Scenario::new(
    "what_is_not_signed_for_this_machine_now_is_refused",
    "Metadata by other keys, expired or older metadata, and releases for another version, architecture or image are refused \
              with a reason, and nothing was written; without an update in sight the machine writes to its state partition alone.",
    |bench| {
        let fleet = Fleet::start(bench, INITIAL, "strategy = \"off\"")?;
        let guest = fleet.vm.guest();
        let written = "cat /sys/class/block/vda[2-6]/stat | awk '{ print $5, $7 }'; find /boot -type f -exec sha256sum {} +";
        let before = guest.check(written)?.stdout;
        fleet.server.roll_out(NEXT)?;

        let thief = Thief::new(bench, &fleet.server, NEXT)?;
        let now = jiff::Timestamp::now();
        for (what, word) in [("other keys", "signed"), ("two years ago", "expired")] {
            match what {
                "other keys" => thief.sign_with(&thief.other_keys()?, now, |_| {})?,
                _ => thief.sign_with(&bench.keys()?, now - jiff::SignedDuration::from_hours(24 * 800), |_| {})?,
            }
            fleet.refuses(what, word)?;
        }
        let metal = payload::app_id("slipway", "metal");
        type Lie<'a> = (&'a str, &'a str, Box<dyn Fn(&mut payload::Release) + 'a>);
        let lies: [Lie<'_>; 3] = [
            ("another image", "application", Box::new(|release| release.app_id.clone_from(&metal))),
            ("another architecture", "architecture", Box::new(|release| release.arch = "arm64".into())),
            ("an older version", "version", Box::new(|release| release.version = payload::Version::new(0, 9, 0))),
        ];
        for (what, word, lie) in &lies {
            thief.sign_with(&bench.keys()?, now, lie)?;
            fleet.refuses(what, word)?;
        }
        // By now the machine has seen several versions of the metadata; the first one is a step back.
        thief.forget()?;
        thief.sign_with(&bench.keys()?, now, |_| {})?;
        fleet.refuses("older metadata", "older")?;
        ensure!(guest.check(written)?.stdout == before, "something was written");
        Ok(())
    },
)
.seconds(300);

/// Somebody who has the server's disk, and sometimes keys.
struct Thief {
    dir: tempfile::TempDir,
    /// What machines are served.
    served: camino::Utf8PathBuf,
    release: payload::Release,
}

impl Thief {
    fn new(bench: &Bench<'_>, server: &UpdateServer, version: &str) -> anyhow::Result<Self> {
        let name = format!("targets/slipway-vm-{version}-amd64/release.json");
        let bytes = std::fs::read(bench.images().repository().join(&name)).with_context(|| format!("reading {name}"))?;
        let release = payload::Release::parse(&bytes).context("reading the release")?;
        let dir = scratch::dir("thief")?;
        Ok(Self { dir, served: server.data().join("repository"), release })
    }

    fn repository(&self) -> std::path::PathBuf {
        self.dir.path().join("repository")
    }

    fn other_keys(&self) -> anyhow::Result<camino::Utf8PathBuf> {
        let keys = self.dir.path().join("keys");
        image_builder::keys::generate(&keys, jiff::Timestamp::now())?;
        camino::Utf8PathBuf::from_path_buf(keys).ok().context("the temporary folder's name is not UTF-8")
    }

    /// Signs the release, changed by `lie`, as if it were `now`, and serves that.
    fn sign_with(&self, keys: &Utf8Path, now: jiff::Timestamp, lie: impl Fn(&mut payload::Release)) -> anyhow::Result<()> {
        let mut release = self.release.clone();
        lie(&mut release);
        let folder = self.release.folder();
        for (name, bytes) in [("release.json", release.to_json())] {
            for targets in [self.repository().join("targets"), self.served.join("targets").into_std_path_buf()] {
                let path = targets.join(&folder).join(name);
                std::fs::create_dir_all(targets.join(&folder)).context("making the release's folder")?;
                std::fs::write(&path, &bytes).with_context(|| format!("writing {}", path.display()))?;
            }
        }
        for name in ["root.erofs.zst", "root.verity.zst", "slipway.efi.zst"] {
            std::fs::copy(self.served.join("targets").join(&folder).join(name), self.repository().join("targets").join(&folder).join(name))
                .with_context(|| format!("copying {name}"))?;
        }
        // Other keys cannot continue a list that they did not sign.
        if keys.as_std_path().starts_with(self.dir.path()) {
            self.forget()?;
        }
        image_builder::release::repository::sign(
            &self.repository(),
            keys.as_std_path(),
            std::slice::from_ref(&self.release),
            Default::default(),
            now,
        )?;
        if keys.as_std_path().starts_with(self.dir.path()) {
            self.serve()?;
            return self.forget();
        }
        self.serve()
    }

    fn serve(&self) -> anyhow::Result<()> {
        let tuf = self.repository().join("tuf");
        for entry in std::fs::read_dir(&tuf).context("reading the metadata")? {
            let path = entry.context("reading the metadata")?.path();
            std::fs::copy(&path, self.served.join("tuf").join(path.file_name().unwrap_or_default().to_string_lossy().as_ref()))
                .with_context(|| format!("copying {}", path.display()))?;
        }
        Ok(())
    }

    /// Begins with the metadata that is served, so that the next one is its successor.
    fn go_on(&self) -> anyhow::Result<()> {
        let (from, to) = (self.served.join("tuf"), self.repository().join("tuf"));
        std::fs::create_dir_all(&to).with_context(|| format!("making {}", to.display()))?;
        for entry in from.read_dir_utf8().with_context(|| format!("reading {from}"))? {
            let entry = entry.with_context(|| format!("reading {from}"))?;
            std::fs::copy(entry.path(), to.join(entry.file_name())).with_context(|| format!("copying {}", entry.path()))?;
        }
        Ok(())
    }

    /// Begins the metadata anew, at version 1.
    fn forget(&self) -> anyhow::Result<()> {
        let tuf = self.repository().join("tuf");
        if tuf.exists() {
            std::fs::remove_dir_all(&tuf).context("removing the metadata")?;
        }
        Ok(())
    }
}

/// Tells a machine's updater about the server, and never to ask it by itself; `more` is added, `reboot` says when to reboot.
pub(crate) fn configure(vm: &Vm, more: &str, reboot: &str) -> anyhow::Result<()> {
    let url = UpdateServer::guest_url();
    let text = format!("server = \"{url}\"\n{more}\n[check]\nfirst = \"1h\"\n[reboot]\n{reboot}\n[health]\ndeadline = \"4m\"\n");
    vm.guest().write_file(Utf8Path::new("/etc/slipway/updater.toml"), text.as_bytes())
}

/// A server and a machine that knows it.
pub(crate) struct Fleet {
    pub(crate) server: UpdateServer,
    pub(crate) vm: Arc<Vm>,
    reboot: &'static str,
}

impl Fleet {
    pub(crate) fn start(bench: &Bench<'_>, version: &str, reboot: &'static str) -> anyhow::Result<Self> {
        let server = UpdateServer::start(bench.logs())?;
        server.publish(&bench.images().repository())?;
        let mut spec = Spec::new(bench.images().release(version)?);
        spec.services = vec![server.service()];
        let vm = bench.fork("vm", &spec)?;
        Self::on(server, vm, reboot)
    }

    /// A machine that has booted, and is now told of `server`.
    pub(crate) fn on(server: UpdateServer, vm: Arc<Vm>, reboot: &'static str) -> anyhow::Result<Self> {
        let fleet = Self { server, vm, reboot };
        fleet.configure("")?;
        Ok(fleet)
    }

    fn configure(&self, more: &str) -> anyhow::Result<()> {
        configure(&self.vm, more, self.reboot)
    }

    pub(crate) fn limit_bandwidth(&self, bytes: u64) -> anyhow::Result<()> {
        self.configure(&format!("bandwidth-limit = {bytes}"))
    }

    /// What `updater status` says; nothing while the machine is between two boots, or the daemon is not up yet.
    pub(crate) fn status(&self) -> Option<Value> {
        let output = self.vm.guest().run("updater status --json").ok()?;
        serde_json::from_str(&output.stdout).ok()
    }

    /// Stages what the server offers, and waits for it.
    pub(crate) fn apply(&self) -> anyhow::Result<()> {
        self.vm.guest().check_for("updater apply", UPDATE_SECS)?;
        Ok(())
    }

    /// A person asks for the update and hears why not.
    pub(crate) fn refuses(&self, what: &str, word: &str) -> anyhow::Result<()> {
        let output = self.vm.guest().run_for("updater apply", UPDATE_SECS)?;
        let said = format!("{}{}", output.stdout, output.stderr).to_lowercase();
        ensure!(!output.success(), "{what}: it was taken");
        ensure!(said.contains(word), "{what}: the reason is not told: {output}");
        ensure!(self.bootable_entries()? == ["slipway-a.efi"], "{what}: slot b can be booted");
        Ok(())
    }

    pub(crate) fn wait_for_progress(&self, percent: u64) -> anyhow::Result<()> {
        self.vm.wait(&format!("{percent} % are written"), UPDATE_SECS, || {
            let status = self.status().unwrap_or_default();
            let (done, total) = (status["progress"]["done"].as_u64(), status["progress"]["total"].as_u64());
            Ok(done.zip(total).filter(|(done, total)| done * 100 >= total * percent))
        })?;
        Ok(())
    }

    pub(crate) fn wait_for_other_boot(&self, old: &str) -> anyhow::Result<String> {
        let boot = self
            .vm
            .wait("the machine answers from another boot", UPDATE_SECS, || Ok(self.vm.guest().boot_id().ok().filter(|boot| boot != old)))?;
        Ok(boot)
    }

    /// Waits until `version` runs and is the one that stays.
    pub(crate) fn wait_for_version(&self, version: &str) -> anyhow::Result<()> {
        self.vm.wait(&format!("{version} is committed"), COMMIT_SECS, || {
            let status = self.status().unwrap_or_default();
            Ok((status["version"] == version && status["state"] == "idle").then_some(()))
        })
    }

    pub(crate) fn bootable_entries(&self) -> anyhow::Result<Vec<String>> {
        let output = self.vm.guest().check("cd /boot/EFI/Linux && ls -1d *.efi")?;
        Ok(output.stdout.lines().map(str::to_owned).collect())
    }

    pub(crate) fn server_knows(&self, good: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
        let id = self.vm.guest().check("cat /etc/machine-id")?.text().to_owned();
        self.vm.wait("the server knows", COMMIT_SECS, || {
            let page = self.server.machine(&id)?;
            Ok(good(&page["machine"]).then_some(()))
        })
    }

    /// A server that offers older things moves nobody.
    fn stays_on(&self, version: &str) -> anyhow::Result<()> {
        let boot = self.vm.wait_for_agent()?;
        // The server may offer nothing or something older; whether that is an error is told by the check, and is not the point.
        let check = self.vm.guest().run("updater check")?;
        let status = self.status().context("the daemon does not answer")?;
        ensure!(
            status["version"] == version && status["state"] == "idle",
            "it does not stay where it is: {status}; the check said {check}"
        );
        ensure!(self.vm.guest().boot_id()? == boot, "it went somewhere");
        Ok(())
    }

    /// Rolls out a bad release and sees it go.
    pub(crate) fn falls_back_from(&self, version: &str, cause: &str) -> anyhow::Result<()> {
        let boot = self.vm.wait_for_agent()?;
        self.server.roll_out(version)?;
        self.vm.guest().check("updater check")?;
        let mut boot = self.wait_for_other_boot(&boot)?;
        if booted_slot(&self.vm)? == 'b' {
            boot = self.wait_for_other_boot(&boot)?;
        }
        ensure!(booted_slot(&self.vm)? == 'a', "slot b stays ({boot})");
        self.is_back_on(INITIAL, version, cause)
    }

    /// The machine runs `version`, `bad` is quarantined with a cause, and another check leaves it alone.
    fn is_back_on(&self, version: &str, bad: &str, cause: &str) -> anyhow::Result<()> {
        let vm = &self.vm;
        vm.wait_for_boot()?;
        let status = vm.wait("the updater has understood", COMMIT_SECS, || {
            let status = self.status().unwrap_or_default();
            Ok((!status["quarantine"].as_array().is_none_or(Vec::is_empty)).then_some(status))
        })?;
        ensure!(status["version"] == version, "it runs {}", status["version"]);
        let quarantined = status["quarantine"].to_string();
        ensure!(quarantined.contains(bad), "quarantined is {quarantined}");
        ensure!(status.to_string().to_lowercase().contains(cause), "the cause is not told: {status}");
        let boot = vm.wait_for_agent()?;
        let check = vm.guest().run("updater check")?;
        let said = format!("{}{}", check.stdout, check.stderr);
        ensure!(said.contains("not tried again") || said.contains("quarantine"), "a check says: {check}");
        ensure!(vm.guest().boot_id()? == boot, "it was tried again");
        vm.wait("the bad release cannot be booted any more", COMMIT_SECS, || Ok((self.bootable_entries()?.len() == 1).then_some(())))?;
        let why = vm.guest().check("updater why")?;
        ensure!(!why.stdout.contains("could not"), "something went wrong on the way back: {why}");
        let id = vm.guest().check("cat /etc/machine-id")?.text().to_owned();
        vm.wait("the server shows the cause", COMMIT_SECS, || {
            let page = self.server.machine(&id)?;
            Ok(page["events"].to_string().to_lowercase().contains(cause).then_some(()))
        })
    }
}
