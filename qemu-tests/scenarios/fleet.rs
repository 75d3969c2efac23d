//! Several machines get a release from one server, in the order and in the numbers that its policy allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use qemu_tests::budget::Need;
use qemu_tests::card::Card;
use qemu_tests::identity::machine_id;
use qemu_tests::scenario::{Bench, Scenario, When, full};
use qemu_tests::update_server::UpdateServer;
use qemu_tests::vm::{Spec, Vm};
use reqwest::Method;
use serde_json::{Value, json};

use crate::updates::{COMMIT_SECS, Fleet, INITIAL, UPDATE_SECS, UPDATED, configure};

/// Machines of the fleet: as many as an idle emulating host can update in a few minutes, and more for the long run.
const MACHINES: u8 = 3;
const MACHINES_FULL: u8 = 5;

/// Who goes first.
const CANARY: u8 = 1;
/// The share of the fleet that may have the release in the first step after the canary held, in per cent: with three
/// machines two, with five three, so that two are busy at a time.
const FIRST_SHARE: u64 = 70;
/// How long that step takes, with KVM: about as long as an update, so that those who come later do not meet those who went first. Four at a
/// time need more than the initrd's 60 s to find their disks where two processors emulate them.
const FIRST_STEP: Duration = Duration::from_secs(60);
/// How often each machine asks: often within that step, and not so often that those who wait slow down the one that works.
const ASKING: Duration = Duration::from_secs(10);
/// How long a download must stand still until it counts as cut off.
const STILL: Duration = Duration::from_secs(4);

pub(crate) const ROLLOUT: Scenario = Scenario::new(
    "rollout_with_a_canary_moves_a_fleet",
    "A release spreads through a fleet in order: the canary first and alone, the others only after it is healthy, never more \
              than the ramp allows, and in the end everybody runs it.",
    |bench| {
        let machines = if full() { MACHINES_FULL } else { MACHINES };
        let server = UpdateServer::start(bench.logs())?;
        server.publish(&bench.images().repository())?;
        server.call(Method::PUT, "groups/stable", Some(&json!({ "channel": "stable" })))?;
        let fleet = (1..=machines).map(|number| enlist(bench, &server, number)).collect::<anyhow::Result<Vec<_>>>()?;

        let first_step = fleet.first().context("there is no fleet")?.pace().limit(FIRST_STEP);
        let seconds = first_step.as_secs();
        let ramp = format!("0s:{FIRST_SHARE},{seconds}s:{FIRST_SHARE},{}s:100", seconds + 1);
        let rollout = json!({
            "version": UPDATED, "move-channel": true, "ramp": ramp,
            "canaries": { "machines": [machine_id(CANARY)], "limit": 1, "need": 1, "soak": "1s" },
        });
        let made = server.call(Method::POST, "groups/stable/rollouts", Some(&rollout))?;
        let rollout = made[0]["id"].as_i64().with_context(|| format!("the server made {made}"))?;

        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // Every machine asks all the time: what holds it back is the server's decision alone.
            fleet.iter().for_each(|vm| drop(scope.spawn(|| ask_again_and_again(vm, &over))));
            let result = watch(&server, rollout, &fleet, first_step);
            over.store(true, Ordering::Relaxed);
            result
        })?;
        for vm in &fleet {
            let status = vm.guest().check("updater status --json")?;
            let status: Value = serde_json::from_str(&status.stdout).context("reading the updater's status")?;
            ensure!(status["version"] == UPDATED, "{} runs {}", vm.name(), status["version"]);
        }
        Ok(())
    },
)
.needs(Need::machines(MACHINES_FULL as u32, 2))
.seconds(900)
// Three machines that boot at a time on two emulated processors: the console's device comes late. Who updates does not depend on it.
.allow(&["dev-ttyS0.device", "Serial Getty on ttyS0"])
.when(When::Full);

/// A machine of its own that the server knows.
fn enlist(bench: &Bench<'_>, server: &UpdateServer, number: u8) -> anyhow::Result<Arc<Vm>> {
    let mut spec = Spec::new(bench.images().release(INITIAL)?);
    spec.services = vec![server.service()];
    let vm = bench.fork(&format!("vm{number}"), &spec)?;
    vm.become_machine(number)?;
    configure(&vm, "", "strategy = \"immediate\"\nwait-for-users = \"0s\"")?;
    vm.wait("the server knows the machine", COMMIT_SECS, || {
        // Right after its start the updater may not answer yet.
        vm.guest().run("updater check")?;
        Ok(server.machine(&machine_id(number)).is_ok().then_some(()))
    })?;
    Ok(vm)
}

