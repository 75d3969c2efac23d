//! A handful of machines on 127.0.0.0/8: each has an address, a disk and the engine of the agent.

#![allow(clippy::disallowed_methods, reason = "etcd of a test is a process")]
#![allow(clippy::print_stderr, reason = "a test that is passed over says so")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use cluster_agent::config::Config;
use cluster_agent::etcd::Engine;
use cluster_agent::etcd::init::{Init, Running};
use cluster_agent::etcd::launch::Launch;
use cluster_agent::etcd::members::Lookout;
use cluster_agent::etcd::rendezvous::Rendezvous;
use cluster_agent::etcd::seen::{Live, Roster, Seat};
use cluster_agent::ground::Ground;
use cluster_store::{Access, Report, Tls};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long anything may take; a busy machine is slow.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How much of each etcd's log a failure shows.
const LINES: usize = 12;
/// Time between two looks.
pub const PACE: Duration = Duration::from_millis(200);

/// etcd's programs, or nothing.
pub fn etcd() -> Option<PathBuf> {
    let folder = std::env::var_os("SLIPWAY_TEST_ETCD").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("SLIPWAY_TEST_ETCD is not set: passed over");
    }
    folder
}

/// etcd as a child of the test.
#[derive(Debug, Clone)]
pub struct Process {
    program: PathBuf,
    log: PathBuf,
    child: Arc<Mutex<Option<Child>>>,
}

impl Process {
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if Arc::strong_count(&self.child) == 1 {
            self.kill();
        }
    }
}

impl Init for Process {
    async fn start(&self, launch: &Launch) -> Result<()> {
        if self.running().await?.is_some() {
            return Ok(());
        }
        let log = std::fs::File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(&self.program).env_clear().env("PATH", "/usr/bin:/bin").envs(launch.environment().iter().cloned());
        // Loopback is quick; a test waits for elections often.
        command.env("ETCD_UNSUPPORTED_ARCH", std::env::consts::ARCH).env("ETCD_LOG_LEVEL", "warn");
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        *self.child.lock().unwrap() = Some(child);
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        self.kill();
        Ok(())
    }

    async fn running(&self) -> Result<Option<Running>> {
        let runs = self.child.lock().unwrap().as_mut().is_some_and(|child| child.try_wait().is_ok_and(|ended| ended.is_none()));
        Ok(runs.then(Running::default))
    }
}

/// A discovery service in the test's memory.
#[derive(Debug, Clone)]
pub struct Board {
    size: usize,
    seats: Arc<Mutex<Vec<Seat>>>,
    pub away: Arc<Mutex<bool>>,
    /// What the engines say and where their etcd writes, by the names of their machines: a failure tells of all.
    said: Arc<Mutex<BTreeMap<String, (Report, PathBuf)>>>,
}

impl Rendezvous for Board {
    async fn look(&self, me: Option<&Seat>) -> Result<Roster> {
        anyhow::ensure!(!*self.away.lock().unwrap(), "the discovery service is away");
        let mut seats = self.seats.lock().unwrap();
        if let Some(me) = me
            && seats.len() < self.size
            && !seats.contains(me)
        {
            seats.push(me.clone());
        }
        Ok(Roster { size: self.size, seats: seats.clone() })
    }
}

/// One machine; killed when it is dropped.
pub struct Machine {
    pub ground: Ground,
    pub process: Process,
    pub config: Config,
    board: Board,
    report: Report,
    engine: Option<JoinHandle<()>>,
    access: watch::Receiver<Option<Access>>,
}

impl Machine {
    pub fn engine(&mut self) -> Engine<Process, Board> {
        let (say, access) = watch::channel(None);
        self.access = access;
        let (ground, config) = (self.ground.clone(), self.config.clone());
        Engine::new(ground, config, self.process.clone(), self.board.clone(), self.report.clone(), say).unwrap()
    }

    /// Starts the agent, as at boot.
    pub fn boot(&mut self) {
        // What it said before it died is not true any more.
        self.report = Report::alone("etcd");
        self.board.said.lock().unwrap().insert(self.ground.name.clone(), (self.report.clone(), self.process.log.clone()));
        let engine = self.engine();
        self.engine = Some(tokio::spawn(async move {
            let never = engine.run().await;
            match never {}
        }));
    }

