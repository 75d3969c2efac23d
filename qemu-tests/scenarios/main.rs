//! The promises and their proofs. `make test` runs them; without images there is nothing to boot and nothing fails.

mod cluster;
mod containers;
mod damage;
mod disks;
mod fleet;
mod hardware;
mod network;
mod power_cuts;
mod provisioning;
mod secure_boot;
mod slots;
mod ssh;
mod state;
mod system;
mod tpm;
mod troubles;
mod updates;

use std::process::ExitCode;

use camino::Utf8Path;
use qemu_tests::cli;
use qemu_tests::images::{Images, Variant};
use qemu_tests::plan::Plan;
use qemu_tests::scenario::{Check, Scenario};
use qemu_tests::vm::Spec;

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
    state::TORN,
    slots::SECOND_SLOT,
    slots::EMPTY_SLOT,
    damage::FLIPPED_BIT,
    damage::FLIPPED_SUPERBLOCK,
    hardware::NVME,
    hardware::AHCI,
    secure_boot::SIGNED,
    secure_boot::OTHERS,
    secure_boot::CREDENTIAL,
    tpm::MEASURED,
    provisioning::EVERY_SOURCE,
    provisioning::SERIAL,
    provisioning::OEM,
    provisioning::SAMPLE_OF_2015,
    provisioning::BROKEN_DOCUMENT,
    network::SWITCH,
    cluster::FORMS,
    cluster::PARTED,
    cluster::RETURNS,
    cluster::STANDBY,
    cluster::FIVE,
    cluster::LOST,
    cluster::PLACED,
    cluster::BALANCED,
    cluster::ROLLING,
    cluster::BAD_RELEASE,
    cluster::DEMO,
    fleet::ROLLOUT,
    fleet::CUT_OFF,
    updates::TWICE,
    updates::BAD_DOCKER,
    updates::BAD_KERNEL,
    updates::BAD_ROOT,
    updates::INTERRUPTED,
    updates::REFUSED,
    power_cuts::GOOD_UPDATE,
    power_cuts::SECOND_UPDATE,
    power_cuts::BAD_UPDATE,
    power_cuts::ONE_STATE,
    troubles::CLOCK,
    troubles::FULL_DISK,
    disks::FAILING,
];

fn main() -> ExitCode {
    cli::main(&Plan {
        checks: CHECKS,
        scenarios: SCENARIOS,
        shared: shared_machine,
        finish: ssh::remove_key,
        snoozes: include_str!("../snooze.toml"),
    })
}

fn shared_machine(images: &Images, files: &Utf8Path) -> anyhow::Result<Spec> {
    let mut spec = Spec::new(images.disk(Variant::Vm)?);
    spec.guest_ports = vec![ssh::PORT];
    spec.credentials = vec![ssh::credential()?];
    provisioning::configure_shared(&mut spec, files)?;
    Ok(spec)
}
