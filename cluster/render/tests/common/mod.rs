//! A real etcd on loopback, for as long as a test needs it.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use cluster_store::Access;
use etcd_client::Client;
use tokio::process::{Child, Command};

/// How long something may take on a machine that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A real etcd; killed when dropped.
pub struct Etcd {
    program: PathBuf,
    data: tempfile::TempDir,
    client_port: u16,
    peer_port: u16,
    child: Option<Child>,
}

impl Etcd {
    /// Starts one, if `SLIPWAY_TEST_ETCD` names the folder with the program.
    pub async fn start() -> Option<Self> {
        let Some(folder) = std::env::var_os("SLIPWAY_TEST_ETCD") else {
            eprintln!("passed over: SLIPWAY_TEST_ETCD does not name a folder with etcd");
            return None;
        };
        let mut etcd = Self {
            program: PathBuf::from(folder).join("etcd"),
            data: tempfile::tempdir().unwrap(),
            client_port: free_port(),
            peer_port: free_port(),
            child: None,
        };
        etcd.run().await;
        Some(etcd)
    }

    pub async fn run(&mut self) {
        let (client, peer) = (format!("http://127.0.0.1:{}", self.client_port), format!("http://127.0.0.1:{}", self.peer_port));
        let mut command = Command::new(&self.program);
        command.args(["--name", "n1", "--unsafe-no-fsync", "--log-level", "error", "--data-dir"]).arg(self.data.path());
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer, "--initial-cluster", &format!("n1={peer}")]);
        self.child = Some(command.kill_on_drop(true).spawn().unwrap());
        let access = self.access();
        until("etcd answers", async || match access.connect().await {
            Ok(mut client) => client.get("x", None).await.is_ok(),
            Err(_) => false,
        })
        .await;
    }

    pub async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.unwrap();
        }
    }

    pub fn access(&self) -> Access {
        Access { endpoints: vec![format!("http://127.0.0.1:{}", self.client_port)], tls: None }
    }

    pub async fn client(&self) -> Client {
        self.access().connect().await.unwrap()
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `good` says so; real programs have no clock that could be moved.
pub async fn until(what: &str, mut good: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !good().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "waited in vain until {what}");
}
