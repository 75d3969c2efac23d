//! The promises and their proofs. `make test` runs them; without images there is nothing to boot and nothing fails.
#![allow(clippy::print_stderr, reason = "this is the command layer of the tests")]

mod containers;
mod damage;
mod hardware;
mod provisioning;
mod secure_boot;
mod slots;
mod ssh;
mod state;
mod system;
mod updates;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use camino::Utf8PathBuf;
use libtest_mimic::{Arguments, Failed, Trial};
use qemu_tests::images::{ENV, Images, Variant};
use qemu_tests::report;
use qemu_tests::scenario::{Check, Scenario, Suite};
use qemu_tests::vm::Spec;

/// Machines at a time: two emulated ones already keep a small host busy.
const MAX_VMS: usize = 2;

/// Where logs and the report go, unless this variable names another directory.
const LOGS_ENV: &str = "SLIPWAY_TEST_LOGS";

/// Checks on the shared machine, in this order.
const CHECKS: &[Check] = &[
    system::BOOTS,
    system::ROOT_IS_READ_ONLY,
    system::NETWORK,
    system::NO_PASSWORDS,
    ssh::LOGIN,
    provisioning::FW_CFG,
    system::NO_INTERPRETERS,
    system::WATCHDOG,
    system::LOADER,
    state::FILLS_THE_DISK,
    containers::LIMITS,
    containers::SWARM,
    containers::ETCD,
];

/// Scenarios with machines of their own.
const SCENARIOS: &[Scenario] = &[
    state::SURVIVES,
    slots::SECOND_SLOT,
    slots::EMPTY_SLOT,
    damage::FLIPPED_BIT,
    damage::FLIPPED_SUPERBLOCK,
    hardware::NVME,
    hardware::AHCI,
    secure_boot::SIGNED,
    secure_boot::OTHERS,
    provisioning::EVERY_SOURCE,
    provisioning::SERIAL,
    provisioning::OEM,
    provisioning::SAMPLE_OF_2015,
    provisioning::BROKEN_DOCUMENT,
    updates::TWICE,
    updates::BAD_DOCKER,
    updates::BAD_KERNEL,
    updates::BAD_ROOT,
    updates::INTERRUPTED,
    updates::REFUSED,
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let Some(images) = Images::from_env() else {
        eprintln!("The VM scenarios need built images: `make test` makes them, or set {ENV}=DIR with vm/ and metal/ in it.");
        return libtest_mimic::run(&arguments, Vec::new()).exit_code();
    };
    match run(arguments, images) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut arguments: Arguments, images: Images) -> anyhow::Result<ExitCode> {
    let checks: Vec<&'static Check> = CHECKS.iter().filter(|check| wanted(&arguments, check.name)).collect();
    let mut scenarios: Vec<&'static Scenario> = SCENARIOS.iter().filter(|scenario| wanted(&arguments, scenario.name)).collect();
    scenarios.sort_by_key(|scenario| std::cmp::Reverse(scenario.seconds));
    if arguments.list {
        let trials = names(&checks, &scenarios).into_iter().map(|name| Trial::test(name, || Ok(())));
        return Ok(libtest_mimic::run(&arguments, trials.collect()).exit_code());
    }
    let logs = logs()?;
    let vms = arguments.test_threads.unwrap_or(MAX_VMS).min(MAX_VMS);
    let order: Vec<&'static str> = checks.iter().map(|check| check.name).collect();
    let suite = Arc::new(Suite::new(images.clone(), logs.clone(), vms, &order, shared_machine(&images)?)?);
    eprintln!("{}; logs in {logs}", suite.host().choice);

    let mut trials = Vec::new();
    for check in checks {
        let suite = Arc::clone(&suite);
        trials.push(Trial::test(check.name, move || suite.run_check(check).map_err(Failed::from)));
    }
    for scenario in scenarios {
        let suite = Arc::clone(&suite);
        trials.push(Trial::test(scenario.name, move || suite.run(scenario).map_err(Failed::from)));
    }
    // Every trial gets a thread and waits in it: whose turn it is, is decided by machines, not by threads.
    arguments.test_threads = Some(trials.len().max(1));
    let conclusion = libtest_mimic::run(&arguments, trials);
    ssh::remove_key();
    std::fs::create_dir_all(&logs).with_context(|| format!("making {logs}"))?;
    let path = logs.join("junit.xml");
    std::fs::write(&path, report::junit(&suite.cases())).with_context(|| format!("writing {path}"))?;
    eprintln!("report: {path}");
    Ok(conclusion.exit_code())
}

/// The rule of the test harness, applied beforehand: the shared machine must know which of its checks is the last.
fn wanted(arguments: &Arguments, name: &str) -> bool {
    let matches = |filter: &String| if arguments.exact { name == filter } else { name.contains(filter.as_str()) };
    arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
}

fn names(checks: &[&Check], scenarios: &[&Scenario]) -> Vec<&'static str> {
    checks.iter().map(|check| check.name).chain(scenarios.iter().map(|scenario| scenario.name)).collect()
}

fn logs() -> anyhow::Result<Utf8PathBuf> {
    let named = std::env::var(LOGS_ENV).map(Utf8PathBuf::from);
    let logs = named.unwrap_or_else(|_| Utf8PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scenarios"));
    camino::absolute_utf8(&logs).with_context(|| format!("resolving {logs}"))
}

fn shared_machine(images: &Images) -> anyhow::Result<Spec> {
    let mut spec = Spec::new(images.disk(Variant::Vm)?);
    spec.guest_ports = vec![ssh::PORT];
    spec.credentials = vec![ssh::credential()?];
    provisioning::configure_shared(&mut spec)?;
    Ok(spec)
}
