//! Machines with one cloud-config become a cluster, and stay one.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use camino::Utf8PathBuf;
use qemu_tests::budget::Need;
use qemu_tests::scenario::{Bench, Scenario, When};
use qemu_tests::switch::Switch;
use qemu_tests::update_server::UpdateServer;
use qemu_tests::vm::{Spec, Vm};

use crate::updates::{INITIAL, UPDATED, configure};

/// How long a cluster may take to form after the last machine's network is up, in KVM seconds.
const FORM_SECS: u64 = 60;
/// How long until a task of a machine that died runs elsewhere, in KVM seconds.
const FAILOVER_SECS: u64 = 30;
/// How long a member that was away may take to be one again, in KVM seconds.
const REJOIN_SECS: u64 = 120;
/// How long containers take to be made and started, in KVM seconds.
const SERVICE_SECS: u64 = 60;
/// One machine's update with its reboot, in KVM seconds.
const UPDATE_SECS: u64 = 300;
/// Requests that may go unanswered while machines reboot one after the other.
const FAILED_REQUESTS_MAX: u64 = 0;
/// Pause between two requests.
const REQUEST_EVERY: Duration = Duration::from_millis(500);
/// A voter that is dead for so long is replaced in these scenarios.
const REPLACE_AFTER: &str = "60s";

/// A container image with a web server made of what the host has: systemd's socket activation and the shell.
const IMAGE: &str = "slipway-test/web";
const MAKE_IMAGE: &str = "set -eo pipefail; programs='/usr/bin/systemd-socket-activate /usr/bin/dash /usr/bin/cat /usr/bin/sleep'; \
     libraries=$(for program in $programs; do LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu/systemd /usr/lib64/ld-linux-x86-64.so.2 --list $program; done | \
     sed -n 's,.*=> \\(/[^ ]*\\) .*,\\1,p' | sort -u | while read -r file; do readlink -f $file; echo $file; done | sed 's,^/lib/,/usr/lib/,' | sort -u); \
     tar -C / -cf - bin lib lib64 usr/bin/sh usr/lib64/ld-linux-x86-64.so.2 $(echo $programs $libraries | tr ' ' '\\n' | sed 's,^/,,') | docker import - ";
/// Says which container answers.
const SERVE: &str = "exec /usr/bin/systemd-socket-activate --accept --inetd --listen 8080 /bin/sh -c \
     'read line; printf \"HTTP/1.0 200 OK\\r\\nConnection: close\\r\\n\\r\\n\"; cat /etc/hostname'";

/// Reads where etcd is from what the agent left for programs of its machine.
const ETCDCTL: &str = "access=/run/cluster-agent/access.toml; \
     export ETCDCTL_ENDPOINTS=$(sed -n 's/^endpoints = \\[\"\\(.*\\)\"\\]/\\1/p' $access) \
     ETCDCTL_CACERT=$(sed -n 's/^ca-file = \"\\(.*\\)\"/\\1/p' $access) ETCDCTL_CERT=$(sed -n 's/^cert-file = \"\\(.*\\)\"/\\1/p' $access) \
     ETCDCTL_KEY=$(sed -n 's/^key-file = \"\\(.*\\)\"/\\1/p' $access); etcdctl --dial-timeout 5s --command-timeout 8s ";

/// Machines on one switch that were given the same document.
struct Cluster {
    server: UpdateServer,
    switch: Switch,
    document: String,
    machines: Vec<Arc<Vm>>,
}

impl Cluster {
    /// A cluster for `size` voters with room for `ports` machines; nobody is in it yet.
    fn new(bench: &Bench<'_>, size: u8, ports: u8) -> anyhow::Result<Self> {
        let server = UpdateServer::start(bench.logs())?;
        let discovery = server.discovery(size)?;
        let document = format!(
            "#cloud-config\ncoreos:\n  cluster:\n    discovery: {discovery}\n    tls: auto\n    secret: known to these machines only\n    \
             replace_after: {REPLACE_AFTER}\n  swarm:\n    managers: 3\n    replace_after: never\n  update:\n    reboot-strategy: etcd-lock\n"
        );
        Ok(Self { server, switch: bench.switch(ports)?, document, machines: Vec::new() })
    }

    /// One more machine, which is given the document.
    fn join(&mut self, bench: &Bench<'_>) -> anyhow::Result<Arc<Vm>> {
        self.join_on(bench, bench.image()?)
    }

