//! Machines on one switch with the same cloud-config, and what a scenario may ask of them.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use camino::{Utf8Path, Utf8PathBuf};
use qemu_tests::guest::Output;
use qemu_tests::scenario::Bench;
use qemu_tests::switch::Switch;
use qemu_tests::update_server::UpdateServer;
use qemu_tests::vm::{Spec, Vm};

use super::archive;

/// How long a cluster may take to form after the last machine's network is up, in KVM seconds.
pub(super) const FORM_SECS: u64 = 60;
/// How long until a task of a machine that died runs elsewhere, in KVM seconds.
pub(super) const FAILOVER_SECS: u64 = 30;
/// How long a member that was away may take to be one again, in KVM seconds.
pub(super) const REJOIN_SECS: u64 = 120;
/// How long containers take to be made and started, in KVM seconds.
pub(super) const SERVICE_SECS: u64 = 60;
/// Between signs of life of etcd's leader, and without one until there is another. etcd's own 100 and 1000 are for machines that answer within
/// milliseconds; emulated ones that share a core are ten times slower, and would elect leaders and do nothing else.
const HEARTBEAT_MS: u32 = 1_000;
pub(super) const ELECTION_MS: u32 = 10_000;
/// A voter that is dead for so long is replaced; a reboot of an emulated machine takes minutes.
const REPLACE_AFTER: &str = "1h";

/// What the document says of the Swarm.
const SWARM: &str = "  swarm:\n    managers: 3\n    replace_after: never\n";

/// The image of [`archive::web`] on every machine that has it.
pub(super) const IMAGE: &str = "slipway-test/web";
/// The command that says which container answers.
pub(super) const SERVE: &str = "/web-server";
/// Where the service with two replicas answers on every machine.
pub(super) const WEB: u16 = 8080;
/// A task goes on answering for so long after it was told to stop: until every machine has heard that it goes, connections are still sent to
/// it. Docker itself waits two seconds for that, which emulated machines are too slow for. [`SERVE`] leaves a stop unheard.
const GOODBYE: &str = "30s";

/// Reads where etcd is from what the agent left for programs of its machine.
pub(super) const ETCDCTL: &str = "access=/run/cluster-agent/access.toml; [ -e $access ] || { echo 'the agent has not told yet where etcd is'; exit 1; }; \
     export ETCDCTL_ENDPOINTS=$(sed -n 's/^endpoints = \\[\"\\(.*\\)\"\\]/\\1/p' $access) \
     ETCDCTL_CACERT=$(sed -n 's/^ca-file = \"\\(.*\\)\"/\\1/p' $access) ETCDCTL_CERT=$(sed -n 's/^cert-file = \"\\(.*\\)\"/\\1/p' $access) \
     ETCDCTL_KEY=$(sed -n 's/^key-file = \"\\(.*\\)\"/\\1/p' $access); etcdctl --dial-timeout 5s --command-timeout 8s ";

/// Machines on one switch that were given the same document.
pub(super) struct Cluster {
    pub(super) server: UpdateServer,
    pub(super) switch: Switch,
    document: String,
    /// The archive of [`IMAGE`], where the machines are to have it.
    image: Option<Vec<u8>>,
    pub(super) machines: Vec<Arc<Vm>>,
}

impl Cluster {
    /// A cluster for `size` voters with room for `ports` machines; nobody is in it yet.
    pub(super) fn new(bench: &Bench<'_>, size: u8, ports: u8) -> anyhow::Result<Self> {
        Self::replacing(bench, size, ports, REPLACE_AFTER)
    }

    /// The same, where a voter that is dead for so long is replaced.
    pub(super) fn replacing(bench: &Bench<'_>, size: u8, ports: u8, replace_after: &str) -> anyhow::Result<Self> {
        let server = UpdateServer::start(bench.logs())?;
        let discovery = server.discovery(size)?;
        let document = format!(
            "#cloud-config\ncoreos:\n  cluster:\n    discovery: {discovery}\n    tls: auto\n    secret: known to these machines only\n    \
             replace_after: {replace_after}\n{SWARM}  update:\n    reboot-strategy: etcd-lock\n  \
             etcd2:\n    heartbeat_interval: {HEARTBEAT_MS}\n    election_timeout: {ELECTION_MS}\n"
        );
        Ok(Self { server, switch: bench.switch(ports)?, document, image: None, machines: Vec::new() })
    }

    /// The same without a Swarm: what forming one takes of the processors is what five machines lack for everything else.
    pub(super) fn without_swarm(self) -> Self {
        Self { document: self.document.replace(SWARM, ""), ..self }
    }

