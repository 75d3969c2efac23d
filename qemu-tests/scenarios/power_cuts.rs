//! The power fails at every moment of an update.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use image_builder::slot::Slot;
use qemu_tests::nbd::recorder::Recorder;
use qemu_tests::power_cut::explore::{Address, COMMITTED, Plan, SEED, UPDATE, explore, find};
use qemu_tests::power_cut::machine::{About, Change, ServedMachine};
use qemu_tests::power_cut::recording::Recording;
use qemu_tests::power_cut::report::{Boot, Certificate, HTML};
use qemu_tests::power_cut::revive::revive;
use qemu_tests::scenario::{Bench, Scenario, When, full};
use qemu_tests::update_server::UpdateServer;
use qemu_tests::vm::Spec;

use crate::system::booted_slot;
use crate::updates::{Fleet, INITIAL, NEXT, UPDATED, WITHOUT_DOCKER};

/// Recordings are kept below this folder, so that their states can be looked at again.
const RECORDINGS_ENV: &str = "SLIPWAY_POWER_CUT_DIR";
/// Classes that are booted, in the short form and in the long one.
const BOOTED_CLASSES: usize = 2;
const BOOTED_CLASSES_FULL: usize = 24;
/// States of the state partition that are checked, in the short form and in the long one.
const FILE_SYSTEM_CHECKS: usize = 30;
const FILE_SYSTEM_CHECKS_FULL: usize = 300;
/// Fewer distinct states than this mean that the recording or the exploration is broken.
const STATES_MIN: usize = 5_000;

pub(crate) const GOOD_UPDATE: Scenario = Scenario::new(
    "power_cuts_at_every_moment_of_an_update",
    "Whatever a power cut during an update leaves on the disk and in the firmware, the machine comes up with the old or the new \
              release, and nothing of the owner's is lost.",
    |bench| {
        let folder = folder(bench).join("good-update");
        record(bench, &folder, &FIRST, |_| Ok(()), |fleet, recorder| good_update(fleet, &FIRST, Some(recorder)))?;
        certify(bench, &folder)
    },
)
.seconds(500)
.allow(ALLOWED);

pub(crate) const SECOND_UPDATE: Scenario = Scenario::new(
    "power_cuts_at_every_moment_of_a_second_update",
    "The same of an update that takes the boot entry of an older release away and writes over its slot.",
    |bench| {
        let folder = folder(bench).join("second-update");
        let second = Change { from: UPDATED, to: NEXT, written: Slot::A, rest: &[UPDATED, NEXT] };
        let before = |fleet: &Fleet| good_update(fleet, &FIRST, None);
        record(bench, &folder, &second, before, |fleet, recorder| good_update(fleet, &second, Some(recorder)))?;
        certify(bench, &folder)
    },
)
.seconds(700)
.when(When::Full)
.allow(ALLOWED);

pub(crate) const BAD_UPDATE: Scenario = Scenario::new(
    "power_cuts_at_every_moment_of_a_bad_update",
    "Whatever a power cut during the trial of a bad release and the way back leaves, the machine ends up with the old release.",
    |bench| {
        let folder = folder(bench).join("bad-update");
        let bad = Change { to: WITHOUT_DOCKER, rest: &[INITIAL], ..FIRST };
        record(bench, &folder, &bad, |_| Ok(()), |fleet, _| fleet.falls_back_from(WITHOUT_DOCKER, "docker"))?;
        certify(bench, &folder)
    },
)
.seconds(400)
.when(When::Full)
.allow(ALLOWED);

/// What happens to a new machine.
const FIRST: Change<'static> = Change { from: INITIAL, to: UPDATED, written: Slot::B, rest: &[INITIAL, UPDATED] };

/// A machine follows its server to a release that is good.
fn good_update(fleet: &Fleet, change: &Change<'_>, recorder: Option<&Recorder>) -> anyhow::Result<()> {
    let version = change.to;
    let boot = fleet.vm.wait_for_agent()?;
    fleet.server.roll_out(version)?;
    fleet.vm.guest().check("updater check")?;
    fleet.wait_for_other_boot(&boot)?;
    recorder.map_or(Ok(()), |recorder| recorder.mark("trial"))?;
    let slot = booted_slot(&fleet.vm)?;
    ensure!(slot.to_string() == change.written.to_string(), "{version} runs from slot {slot}");
    fleet.wait_for_version(version)?;
    fleet.server_knows(|machine| machine["version"] == version)
}