    /// The same with an image of one's choice.
    fn join_on(&mut self, bench: &Bench<'_>, image: Utf8PathBuf) -> anyhow::Result<Arc<Vm>> {
        let number = u8::try_from(self.machines.len() + 1).context("too many machines")?;
        let mut spec = Spec::new(image);
        spec.services = vec![self.server.service()];
        let vm = bench.fork(&format!("vm{number}"), &spec)?;
        vm.become_machine(number)?;
        // The way to the others is the way to everywhere: from it the agent knows which address is its own.
        vm.guest().check(
            "mkdir -p /etc/systemd/network/10-switch.network.d && printf '[Route]\\nDestination=0.0.0.0/0\\nScope=link\\nMetric=1\\n' \
             > /etc/systemd/network/10-switch.network.d/route.conf",
        )?;
        vm.plug_switch(self.switch.port(number)?)?;
        vm.guest().write_file("/etc/cluster.yaml".into(), self.document.as_bytes())?;
        vm.guest().check_for("cloud-config apply /etc/cluster.yaml", 20)?;
        self.machines.push(Arc::clone(&vm));
        Ok(vm)
    }

    fn form(bench: &Bench<'_>, size: u8, ports: u8) -> anyhow::Result<Self> {
        let mut cluster = Self::new(bench, size, ports)?;
        for _ in 0..size {
            cluster.join(bench)?;
        }
        let up = Instant::now();
        cluster.has_voters(usize::from(size))?;
        bench.note("etcd after the last network", up.elapsed());
        cluster.has_nodes(usize::from(size), 3)?;
        bench.note("Swarm after the last network", up.elapsed());
        Ok(cluster)
    }

    fn first(&self) -> anyhow::Result<&Vm> {
        self.machines.first().map(Arc::as_ref).context("there is no machine")
    }

    fn address(&self, number: u8) -> anyhow::Result<Ipv4Addr> {
        Ok(self.switch.port(number)?.address())
    }

    /// All of so many voters are there and healthy, as the first machine sees it.
    fn has_voters(&self, count: usize) -> anyhow::Result<()> {
        let list = format!("{ETCDCTL} member list && {ETCDCTL} endpoint health --cluster 2>&1 | grep -c ' is healthy'");
        let wanted = format!("\n{count}");
        self.first()?.guest().wait_for(&list, FORM_SECS, |said| {
            let voters = said.stdout.lines().filter(|line| line.contains(", started, ") && line.ends_with("false")).count();
            voters == count && said.text().ends_with(&wanted)
        })?;
        Ok(())
    }

    /// So many nodes are in the Swarm, and so many of them manage it.
    fn has_nodes(&self, count: usize, managers: usize) -> anyhow::Result<()> {
        self.first()?.guest().wait_for(
            "docker node ls --format '{{.Status}} {{.Availability}} {{.ManagerStatus}}'",
            FORM_SECS,
            |said| {
                let nodes = said.stdout.lines().filter(|line| line.starts_with("Ready Active")).count();
                let managing = said.stdout.lines().filter(|line| line.contains("Leader") || line.contains("Reachable")).count();
                nodes == count && managing == managers
            },
        )?;
        Ok(())
    }

    /// A service with two replicas behind the routing mesh, port 8080.
    fn serve(&self) -> anyhow::Result<()> {
        for vm in &self.machines {
            vm.guest().check_for(&format!("{MAKE_IMAGE}{IMAGE}"), SERVICE_SECS)?;
        }
        self.first()?.guest().check_for(
            &format!(
                "docker service create --detach --name web --replicas 2 --publish 8080:8080 --no-resolve-image --stop-grace-period 1s \
                 --replicas-max-per-node 1 {IMAGE} /bin/sh -c {}",
                shell_word(SERVE)
            ),
            SERVICE_SECS,
        )?;
        self.runs_twice(self.first()?, SERVICE_SECS)?;
        self.machines.iter().take(3).try_for_each(|vm| self.answers(vm))
    }

    /// A machine that runs a task of the service is taken away: the service is soon whole again, and the others answer all the while.
    fn survives(&self, bench: &Bench<'_>, take_away: impl FnOnce(&Vm) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let [one, two, three, ..] = self.machines.as_slice() else { bail!("there are not three machines") };
        let tasks = three.guest().check("docker ps --quiet --filter label=com.docker.swarm.service.name=web")?;
        let (victim, other) = if tasks.text().is_empty() { (two, three) } else { (three, two) };
        bench.say(&format!("the power of {} goes", victim.name()));
        take_away(victim)?;
        let died = Instant::now();
        self.runs_twice(one, FAILOVER_SECS)?;
        bench.note("the service is whole again after a machine died", died.elapsed());
        for vm in [one, other] {
            self.answers(vm)?;
            vm.guest().check(&format!("{ETCDCTL} put alive yes"))?;
        }
        Ok(())
    }

