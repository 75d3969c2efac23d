//! Machines with one cloud-config become a cluster, and stay one.

mod balancer;
mod lab;
mod members;
mod releases;
mod services;

use anyhow::{Context, bail, ensure};
use qemu_tests::budget::Need;
use qemu_tests::scenario::{Bench, Scenario, When};
use qemu_tests::vm::Vm;

use lab::{Cluster, ETCDCTL};

pub(crate) use balancer::BALANCED;
pub(crate) use members::{FIVE, PARTED, RETURNS, STANDBY};
pub(crate) use releases::{BAD_RELEASE, DEMO, ROLLING};
pub(crate) use services::PLACED;

pub(crate) const FORMS: Scenario = Scenario::new(
    "three_machines_with_one_cloud_config_are_a_cluster",
    "Three machines with the same cloud-config become one etcd cluster and one Swarm, and a service stays up when one of them dies.",
    |bench| {
        let cluster = Cluster::new(bench, 3, 3)?.with_images().formed(bench, 3)?;
        let [one, two, three] = cluster.machines.as_slice() else { bail!("there are not three machines") };
        one.guest().check(&format!("{ETCDCTL} put promise kept"))?;
        let said = three.guest().check(&format!("{ETCDCTL} get promise --print-value-only"))?;
        ensure!(said.text() == "kept", "the third machine reads {said}");
        // Without a certificate nobody is let in, from this machine or from another.
        let bare = two.guest().run(&format!("curl --silent --insecure --max-time 5 https://{}:2379/health", cluster.address(1)?))?;
        ensure!(!bare.success(), "etcd talks to everybody: {bare}");
        cluster.serve()?;
        memory_is_small(bench, one)?;
        cluster.survives_a_death(bench)
    },
)
.needs(Need::machines(3, 2))
.seconds(420)
.when(When::Full);

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