fn folder(bench: &Bench<'_>) -> Utf8PathBuf {
    std::env::var(RECORDINGS_ENV).map_or_else(|_| bench.logs().join("power-cut"), Utf8PathBuf::from)
}

/// Explores a recording, boots representatives, writes the certificate and fails when a rule was broken.
fn certify(bench: &Bench<'_>, folder: &Utf8Path) -> anyhow::Result<()> {
    let full = full();
    let (checks, boots_max) = if full { (FILE_SYSTEM_CHECKS_FULL, BOOTED_CLASSES_FULL) } else { (FILE_SYSTEM_CHECKS, BOOTED_CLASSES) };
    let recording = Recording::read(folder)?;
    let mut found = explore(&recording, &Plan::for_update(&recording, checks)?, folder)?;
    // Interrupted work first: a damaged file of it, then a flip that was not used yet.
    let mut classes: Vec<(String, Address)> =
        found.classes.iter().map(|(meaning, class)| (meaning.clone(), class.representative)).collect();
    classes.sort_by_key(|(meaning, _)| (!meaning.contains("damaged temporary"), !meaning.contains("once slipway")));
    let mut boots = BTreeMap::new();
    for (meaning, address) in classes.into_iter().take(boots_max) {
        let again = meaning.contains("temporary file;") && !meaning.contains("no temporary file;");
        match boot(bench, &recording, folder, address, if again { Then::UpdateAgain } else { Then::Report }) {
            Ok(boot) => drop(boots.insert(address, boot)),
            Err(error) => found.violation("I9", format!("{error:#}"), Some(address), "boot"),
        }
    }
    let certificate = Certificate::new(&recording, folder, &found, &boots);
    certificate.write(folder)?;
    let kept = Utf8Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/power-cut")).join(folder.file_name().unwrap_or("update"));
    certificate.write(&kept)?;
    ensure!(found.counts.distinct_states >= STATES_MIN, "only {} distinct states were explored", found.counts.distinct_states);
    ensure!(
        found.broken.is_empty(),
        "rules were broken: {:?}; {kept}/{HTML} says which and how to see it; keep {folder} for that",
        found.broken
    );
    Ok(())
}

/// Boots the state that `SLIPWAY_POWER_CUT_STATE=RECORDING:MOMENT.STATE` names.
pub(crate) const ONE_STATE: Scenario =
    Scenario::new("power_cut_state_that_is_named", "The state of a recording that somebody wants to look at comes up.", |bench| {
        let named = std::env::var(STATE_ENV).with_context(|| format!("{STATE_ENV}=RECORDING:MOMENT.STATE names the state"))?;
        let (folder, address) = named.rsplit_once(':').with_context(|| format!("{named:?} is not RECORDING:MOMENT.STATE"))?;
        let folder = Utf8Path::new(folder);
        let recording = Recording::read(folder)?;
        boot(bench, &recording, folder, address.parse()?, Then::UpdateAgain).map(drop)
    })
    .seconds(120)
    .when(When::Named)
    .allow(ALLOWED);

/// The state to boot, see [`ONE_STATE`].
const STATE_ENV: &str = "SLIPWAY_POWER_CUT_STATE";
/// What a console may say after a cut.
const ALLOWED: &[&str] = &["Failed to start", "Dependency failed for"];
/// Starts of the firmware until a machine is at rest: the one after the cut, a trial, and the way back.
const BOOTS_MAX: usize = 3;
/// What an updater says that waits for its next check; the second after a bad release.
const RESTING: &[&str] = &["idle", "rolled-back"];
/// How long a machine may take to be at rest after a cut, in KVM seconds.
const REST_SECS: u64 = 200;

/// What else is asked of a machine that has come up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// To tell the server what it runs.
    Report,
    /// To be able to update once more, to a good release.
    UpdateAgain,
}