    /// The same with a machine that comes back.
    fn survives_reset(&self, bench: &Bench<'_>) -> anyhow::Result<()> {
        let boots = self.machines.iter().map(|vm| vm.guest().boot_id()).collect::<anyhow::Result<Vec<_>>>()?;
        let mut away = String::new();
        self.survives(bench, |victim| {
            victim.name().clone_into(&mut away);
            victim.reset()
        })?;
        for (vm, boot) in self.machines.iter().zip(&boots).filter(|(vm, _)| vm.name() == away) {
            vm.wait_for_boot_after(boot)?;
        }
        self.has_voters(3)?;
        self.has_nodes(self.machines.len(), 3)
    }

    /// The first three machines update themselves, one reboot at a time, and whoever asks the service meanwhile is answered.
    fn rolls(&self, bench: &Bench<'_>) -> anyhow::Result<()> {
        let [one, two, three, asks] = self.machines.as_slice() else { bail!("there are not four machines") };
        let voters = [one, two, three];
        // A client that knows all three addresses and goes on to the next one when one does not answer.
        let addresses =
            (1..=3).map(|number| self.address(number).map(|address| address.to_string())).collect::<anyhow::Result<Vec<_>>>()?;
        asks.guest().check(&format!(
            "systemctl stop updater.service; systemd-run --quiet --unit=asks bash -c 'good=0 bad=0; while :; do ok=; for a in {}; do \
             curl -sf --max-time 10 http://$a:8080/ > /dev/null && ok=1 && break; done; [ -n \"$ok\" ] && good=$((good+1)) || bad=$((bad+1)); \
             echo $good $bad > /run/asks; sleep {}; done'",
            addresses.join(" "),
            REQUEST_EVERY.as_secs_f64()
        ))?;
        for vm in voters {
            configure(vm, "", "wait-for-users = \"0s\"")?;
            vm.guest().check("systemctl restart updater.service")?;
        }
        bench.say(&format!("{UPDATED} is rolled out to all three"));
        self.server.roll_out(UPDATED)?;
        voters.iter().try_for_each(|vm| vm.guest().check("updater check").map(drop))?;
        let (mut most_away, mut seen) = (0, String::new());
        one.wait("everybody runs the new release", 3 * UPDATE_SECS, || {
            let said = asks.guest().run("cluster-agent reboots --json")?;
            let turns: serde_json::Value = serde_json::from_str(&said.stdout).unwrap_or_default();
            let holders = turns.as_array().into_iter().flatten().filter_map(|group| group["holders"].as_array()).map(Vec::len);
            most_away = most_away.max(holders.sum());
            let states: Vec<_> = voters.iter().map(|vm| state_of(vm)).collect();
            let now =
                states.iter().zip(voters).map(|((version, state), vm)| format!("{} {version} {state}", vm.name())).collect::<Vec<_>>();
            let now = now.join(", ");
            if now != seen {
                bench.say(&now);
                seen = now;
            }
            Ok(states.iter().all(|(version, state)| version == UPDATED && state == "idle").then_some(()))
        })?;
        ensure!(most_away == 1, "{most_away} machines held the turn at a time");
        let asked = asks.guest().check("cat /run/asks")?;
        let (good, bad) = asked.text().split_once(' ').context("what the client counted")?;
        let (good, bad): (u64, u64) = (good.parse()?, bad.parse()?);
        bench.say(&format!("{good} requests were answered and {bad} were not"));
        ensure!(good > 0 && bad <= FAILED_REQUESTS_MAX, "{good} requests were answered and {bad} were not");
        self.has_voters(3)
    }

    /// Two tasks of the service run on machines that are there, as `vm` sees it.
    fn runs_twice(&self, vm: &Vm, fast_secs: u64) -> anyhow::Result<()> {
        let tasks = "docker service ps web --filter desired-state=running --format '{{.CurrentState}} {{.Node}} {{.Error}}'; \
                     docker node ls --filter role=manager --format 'node {{.Hostname}} {{.Status}}'";
        vm.guest().wait_for(tasks, fast_secs, |said| {
            let down: Vec<&str> = said
                .stdout
                .lines()
                .filter_map(|line| {
                    line.strip_prefix("node ")?.split_once(' ').filter(|(_, status)| *status != "Ready").map(|(name, _)| name)
                })
                .collect();
            let running = said.stdout.lines().filter(|line| line.starts_with("Running") && !down.iter().any(|name| line.contains(name)));
            running.count() == 2
        })?;
        Ok(())
    }