    /// Machines are given [`IMAGE`] before they join; there is no registry here. Afterwards it would take the time that leaders need for their
    /// signs of life.
    pub(super) fn with_image(self) -> anyhow::Result<Self> {
        Ok(Self { image: Some(archive::web()?), ..self })
    }

    /// One more machine, which is given the document.
    pub(super) fn join(&mut self, bench: &Bench<'_>) -> anyhow::Result<Arc<Vm>> {
        let number = u8::try_from(self.machines.len() + 1).context("too many machines")?;
        let vm = self.machine(bench, number, bench.image()?)?;
        self.machines.push(Arc::clone(&vm));
        Ok(vm)
    }

    /// So many more machines of an image, which start together.
    pub(super) fn join_all(&mut self, bench: &Bench<'_>, count: u8, image: &Utf8Path) -> anyhow::Result<()> {
        let first = u8::try_from(self.machines.len() + 1).context("too many machines")?;
        let this = &*self;
        let machines = std::thread::scope(|scope| {
            let starting: Vec<_> =
                (first..first + count).map(|number| scope.spawn(move || this.machine(bench, number, image.to_owned()))).collect();
            starting.into_iter().map(joined).collect::<anyhow::Result<Vec<_>>>()
        });
        self.machines.extend(machines?);
        Ok(())
    }

    fn machine(&self, bench: &Bench<'_>, number: u8, image: Utf8PathBuf) -> anyhow::Result<Arc<Vm>> {
        let mut spec = Spec::new(image);
        spec.services = vec![self.server.service()];
        spec.guest_ports = vec![WEB];
        let vm = bench.fork(&format!("vm{number}"), &spec)?;
        vm.become_machine(number)?;
        // The way to the others is the way to everywhere: from it the agent knows which address is its own.
        vm.guest().check(
            "mkdir -p /etc/systemd/network/10-switch.network.d && printf '[Route]\\nDestination=0.0.0.0/0\\nScope=link\\nMetric=1\\n' \
             > /etc/systemd/network/10-switch.network.d/route.conf",
        )?;
        if let Some(image) = &self.image {
            vm.guest().write_file("/root/image.tar.gz".into(), image)?;
            vm.guest().check_for(&format!("docker import /root/image.tar.gz {IMAGE} && rm /root/image.tar.gz"), SERVICE_SECS)?;
        }
        vm.plug_switch(self.switch.port(number)?)?;
        vm.guest().write_file("/etc/cluster.yaml".into(), self.document.as_bytes())?;
        vm.guest().check_for("cloud-config apply /etc/cluster.yaml", 20)?;
        Ok(vm)
    }

    pub(super) fn form(bench: &Bench<'_>, size: u8, ports: u8) -> anyhow::Result<Self> {
        Self::new(bench, size, ports)?.formed(bench, size)
    }

    /// The same cluster when all of its voters are there.
    pub(super) fn formed(self, bench: &Bench<'_>, size: u8) -> anyhow::Result<Self> {
        let mut cluster = self;
        cluster.join_all(bench, size, &bench.image()?)?;
        let up = Instant::now();
        cluster.has_voters(usize::from(size))?;
        bench.note("etcd after the last network", up.elapsed());
        cluster.has_nodes(usize::from(size), 3)?;
        bench.note("Swarm after the last network", up.elapsed());
        Ok(cluster)
    }

    pub(super) fn first(&self) -> anyhow::Result<&Vm> {
        self.machines.first().map(Arc::as_ref).context("there is no machine")
    }

    pub(super) fn address(&self, number: u8) -> anyhow::Result<Ipv4Addr> {
        Ok(self.switch.port(number)?.address())
    }

    /// All of so many voters are there and healthy, as the first machine sees it.
    pub(super) fn has_voters(&self, count: usize) -> anyhow::Result<()> {
        let list = format!("{ETCDCTL} member list && {ETCDCTL} endpoint health --cluster 2>&1 | grep -c ' is healthy'");
        let wanted = format!("\n{count}");
        // Five share the processors that three have elsewhere.
        let fast_secs = FORM_SECS * if count > 3 { 2 } else { 1 };
        self.first()?.guest().wait_for(&list, fast_secs, |said| {
            let voters = said.stdout.lines().filter(|line| line.contains(", started, ") && line.ends_with("false")).count();
            voters == count && said.text().ends_with(&wanted)
        })?;
        Ok(())
    }

