//! Releases that roll through a cluster, good ones and bad ones.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use qemu_tests::budget::Need;
use qemu_tests::guest::Output;
use qemu_tests::scenario::{Bench, Scenario, When};
use qemu_tests::vm::Vm;

use super::lab::{Cluster, WEB};
use crate::updates::{INITIAL, UPDATED, WITHOUT_DOCKER, configure};

/// One machine's update with its reboot, in KVM seconds.
const UPDATE_SECS: u64 = 300;
/// One machine's update with a trial that fails, and the way back, in KVM seconds.
const RETURN_SECS: u64 = 600;
/// How often nodes of the Swarm say that they are there, on machines as slow as emulated ones.
const HEARTBEAT: &str = "20s";
/// How long one machine may take to answer one request, emulated as it is.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
/// More than any answer has, in bytes.
const REQUEST_BYTES: u64 = 4096;
/// Pause between two looks at the machines: each look is work for all of them, and a turn lasts minutes.
const LOOK_EVERY: Duration = Duration::from_secs(8);
/// Pause between two requests.
const REQUEST_EVERY: Duration = Duration::from_millis(500);

pub(crate) const ROLLING: Scenario = Scenario::new(
    "an_os_update_rolls_through_a_cluster_without_its_service_going_away",
    "All machines of a cluster update themselves, one reboot at a time, and whoever asks the service meanwhile is answered.",
    |bench| {
        let cluster = initial(bench, Cluster::new(bench, 3, 3)?.with_image()?)?;
        cluster.serve()?;
        rolls(&cluster, bench)
    },
)
.needs(Need::machines(3, 2))
.seconds(1500)
.when(When::Full);

/// Three machines of the first release join, with the update server beside them.
fn initial(bench: &Bench<'_>, cluster: Cluster) -> anyhow::Result<Cluster> {
    let mut cluster = cluster;
    cluster.server.publish(&bench.images().repository())?;
    cluster.join_all(bench, 3, &bench.images().release(INITIAL)?)?;
    bench.say("three machines have the same cloud-config");
    let up = Instant::now();
    cluster.has_voters(3)?;
    bench.note("they are one etcd cluster", up.elapsed());
    cluster.has_nodes(3, 3)?;
    bench.note("they are one Swarm", up.elapsed());
    // Docker gives a node up after three beats of five seconds and starts its tasks elsewhere; emulated machines are that late when another
    // one boots beside them.
    cluster.first()?.guest().check(&format!("docker swarm update --dispatcher-heartbeat {HEARTBEAT}"))?;
    Ok(cluster)
}

/// What `make cluster-demo` shows.
pub(crate) const DEMO: Scenario = Scenario::new(
    "cluster_demo",
    "Machines with one cloud-config become a cluster, a service survives the loss of a machine, and an update rolls through.",
    |bench| {
        let cluster = initial(bench, Cluster::new(bench, 3, 3)?.with_image()?)?;
        cluster.serve()?;
        bench.say("a service with two replicas answers on every machine");
        cluster.survives_a_reset(bench)?;
        rolls(&cluster, bench)
    },
)
.needs(Need::machines(3, 2))
.seconds(1800)
.when(When::Named);

/// The machines update themselves, one reboot at a time, and whoever asks the service meanwhile is answered.
fn rolls(cluster: &Cluster, bench: &Bench<'_>) -> anyhow::Result<()> {
    let [one, two, three] = cluster.machines.as_slice() else { bail!("there are not three machines") };
    let voters = [one, two, three];
    let client = Client::start(voters.iter().map(|vm| vm.port(WEB)).collect::<anyhow::Result<Vec<_>>>()?);
    voters.iter().try_for_each(|vm| let_update(vm))?;
    bench.say(&format!("{UPDATED} is rolled out to all three"));
    cluster.server.roll_out(UPDATED)?;
    voters.iter().try_for_each(|vm| vm.guest().check("updater check").map(drop))?;
    let (mut most_away, mut seen) = (0, String::new());
    one.wait("everybody runs the new release", 3 * UPDATE_SECS, || {
        std::thread::sleep(LOOK_EVERY);
        // Whoever reboots does not answer.
        let said = voters.iter().find_map(|vm| vm.guest().run("cluster-agent reboots --json").ok().filter(Output::success));
        let turns: serde_json::Value = said.and_then(|said| serde_json::from_str(&said.stdout).ok()).unwrap_or_default();
        let holders = turns.as_array().into_iter().flatten().filter_map(|group| group["holders"].as_array()).map(Vec::len);
        most_away = most_away.max(holders.sum());
        let states: Vec<_> = voters.iter().map(|vm| state_of(vm)).collect();
        let now = states.iter().zip(voters).map(|((version, state), vm)| format!("{} {version} {state}", vm.name())).collect::<Vec<_>>();
        let now = now.join(", ");
        if now != seen {
            bench.say(&now);
            seen = now;
        }
        Ok(states.iter().all(|(version, state)| version == UPDATED && state == "idle").then_some(()))
    })?;
    ensure!(most_away == 1, "{most_away} machines held the turn at a time");
    let Answers { good, bad } = client.stop()?;
    for (asked, why) in &bad {
        bench.say(&format!("nobody answered {} s after the roll-out began: {why}", asked.as_secs()));
    }
    bench.say(&format!("{good} requests were answered and {} were not", bad.len()));
    ensure!(good > 0 && bad.is_empty(), "{good} requests were answered and {} were not", bad.len());
    cluster.has_voters(3)
}