/// I6, I9 and I12 for one state: the machine comes to rest in a permitted version after few boots, with nothing of the owner's lost, and
/// the server is told the truth.
fn boot(bench: &Bench<'_>, recording: &Recording, folder: &Utf8Path, address: Address, then: Then) -> anyhow::Result<Boot> {
    let begun = Instant::now();
    let served = bench.keep(find(recording, SEED, address, |timeline, state| revive(folder, timeline, state))?);
    let server = UpdateServer::start(bench.logs())?;
    // Machines of a group or with an application that the server does not know are not noted.
    server.call(reqwest::Method::PUT, "groups/stable", Some(&serde_json::json!({ "channel": "stable" })))?;
    server.publish(&bench.images().repository())?;
    // What it was given, or something else when that was bad.
    let good = recording.about.rest.iter().find(|version| *version == recording.about.tried()).map_or(UPDATED, String::as_str);
    if then == Then::UpdateAgain {
        server.roll_out(good)?;
    }
    let mut spec = Spec::new(recording.about.image.clone());
    spec.served = Some(served.served());
    spec.services = vec![server.service()];
    let vm = bench.start(&format!("state-{address}"), &spec)?;
    let at_rest = |wanted: Option<&str>| {
        vm.wait("the machine is at rest", REST_SECS, || {
            let output = vm.guest().run("updater status --json").ok();
            let status: serde_json::Value = output.and_then(|output| serde_json::from_str(&output.stdout).ok()).unwrap_or_default();
            let version = status["version"].as_str().unwrap_or_default();
            let good = RESTING.iter().any(|state| status["state"] == *state) && wanted.is_none_or(|wanted| wanted == version);
            Ok(good.then(|| version.to_owned()))
        })
    };
    let version = at_rest(None)?;
    let starts = qemu_tests::console::boots(&vm.console()?);
    ensure!(starts <= BOOTS_MAX, "it took {starts} boots");
    let permitted = recording.about.rest.contains(&version) || (then == Then::UpdateAgain && version == good);
    ensure!(permitted, "it runs {version}");
    vm.guest().check("grep -qx kept /etc/slipway-probe && grep -qx kept /var/lib/docker/volumes/probe/_data/file")?;
    let id = vm.guest().check("cat /etc/machine-id")?.text().to_owned();
    // One question may be lost: the machine has only just come up.
    let mut said = None;
    let told = vm.wait("the server is told the truth", REST_SECS, || {
        said = Some(vm.guest().run("updater check")?);
        Ok(server.machine(&id).ok().filter(|page| page["machine"]["version"] == version.as_str()))
    });
    let last = || said.map(|output| format!("`updater check` said last: {output}")).unwrap_or_default();
    told.with_context(last)?;
    if then == Then::UpdateAgain {
        at_rest(Some(good)).context("the update is not made again")?;
    }
    if let Some(trouble) = served.trouble() {
        anyhow::bail!("the machine and its disks do not understand each other: {trouble}");
    }
    vm.kill();
    let updated_again = (then == Then::UpdateAgain).then_some(true);
    Ok(Boot { version, starts, updated_again, seconds: begun.elapsed().as_secs() })
}

/// One machine lives through `change`, with everything it writes recorded. `before` brings it to where that begins, `story` is what
/// then happens to it.
fn record(
    bench: &Bench<'_>,
    folder: &Utf8Path,
    change: &Change<'_>,
    before: impl FnOnce(&Fleet) -> anyhow::Result<()>,
    story: impl FnOnce(&Fleet, &Recorder) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let told = format!("A machine on {} is given {}", change.from, change.to);
    let about = About::new(bench.images().release(INITIAL)?, &bench.keys()?, change, told);
    let (served, recorder) = ServedMachine::recorded(&about, folder)?;
    let served = bench.keep(served);
    let server = UpdateServer::start(bench.logs())?;
    server.publish(&bench.images().repository())?;
    let mut spec = Spec::new(about.image);
    spec.served = Some(served.served());
    spec.services = vec![server.service()];
    // Not forked: the recording begins when the power is turned on.
    let vm = bench.start("vm", &spec)?;
    vm.wait_for_boot()?;
    let fleet = Fleet::on(server, vm, "strategy = \"immediate\"\nwait-for-users = \"0s\"")?;
    let vm = &fleet.vm;
    vm.guest().check(
        "echo kept > /etc/slipway-probe && docker volume create probe && echo kept > /var/lib/docker/volumes/probe/_data/file && sync",
    )?;
    before(&fleet)?;
    recorder.mark(UPDATE)?;
    story(&fleet, &recorder)?;
    vm.guest().check("sync")?;
    recorder.mark(COMMITTED)?;
    vm.kill();
    if let Some(trouble) = served.trouble() {
        anyhow::bail!("the machine and its disks do not understand each other: {trouble}");
    }
    served.stop();
    recorder.finish().context("finishing the recording")
}