    /// So many nodes are in the Swarm, and so many of them manage it.
    pub(super) fn has_nodes(&self, count: usize, managers: usize) -> anyhow::Result<()> {
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

    /// A service of [`IMAGE`]. While managers elect a leader the answer is that it takes too long, and a person asks again.
    pub(super) fn create(&self, name: &str, options: &str, command: &str) -> anyhow::Result<()> {
        let create = format!("docker service create --detach --no-resolve-image --name {name} {options} {IMAGE} {command}");
        let unless_there = format!("docker service inspect {name} > /dev/null 2>&1 || {create}");
        self.first()?.guest().wait_for(&unless_there, SERVICE_SECS, Output::success).map(drop)
    }

    /// A service with two replicas behind the routing mesh, port 8080.
    pub(super) fn serve(&self) -> anyhow::Result<()> {
        ensure!(self.image.is_some(), "the machines of this cluster have no image to serve with");
        self.create("web", &format!("--replicas 2 --publish 8080:8080 --stop-grace-period {GOODBYE} --replicas-max-per-node 1"), SERVE)?;
        self.runs_twice(self.first()?, None, SERVICE_SECS)?;
        self.machines.iter().take(3).try_for_each(|vm| self.answers(vm))
    }

    /// A machine that runs a task of the service dies: the service is soon whole again, and the others answer all the while.
    pub(super) fn survives_a_death(&self, bench: &Bench<'_>) -> anyhow::Result<()> {
        let (one, victim, other) = self.victim()?;
        bench.say(&format!("the power of {} goes", victim.name()));
        victim.kill();
        let died = Instant::now();
        self.runs_twice(one, Some(victim), FAILOVER_SECS)?;
        bench.note("the service is whole again after a machine died", died.elapsed());
        self.all_answer([one, other])
    }

    /// The same with a machine that comes back.
    pub(super) fn survives_a_reset(&self, bench: &Bench<'_>) -> anyhow::Result<()> {
        let (one, victim, other) = self.victim()?;
        let boot = victim.guest().boot_id()?;
        bench.say(&format!("the power of {} goes", victim.name()));
        victim.reset()?;
        self.all_answer([one, other])?;
        bench.say("the others answer and write");
        victim.wait_for_boot_after(&boot)?;
        self.has_voters(3)?;
        self.has_nodes(self.machines.len(), 3)?;
        bench.say(&format!("{} is back, a member of etcd and a manager of the Swarm", victim.name()));
        self.runs_twice(one, None, SERVICE_SECS)
    }

    /// The first machine, one of the others that runs a task of the service, and the third.
    fn victim(&self) -> anyhow::Result<(&Vm, &Vm, &Vm)> {
        let [one, two, three, ..] = self.machines.as_slice() else { bail!("there are not three machines") };
        let tasks = three.guest().check("docker ps --quiet --filter label=com.docker.swarm.service.name=web")?;
        Ok(if tasks.text().is_empty() { (one, two, three) } else { (one, three, two) })
    }

    /// These answer for the service and take writes to etcd.
    fn all_answer(&self, machines: [&Vm; 2]) -> anyhow::Result<()> {
        for vm in machines {
            self.answers(vm)?;
            vm.guest().wait_for(&format!("{ETCDCTL} put alive yes"), REJOIN_SECS, Output::success)?;
        }
        Ok(())
    }

    /// Two tasks of the service run, as `vm` sees it, and none of them on `gone`: of a machine that died a moment ago Docker still thinks
    /// that its tasks run.
    pub(super) fn runs_twice(&self, vm: &Vm, gone: Option<&Vm>, fast_secs: u64) -> anyhow::Result<()> {
        let tasks = "docker service ps web --filter desired-state=running --format '{{.Node}} {{.CurrentState}} {{.Error}}'";
        let gone = gone.map(|vm| vm.name().replace("vm", "machine-"));
        vm.guest().wait_for(tasks, fast_secs, |said| {
            let running = said.stdout.lines().filter_map(|line| line.split_once(' ')).filter(|(_, state)| state.starts_with("Running "));
            running.filter(|(node, _)| Some(*node) != gone.as_deref()).count() == 2
        })?;
        Ok(())
    }

    /// Machine `vm` answers for the service, whoever runs it.
    pub(super) fn answers(&self, vm: &Vm) -> anyhow::Result<()> {
        let ask = "curl --silent --show-error --fail --max-time 10 http://127.0.0.1:8080/";
        vm.guest().wait_for(ask, SERVICE_SECS, |said| said.success() && !said.text().is_empty())?;
        Ok(())
    }
}

/// What a thread came to; a panic in it is a failure like any other.
fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, anyhow::Result<T>>) -> anyhow::Result<T> {
    thread.join().unwrap_or_else(|_| bail!("a thread of the scenario panicked"))
}

pub(super) fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