/// Machines update as soon as it is their turn.
fn let_update(vm: &Vm) -> anyhow::Result<()> {
    configure(vm, "", "wait-for-users = \"0s\"")?;
    vm.guest().check("systemctl restart updater.service").map(drop)
}

/// Version and state of a machine's updater; dashes while nobody answers.
fn state_of(vm: &Vm) -> (String, String) {
    let said = vm.guest().run("updater status --json").ok().filter(|said| said.success());
    let status: serde_json::Value = said.and_then(|said| serde_json::from_str(&said.stdout).ok()).unwrap_or_default();
    let word = |key: &str| status[key].as_str().unwrap_or("-").to_owned();
    (word("version"), word("state"))
}

pub(crate) const BAD_RELEASE: Scenario = Scenario::new(
    "a_bad_release_stops_after_the_first_machine_of_a_cluster",
    "A release whose Docker does not start is rolled out to a whole cluster: the first machine tries it and falls back, and no other machine \
              reboots at all.",
    |bench| {
        let cluster = initial(bench, Cluster::new(bench, 3, 3)?)?;
        let boots = cluster.machines.iter().map(|vm| vm.guest().boot_id()).collect::<anyhow::Result<Vec<_>>>()?;
        cluster.machines.iter().try_for_each(|vm| let_update(vm))?;
        cluster.server.roll_out(WITHOUT_DOCKER)?;
        cluster.machines.iter().try_for_each(|vm| vm.guest().check("updater check").map(drop))?;
        let first = cluster.first()?;
        first.wait("one machine tried it, fell back and said so", RETURN_SECS, || {
            let failed = cluster.machines.iter().find_map(|vm| vm.guest().run("cluster-agent reboots failed --json").ok().filter(|said| said.success()));
            let failed: serde_json::Value = failed.and_then(|said| serde_json::from_str(&said.stdout).ok()).unwrap_or_default();
            Ok(failed.as_array().is_some_and(|failed| failed.iter().any(|one| one["version"] == WITHOUT_DOCKER)).then_some(()))
        })?;
        let words = format!("release {WITHOUT_DOCKER} failed on ");
        let mut rebooted = Vec::new();
        for (vm, boot) in cluster.machines.iter().zip(&boots) {
            if vm.guest().boot_id()? == *boot {
                vm.guest().wait_for("updater status --json", UPDATE_SECS, |said| said.stdout.contains(&words))?;
            } else {
                rebooted.push(Arc::clone(vm));
            }
        }
        let [tried] = rebooted.as_slice() else { bail!("{} machines rebooted", rebooted.len()) };
        ensure!(state_of(tried).0 == INITIAL, "{} runs {}", tried.name(), state_of(tried).0);
        cluster.has_voters(3)?;
        cluster.has_nodes(3, 3)
    },
)
.needs(Need::machines(3, 2))
.seconds(1200)
.when(When::Full)
.allow(&["Failed to start docker.service"]);

/// Somebody who wants to be answered: knows all machines, and goes on to the next one when one does not answer.
struct Client {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Answers>,
}

/// What became of the requests.
#[derive(Default)]
struct Answers {
    good: u64,
    /// When nobody answered, after the start, and what each machine did instead.
    bad: Vec<(Duration, String)>,
}

impl Client {
    fn start(ports: Vec<u16>) -> Self {
        let over = Arc::<AtomicBool>::default();
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let (mut answers, begun) = (Answers::default(), Instant::now());
            while !ends.load(Ordering::SeqCst) {
                let asked = begun.elapsed();
                match ask_each(&ports) {
                    Ok(()) => answers.good += 1,
                    Err(why) => answers.bad.push((asked, why)),
                }
                std::thread::sleep(REQUEST_EVERY);
            }
            answers
        });
        Self { over, thread }
    }

    fn stop(self) -> anyhow::Result<Answers> {
        self.over.store(true, Ordering::SeqCst);
        self.thread.join().map_err(|_| anyhow::anyhow!("whoever asked the service panicked"))
    }
}

/// One request, to one machine after the other until one answers; otherwise what each of them did.
fn ask_each(ports: &[u16]) -> Result<(), String> {
    let mut why = Vec::new();
    for (number, port) in (1..).zip(ports) {
        match answers(*port) {
            Ok(()) => return Ok(()),
            Err(error) => why.push(format!("vm{number}: {error}")),
        }
    }
    Err(why.join(", "))
}

/// One request to one machine.
fn answers(port: u16) -> std::io::Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, REQUEST_PATIENCE)?;
    stream.set_read_timeout(Some(REQUEST_PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(REQUEST_BYTES).read_to_end(&mut answer)?;
    if answer.starts_with(b"HTTP/1.0 200 ") && answer.ends_with(b"\n") {
        return Ok(());
    }
    Err(std::io::Error::other(format!("{} bytes that are no answer", answer.len())))
}