    /// Machine `vm` answers for the service, whoever runs it.
    fn answers(&self, vm: &Vm) -> anyhow::Result<()> {
        let ask = "curl --silent --show-error --fail --max-time 10 http://127.0.0.1:8080/";
        vm.guest().wait_for(ask, SERVICE_SECS, |said| said.success() && !said.text().is_empty())?;
        Ok(())
    }
}

/// Version and state of a machine's updater; dashes while nobody answers.
fn state_of(vm: &Vm) -> (String, String) {
    let said = vm.guest().run("updater status --json").ok().filter(|said| said.success());
    let status: serde_json::Value = said.and_then(|said| serde_json::from_str(&said.stdout).ok()).unwrap_or_default();
    let word = |key: &str| status[key].as_str().unwrap_or("-").to_owned();
    (word("version"), word("state"))
}

fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

pub(crate) const FORMS: Scenario = Scenario::new(
    "three_machines_with_one_cloud_config_are_a_cluster",
    "Three machines with the same cloud-config become one etcd cluster and one Swarm, and a service stays up when one of them dies.",
    |bench| {
        let cluster = Cluster::form(bench, 3, 3)?;
        let [one, two, three] = cluster.machines.as_slice() else { bail!("there are not three machines") };
        one.guest().check(&format!("{ETCDCTL} put promise kept"))?;
        let said = three.guest().check(&format!("{ETCDCTL} get promise --print-value-only"))?;
        ensure!(said.text() == "kept", "the third machine reads {said}");
        // Without a certificate nobody is let in, from this machine or from another.
        let bare = two.guest().run(&format!("curl --silent --insecure --max-time 5 https://{}:2379/health", cluster.address(1)?))?;
        ensure!(!bare.success(), "etcd talks to everybody: {bare}");
        cluster.serve()?;
        memory_is_small(one)?;
        cluster.survives(bench, |victim| {
            victim.kill();
            Ok(())
        })
    },
)
.needs(Need::machines(3, 2))
.seconds(420);

/// The agent's own memory, as the kernel counts it.
fn memory_is_small(vm: &Vm) -> anyhow::Result<()> {
    const KIB_MAX: u64 = 30 << 10;
    let said =
        vm.guest().check("awk '/^VmRSS/ { print $2 }' /proc/$(systemctl show --value --property MainPID cluster-agent.service)/status")?;
    let kib: u64 = said.text().parse().context("the agent's memory")?;
    ensure!(kib <= KIB_MAX, "cluster-agent takes {kib} KiB of memory; {KIB_MAX} are allowed");
    Ok(())
}

pub(crate) const PARTED: Scenario = Scenario::new(
    "a_cluster_that_is_parted_refuses_in_the_minority_and_heals",
    "Of a cluster that falls apart the smaller part refuses to write; when the network is back, everybody has what was written meanwhile.",
    |bench| {
        let cluster = Cluster::form(bench, 3, 3)?;
        let [one, two, three] = cluster.machines.as_slice() else { bail!("there are not three machines") };
        cluster.switch.partition(&[&[1, 2], &[3]]);
        let write = format!("{ETCDCTL} put side");
        one.guest().wait_for(&format!("{write} majority"), REJOIN_SECS, |said| said.success())?;
        let refused = three.guest().run(&format!("{write} minority"))?;
        ensure!(!refused.success(), "the minority writes: {refused}");
        let turn = three.guest().run("curl --silent --max-time 20 --unix-socket /run/cluster-agent/turns.sock -H 'fleet-lock-protocol: true' \
             --data '{\"client_params\":{\"id\":\"x\",\"group\":\"default\"}}' --output /dev/null --write-out '%{http_code}' http://turns/v1/pre-reboot")?;
        ensure!(turn.text() != "200", "the minority may reboot: {turn}");
        cluster.switch.heal();
        three.guest().wait_for(&format!("{ETCDCTL} get side --print-value-only"), REJOIN_SECS, |said| said.text() == "majority")?;
        cluster.has_voters(3)?;
        two.guest().check(&format!("{write} everybody")).map(drop)
    },
)
.needs(Need::machines(3, 2))
.seconds(360)
.when(When::Full);

