//! Machines with one cloud-config become a cluster, and stay one.

mod archive;
mod balancer;
mod lab;
mod members;
mod releases;
mod services;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use qemu_tests::budget::Need;
use qemu_tests::scenario::{Bench, Scenario};
use qemu_tests::vm::Vm;

use lab::{Cluster, ETCDCTL};

pub(crate) use balancer::BALANCED;
pub(crate) use members::{FIVE, LOST, PARTED, RETURNS, STANDBY};
pub(crate) use releases::{BAD_RELEASE, DEMO, ROLLING};
pub(crate) use services::PLACED;

pub(crate) const FORMS: Scenario = Scenario::new(
    "three_machines_with_one_cloud_config_are_a_cluster",
    "Three machines with the same cloud-config become one etcd cluster and one Swarm, and a service stays up when one of them dies.",
    |bench| {
        let cluster = Cluster::new(bench, 3, 3)?.with_image()?.formed(bench, 3)?;
        let [one, two, three] = cluster.machines.as_slice() else { bail!("there are not three machines") };
        one.guest().check(&format!("{ETCDCTL} put promise kept"))?;
        let said = three.guest().check(&format!("{ETCDCTL} get promise --print-value-only"))?;
        ensure!(said.text() == "kept", "the third machine reads {said}");
        // Without a certificate nobody is let in, from this machine or from another.
        let bare = two.guest().run(&format!("curl --silent --insecure --max-time 5 https://{}:2379/health", cluster.address(1)?))?;
        ensure!(!bare.success(), "etcd talks to everybody: {bare}");
        cluster.serve()?;
        memory_is_small(bench, one)?;
        tell_the_load(bench, two)?;
        cluster.survives_a_death(bench)
    },
)
.needs(Need::machines(3, 2))
.seconds(380);

/// So many units are told of.
const UNITS_TOLD: usize = 8;

/// The agent's own memory, as the kernel counts it.
fn memory_is_small(bench: &Bench<'_>, vm: &Vm) -> anyhow::Result<()> {
    const KIB_MAX: u64 = 30 << 10;
    let said =
        vm.guest().check("awk '/^VmRSS/ { print $2 }' /proc/$(systemctl show --value --property MainPID cluster-agent.service)/status")?;
    let kib: u64 = said.text().parse().context("the agent's memory")?;
    bench.figure(&format!("cluster-agent takes {:.1} MiB of memory", kib as f64 / 1024.0));
    ensure!(kib <= KIB_MAX, "cluster-agent takes {kib} KiB of memory; {KIB_MAX} are allowed");
    Ok(())
}

/// What a member spends on being one, while nothing happens: its processor's time by unit, the greatest first.
fn tell_the_load(bench: &Bench<'_>, vm: &Vm) -> anyhow::Result<()> {
    const SECS: u64 = 30;
    let usage = "cd /sys/fs/cgroup/system.slice && grep --with-filename ^usage_usec *.service/cpu.stat; grep --with-filename ^usage_usec /sys/fs/cgroup/cpu.stat";
    let look = || -> anyhow::Result<BTreeMap<String, u64>> {
        let said = vm.guest().check(usage)?;
        let lines = said.stdout.lines().filter_map(|line| line.split_once(":usage_usec "));
        lines.map(|(unit, usec)| Ok((unit.trim_end_matches("/cpu.stat").to_owned(), usec.parse()?))).collect()
    };
    let before = look()?;
    std::thread::sleep(Duration::from_secs(SECS));
    let mut spent: Vec<_> =
        look()?.into_iter().map(|(unit, usec)| (usec - before.get(&unit).copied().unwrap_or(usec).min(usec), unit)).collect();
    spent.sort_unstable_by(|one, other| other.cmp(one));
    let share = |usec: u64| usec as f64 / (SECS * 10_000) as f64;
    let told: Vec<_> = spent.iter().take(UNITS_TOLD).map(|(usec, unit)| format!("{unit} {:.1} %", share(*usec))).collect();
    bench.figure(&format!("a member that nobody uses spends of one processor: {}", told.join(", ")));
    Ok(())
}