fn ask_again_and_again(vm: &Vm, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        // Between two boots nobody answers, and during an update a check says so: neither matters here.
        if vm.guest().boot_id().is_ok() {
            let _ = vm.guest().run("updater check");
        }
        std::thread::sleep(ASKING);
    }
}

/// What the server counts.
#[derive(Debug, Clone, Copy)]
struct Counts {
    population: u64,
    granted: u64,
    completed: u64,
    canaries_granted: u64,
    canaries_completed: u64,
}

impl Counts {
    fn of(page: &Value) -> anyhow::Result<Self> {
        let counts = &page["progress"]["counts"];
        let number = |value: &Value| value.as_u64().with_context(|| format!("the server counts {counts}"));
        Ok(Self {
            population: number(&counts["population"])?,
            granted: number(&counts["granted"])?,
            completed: number(&counts["completed"])?,
            canaries_granted: number(&counts["canaries"]["granted"])?,
            canaries_completed: number(&counts["canaries"]["completed"])?,
        })
    }
}

/// Looks at the server until everybody has the release; the order and the numbers must be right whenever one looks.
fn watch(server: &UpdateServer, rollout: i64, fleet: &[Arc<Vm>], first_step: Duration) -> anyhow::Result<()> {
    let machines = fleet.len() as u64;
    let mut canary_held_after = Instant::now();
    let mut waited_while_canary = false;
    let canary = fleet.first().context("there is no fleet")?;
    canary.wait("everybody has the release", machines * (UPDATE_SECS + COMMIT_SECS), || {
        let asked = Instant::now();
        let page = server.call(Method::GET, &format!("rollouts/{rollout}"), None)?;
        let counts = Counts::of(&page)?;
        ensure!(counts.population == machines, "the server counts {} machines", counts.population);
        ensure!(page["progress"]["state"] != "stopped", "the brake stopped it: {page}");
        if counts.canaries_completed == 0 {
            canary_held_after = asked;
            ensure!(counts.granted == counts.canaries_granted, "somebody goes before the canary is healthy: {counts:?}");
            waited_while_canary |= counts.canaries_granted == 1;
        } else if canary_held_after.elapsed() < first_step {
            let allowed = machines * FIRST_SHARE / 100;
            ensure!(counts.granted <= allowed, "{allowed} of {machines} may have it, and: {counts:?}");
        }
        Ok((counts.completed == machines).then_some(()))
    })?;
    ensure!(waited_while_canary, "the canary was never seen alone");
    Ok(())
}

pub(crate) const CUT_OFF: Scenario = Scenario::new(
    "network_cut_during_a_download_costs_only_time",
    "When the network is cut in the middle of a download and comes back, the update goes on where it was.",
    |bench| {
        let fleet = Fleet::start(bench, INITIAL, "strategy = \"off\"")?;
        let vm = &fleet.vm;
        fleet.limit_bandwidth(4 << 20)?;
        fleet.server.roll_out(UPDATED)?;
        vm.guest().check("systemd-run --quiet --unit=apply --remain-after-exit updater apply")?;
        fleet.wait_for_progress(10)?;
        vm.set_link(Card::SERVICES, false)?;
        // What was under way when the cable was pulled is written first.
        let mut before = 0;
        vm.wait("the download stands still", UPDATE_SECS, || {
            let now = done(&fleet)?;
            std::thread::sleep(STILL);
            let still = now == done(&fleet)?;
            before = now;
            Ok(still.then_some(()))
        })?;
        ensure!(fleet.bootable_entries()? == ["slipway-a.efi"], "a half-written slot can be booted");

        vm.set_link(Card::SERVICES, true)?;
        vm.wait("the download goes on", UPDATE_SECS, || {
            let now = done(&fleet)?;
            ensure!(now >= before, "it began anew: {before} bytes were there, now {now}");
            Ok((now > before).then_some(()))
        })?;
        fleet.limit_bandwidth(1 << 30)?;
        vm.wait("the release is staged", UPDATE_SECS, || {
            ensure!(vm.guest().run("systemctl is-failed --quiet apply.service")?.status != 0, "updater apply failed");
            Ok((fleet.bootable_entries()?.len() == 2).then_some(()))
        })
    },
)
.seconds(200)
.when(When::Full);

/// How many bytes are written.
fn done(fleet: &Fleet) -> anyhow::Result<u64> {
    let status = fleet.status().context("the updater does not answer")?;
    status["progress"]["done"].as_u64().with_context(|| format!("no progress is told: {status}"))
}
