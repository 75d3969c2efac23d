//! A real etcd on loopback, with a directory of its own, gone when it is dropped.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cluster_store::{Access, Machine, Presence};
use tokio::process::{Child, Command};

/// The folder with `etcd`; without it these tests pass over.
const FOLDER: &str = "SLIPWAY_TEST_ETCD";
/// How long etcd may take to answer on a busy machine.
const START: Duration = Duration::from_secs(60);

pub struct Etcd {
    pub access: Access,
    _child: Child,
    _directory: tempfile::TempDir,
}

impl Etcd {
    /// Starts one, or prints why not.
    pub async fn start() -> Option<Self> {
        let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
            println!("passed over: {FOLDER} does not name a folder with etcd");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let (client, peer) = (url(free_port()), url(free_port()));
        let child = Command::new(folder.join("etcd"))
            .arg("--data-dir")
            .arg(directory.path())
            .args(["--name", "m1", "--listen-client-urls", &client, "--advertise-client-urls", &client])
            .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("m1={peer}")])
            .args(["--unsafe-no-fsync", "--log-level", "error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let access = Access { endpoints: vec![client], tls: None };
        let begun = Instant::now();
        while access.connect().await.unwrap().get("ready", None).await.is_err() {
            assert!(begun.elapsed() < START, "etcd does not answer");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(Self { access, _child: child, _directory: directory })
    }

    /// A machine that is there for as long as what this returns lives.
    pub async fn presence(&self, machine: &Machine) -> Presence {
        let mut presence = Presence::begin(self.access.connect().await.unwrap(), 600).await.unwrap();
        presence.put(&format!("slipway/machines/{}", machine.id), &serde_json::to_string(machine).unwrap()).await.unwrap();
        presence
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