pub(crate) const RETURNS: Scenario = Scenario::new(
    "a_cluster_comes_back_after_the_power_was_gone_everywhere",
    "All machines lose power at once and the discovery server is gone for good: the cluster comes back with everything it held.",
    |bench| {
        let cluster = Cluster::form(bench, 3, 3)?;
        cluster.first()?.guest().check(&format!("{ETCDCTL} put promise kept"))?;
        cluster.server.stop();
        let boots = cluster.machines.iter().map(|vm| vm.guest().boot_id()).collect::<anyhow::Result<Vec<_>>>()?;
        cluster.machines.iter().try_for_each(|vm| vm.reset())?;
        for (vm, boot) in cluster.machines.iter().zip(&boots) {
            vm.wait_for_boot_after(boot)?;
        }
        cluster.has_voters(3)?;
        let said = cluster.first()?.guest().check(&format!("{ETCDCTL} get promise --print-value-only"))?;
        ensure!(said.text() == "kept", "the cluster holds {said}");
        cluster.has_nodes(3, 3)
    },
)
.needs(Need::machines(3, 2))
.seconds(480)
.when(When::Full);

pub(crate) const STANDBY: Scenario = Scenario::new(
    "a_fourth_machine_serves_as_client_and_takes_a_dead_ones_seat",
    "The fourth machine is no voter, yet etcd is there on its own address; when a voter is gone for the stated time it takes the seat, and \
              a machine that comes back with an empty disk is let in again.",
    |bench| {
        let mut cluster = Cluster::form(bench, 3, 4)?;
        let four = cluster.join(bench)?;
        four.guest().wait_for(&format!("{ETCDCTL} put fourth writes"), FORM_SECS, |said| said.success())?;
        let running = four.guest().run("systemctl is-active etcd.service")?;
        ensure!(running.text() != "active", "the fourth machine runs etcd itself");

        // A machine that lost its data is a stranger with an old name.
        let three = cluster.machines.get(2).context("there is no third machine")?;
        three.guest().check_for(
            "systemctl stop cluster-agent.service etcd.service && rm -rf /var/lib/etcd/* && systemctl start cluster-agent.service",
            20,
        )?;
        three.guest().wait_for(&format!("{ETCDCTL} get fourth --print-value-only"), REJOIN_SECS, |said| said.text() == "writes")?;
        cluster.has_voters(3)?;

        let two = cluster.machines.get(1).context("there is no second machine")?;
        two.kill();
        four.guest().wait_for("systemctl is-active etcd.service", REJOIN_SECS, |said| said.text() == "active")?;
        cluster.has_voters(3)
    },
)
.needs(Need::machines(4, 2))
.seconds(600)
.when(When::Full);

pub(crate) const ROLLING: Scenario = Scenario::new(
    "an_os_update_rolls_through_a_cluster_without_its_service_going_away",
    "All machines of a cluster update themselves, one reboot at a time, and whoever asks the service meanwhile is answered.",
    |bench| {
        let cluster = initial(bench)?;
        cluster.serve()?;
        cluster.rolls(bench)
    },
)
.needs(Need::machines(4, 2))
.seconds(1500)
.when(When::Full);

/// Three voters and a fourth machine, all of the first release.
fn initial(bench: &Bench<'_>) -> anyhow::Result<Cluster> {
    let mut cluster = Cluster::new(bench, 3, 4)?;
    cluster.server.publish(&bench.images().repository())?;
    for _ in 0..4 {
        let vm = cluster.join_on(bench, bench.images().release(INITIAL)?)?;
        bench.say(&format!("{} has the cloud-config that all have", vm.name()));
    }
    let up = Instant::now();
    cluster.has_voters(3)?;
    bench.note("three machines are one etcd cluster", up.elapsed());
    cluster.has_nodes(4, 3)?;
    bench.note("all are one Swarm", up.elapsed());
    Ok(cluster)
}

/// What `make cluster-demo` shows.
pub(crate) const DEMO: Scenario = Scenario::new(
    "cluster_demo",
    "Machines with one cloud-config become a cluster, a service survives the loss of a machine, and an update rolls through.",
    |bench| {
        bench.say("three voters and a fourth machine boot with one cloud-config");
        let cluster = initial(bench)?;
        cluster.serve()?;
        bench.say("a service with two replicas answers on every machine");
        cluster.survives_reset(bench)?;
        cluster.rolls(bench)
    },
)
.needs(Need::machines(4, 2))
.seconds(1800)
.when(When::Named);