    /// Cuts the power.
    pub async fn die(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.abort();
            let _ = engine.await;
        }
        self.process.kill();
    }

    /// Replaces the disk.
    pub fn wipe(&self) {
        for folder in [&self.ground.data, &self.ground.state] {
            if folder.exists() {
                std::fs::remove_dir_all(folder).unwrap();
            }
        }
    }

    pub fn state(&self) -> (String, String) {
        self.report.last().map(|last| (last.state, last.reason)).unwrap_or_default()
    }

    /// Waits until it is in this state for a reason with these words.
    pub async fn until(&self, state: &str, words: &str) {
        let reached = tokio::time::timeout(PATIENCE, async {
            loop {
                let (now, reason) = self.state();
                if now == state && reason.contains(words) {
                    return;
                }
                tokio::time::sleep(PACE).await;
            }
        });
        if reached.await.is_err() {
            let all: Vec<String> = self.board.said.lock().unwrap().iter().map(|(name, (said, log))| told(name, said, log)).collect();
            panic!("{} is {:?} and not {state}: {words}\n{}", self.ground.name, self.state(), all.join("\n"));
        }
    }

    pub fn certificates(&self) -> Option<Tls> {
        let access = self.access.borrow().clone();
        access.and_then(|access| access.tls)
    }

    pub async fn client(&self) -> etcd_client::Client {
        let access = self.access.borrow().clone().expect("it told how to reach the cluster");
        access.connect().await.unwrap()
    }

    pub async fn put(&self, key: &str, value: &str) {
        self.client().await.put(key, value, None).await.unwrap();
    }

    pub async fn get(&self, key: &str) -> Option<String> {
        let found = self.client().await.get(key, None).await.unwrap();
        found.kvs().first().map(|kv| kv.value_str().unwrap().to_owned())
    }

    /// The members as a quorum of them agrees, asked here.
    pub async fn live(&self) -> Option<Live> {
        let scheme = Ground::scheme(self.certificates().is_some());
        let endpoint = BTreeSet::from([format!("{scheme}://{}", self.ground.local)]);
        Lookout::default().look(&endpoint, self.certificates().as_ref(), &self.ground.machine_id).await.map(|(_, live)| live)
    }

    /// The names of those who vote.
    pub async fn voters(&self) -> Vec<String> {
        let live = self.live().await.expect("a quorum answers");
        let mut names: Vec<String> = live.voters().map(|member| member.name.clone()).collect();
        names.sort();
        names
    }
}

/// What one machine says, and the last that its etcd wrote.
fn told(name: &str, said: &Report, log: &Path) -> String {
    let log = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    format!("{name} says {:?}, and its etcd:\n{}", said.last(), lines[lines.len().saturating_sub(LINES)..].join("\n"))
}

/// The machines of one test.
pub struct Lab {
    pub etcd: PathBuf,
    pub board: Board,
    folder: tempfile::TempDir,
    subnet: u8,
    ports: (u16, u16),
}

/// Tests of one run have addresses of their own, and runs beside it most likely too.
static SUBNET: AtomicU8 = AtomicU8::new(1);

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Lab {
    pub fn new(size: usize) -> Option<Self> {
        let board = Board { size, seats: Arc::default(), away: Arc::default(), said: Arc::default() };
        let subnet = SUBNET.fetch_add(1, Ordering::SeqCst);
        let folder = tempfile::tempdir().unwrap();
        Some(Self { etcd: etcd()?, board, folder, subnet, ports: (free_port(), free_port()) })
    }

    pub fn machine(&self, number: u8) -> Machine {
        let name = format!("n{number}");
        let root = self.folder.path().join(&name);
        std::fs::create_dir_all(&root).unwrap();
        let address = [127, 77, self.subnet, number].into();
        let ground = Ground {
            machine_id: format!("{number:032x}"),
            name,
            address,
            local: (address, self.ports.0).into(),
            client_port: self.ports.0,
            peer_port: self.ports.1,
            data: root.join("etcd"),
            state: root.join("state"),
            run: root.join("run"),
            etcdutl: self.etcd.join("etcdutl"),
            pace: PACE,
        };
        let process = Process { program: self.etcd.join("etcd"), log: root.join("etcd.log"), child: Arc::default() };
        let mut config = Config::default();
        config.snapshot.directory = root.join("snapshots");
        let report = Report::alone("etcd");
        Machine { ground, process, config, board: self.board.clone(), report, engine: None, access: watch::channel(None).1 }
    }

    /// Machines 1 to `count`, booted, and all of the first `size` members.
    pub async fn cluster(&self, count: u8) -> Vec<Machine> {
        let mut machines: Vec<Machine> = (1..=count).map(|number| self.machine(number)).collect();
        for machine in &mut machines {
            machine.boot();
        }
        for machine in &machines {
            machine.until("member", &format!("all {} members are well", self.board.size)).await;
        }
        machines
    }
}
