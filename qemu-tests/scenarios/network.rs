//! The network that joins machines in a test is one: it carries, delays, loses, falls apart and heals, and leads nowhere else.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use image_builder::qemu::machine::{Forward, SERVICE_ADDRESS};
use qemu_tests::budget::Need;
use qemu_tests::scenario::{Bench, Scenario};
use qemu_tests::switch::Switch;
use qemu_tests::switch::bridge::Link;
use qemu_tests::vm::Vm;

/// How long a machine tries to reach another one, in seconds; several times what it takes when emulated on a busy host.
const TRY_SECS: u32 = 5;
/// The slow cable's delay, each way.
const DELAY: Duration = Duration::from_millis(300);
/// How much slower than the cable a busy host may make a connection.
const SLACK: Duration = Duration::from_secs(3);
/// How much the bad cable loses, and how many frames it is tried with.
const LOSS_PER_MILLE: u16 = 300;
const DATAGRAMS: u32 = 400;
/// The share that may be lost of so many, in thousandths: six standard deviations on either side.
const LOST: std::ops::RangeInclusive<u32> = 160..=440;

pub(crate) const SWITCH: Scenario = Scenario::new(
    "machines_on_the_switch_meet_part_and_meet_again",
    "Three machines reach each other and nobody else; a partition is one in both directions and heals; delay and loss are what \
              was asked for.",
    |bench| {
        let switch = bench.switch(3)?;
        let vms = (1..=3).map(|number| join(bench, &switch, number)).collect::<anyhow::Result<Vec<_>>>()?;
        are_distinct(&vms)?;
        meet(&switch, &vms, &[&[1, 2, 3]])?;

        switch.partition(&[&[1], &[2, 3]]);
        meet(&switch, &vms, &[&[1], &[2, 3]])?;
        switch.heal();
        meet(&switch, &vms, &[&[1, 2, 3]])?;

        is_slow(&switch, &vms)?;
        loses(&switch, &vms)?;
        leads_nowhere(&vms[0], &vms[1])
    },
)
.needs(Need::machines(3, 1))
.seconds(150);

/// A machine of its own on a port of the switch.
fn join(bench: &Bench<'_>, switch: &Switch, number: u8) -> anyhow::Result<Arc<Vm>> {
    let vm = bench.fork(&format!("vm{number}"), &bench.spec()?)?;
    vm.become_machine(number)?;
    vm.plug_switch(switch.port(number)?)?;
    Ok(vm)
}

fn are_distinct(vms: &[Arc<Vm>]) -> anyhow::Result<()> {
    let secrets = "cat /etc/machine-id; hostname; cat /etc/ssh/ssh_host_ed25519_key.pub; cat /proc/sys/kernel/random/uuid; \
                   cat /sys/class/net/en*/address";
    let mut seen = std::collections::BTreeSet::new();
    for vm in vms {
        for line in vm.guest().check(secrets)?.stdout.lines() {
            ensure!(seen.insert(line.to_owned()), "two machines have {line}");
        }
        let skew: i64 = vm.guest().check("date +%s")?.text().parse().context("the guest's clock")?;
        let skew = skew.abs_diff(jiff::Timestamp::now().as_second());
        ensure!(skew <= SLACK.as_secs(), "the clock of {} is {skew} s off", vm.name());
        let reseeded = vm.guest().run("dmesg | grep -q 'crng reseeded due to virtual machine fork'")?;
        ensure!(reseeded.success(), "the kernel of {} has not noticed that it is a copy", vm.name());
    }
    Ok(())
}

/// Machines of one group reach each other by ssh, others do not.
fn meet(switch: &Switch, vms: &[Arc<Vm>], groups: &[&[u8]]) -> anyhow::Result<()> {
    let numbers = [1, 2, 3];
    for from in numbers {
        for to in numbers.into_iter().filter(|to| *to != from) {
            let together = groups.iter().any(|group| group.contains(&from) && group.contains(&to));
            let reached = reaches(&vms[usize::from(from) - 1], switch.port(to)?.address(), 22)?;
            ensure!(reached == together, "with the groups {groups:?}, machine {from} reaches machine {to}: {reached}");
        }
    }
    Ok(())
}

fn reaches(vm: &Vm, address: Ipv4Addr, port: u16) -> anyhow::Result<bool> {
    Ok(vm.guest().run(&format!("timeout {TRY_SECS} bash -c ': < /dev/tcp/{address}/{port}'"))?.success())
}

fn is_slow(switch: &Switch, vms: &[Arc<Vm>]) -> anyhow::Result<()> {
    let address = switch.port(2)?.address();
    let connect = format!("curl --silent --output /dev/null --max-time 20 --write-out '%{{time_connect}}' http://{address}:22/; true");
    switch.set_link(2, Link { delay: DELAY, loss_per_mille: 0 })?;
    let seconds: f64 = vms[0].guest().check(&connect)?.text().parse().context("how long connecting took")?;
    switch.set_link(2, Link::default())?;
    let took = Duration::from_secs_f64(seconds);
    ensure!(took >= 2 * DELAY, "a connection over a cable of {DELAY:?} each way takes {took:?}");
    ensure!(took <= 2 * DELAY + SLACK, "a connection over a cable of {DELAY:?} each way takes {took:?}");
    Ok(())
}

/// Counted where the frames arrive.
fn loses(switch: &Switch, vms: &[Arc<Vm>]) -> anyhow::Result<()> {
    let address = switch.port(2)?.address();
    let count = format!("grep -l {} /sys/class/net/*/address | sed 's,address,statistics/rx_packets,' | xargs cat", switch.port(2)?.mac());
    let received = || -> anyhow::Result<u32> { vms[1].guest().check(&count)?.text().parse().context("how many frames came") };
    ensure!(reaches(&vms[0], address, 22)?, "the machines do not know each other");
    let before = received()?;
    switch.set_link(2, Link { delay: Duration::ZERO, loss_per_mille: LOSS_PER_MILLE })?;
    vms[0].guest().check(&format!("for n in $(seq {DATAGRAMS}); do echo $n > /dev/udp/{address}/9; done"))?;
    // What is under way arrives before the answer to the next question does.
    let came = received()? - before;
    switch.set_link(2, Link::default())?;
    let lost = DATAGRAMS.saturating_sub(came) * 1000 / DATAGRAMS;
    ensure!(LOST.contains(&lost), "of {DATAGRAMS} datagrams {came} came, where {LOSS_PER_MILLE} of a thousand are to be lost");
    Ok(())
}

/// A machine reaches the service that was meant for it, and nothing else of this host; its neighbour does not even reach that.
fn leads_nowhere(vm: &Vm, neighbour: &Vm) -> anyhow::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("opening a port")?;
    let here = listener.local_addr().context("opening a port")?.port();
    vm.plug_services(&[Forward { host: here, guest: 8080 }], &[])?;
    let service: Ipv4Addr = SERVICE_ADDRESS.parse().context("the services' address")?;
    vm.wait("the service is reached", 12, || Ok(reaches(vm, service, 8080)?.then_some(())))?;
    listener.set_nonblocking(true).context("opening a port")?;
    while listener.accept().is_ok() {}
    // The host as QEMU's user network knows it, another port of the service, and an address of documentation (RFC 5737).
    for (address, port) in [(Ipv4Addr::new(10, 0, 2, 2), here), (service, 8081), (Ipv4Addr::new(192, 0, 2, 1), 80)] {
        ensure!(!reaches(vm, address, port)?, "{address}:{port} is reached");
    }
    for via in ["10.77.0.1", "10.77.0.254"] {
        neighbour.guest().check(&format!("ip route replace default via {via}"))?;
        ensure!(!reaches(neighbour, service, 8080)?, "the neighbour reaches the service by {via}");
        ensure!(!reaches(neighbour, Ipv4Addr::new(192, 0, 2, 1), 80)?, "the neighbour gets out by {via}");
    }
    ensure!(listener.accept().is_err(), "somebody came who was not meant to");
    Ok(())
}
