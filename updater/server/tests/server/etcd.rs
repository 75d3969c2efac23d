//! Real etcd forms a cluster with nothing but an address of ours (`SLIPWAY_TEST_ETCD=FOLDER` with `etcd` and `etcdctl`).

#![allow(clippy::print_stdout, reason = "a test that is passed over says so")]

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::fixture::{Server, databases};

/// A busy machine starts three of them and a server at once, and etcd asks again after 2, 4 and 8 seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that is gone with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[allow(clippy::disallowed_methods, reason = "real programs are processes")]
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn serve(data: &Path, database: &str, port: u16) -> Running {
    let mut command = command(Path::new(env!("CARGO_BIN_EXE_update-server")));
    command.args(["serve", "--json", "--listen", &format!("127.0.0.1:{port}"), "--data"]).arg(data);
    if database.starts_with("postgres") {
        command.args(["--database", database]);
    }
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("listen"), "{line}");
    Running(child)
}

struct Etcd {
    process: Running,
    client: String,
}

fn etcd(programs: &Path, data: &Path, name: &str, discovery: &str) -> Etcd {
    let (peer, client) = (format!("http://127.0.0.1:{}", free_port()), format!("http://127.0.0.1:{}", free_port()));
    let mut command = command(&programs.join("etcd"));
    command.arg("--data-dir").arg(data.join(name)).args(["--name", name, "--discovery", discovery, "--discovery-fallback", "exit"]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    Etcd { process: Running(command.spawn().unwrap()), client }
}

fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn healthy(programs: &Path, all: &[&Etcd]) -> bool {
    let endpoints: Vec<&str> = all.iter().map(|etcd| etcd.client.as_str()).collect();
    let mut command = command(&programs.join("etcdctl"));
    command.args(["--endpoints", &endpoints.join(","), "endpoint", "health"]).status().unwrap().success()
}

fn ended(etcd: &mut Etcd) -> ExitStatus {
    wait("the fourth etcd to be refused", || etcd.process.0.try_wait().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_etcds_form_a_cluster_over_a_restart_of_the_server_and_a_fourth_is_refused() {
    let Some(programs) = std::env::var_os("SLIPWAY_TEST_ETCD").map(PathBuf::from) else {
        println!("passed over: SLIPWAY_TEST_ETCD names no folder with etcd and etcdctl");
        return;
    };
    let outer = tempfile::tempdir().unwrap();
    for database in databases(outer.path()).await {
        let dir = tempfile::tempdir().unwrap();
        let (data, port) = (dir.path().join("server"), free_port());
        let mut init = command(Path::new(env!("CARGO_BIN_EXE_update-server")));
        init.args(["init", "--data"]).arg(&data);
        if database.starts_with("postgres") {
            init.args(["--database", &database]);
        }
        assert!(init.status().unwrap().success());
        let server = serve(&data, &database, port);
        let address = format!("127.0.0.1:{port}");
        let discovery = Server::send_to(&address, "GET", "/discovery/new?size=3", &[("X-None", "")], b"").await.unwrap().ok().text();
        let discovery = discovery.replace("http://x/", &format!("http://{address}/"));
        let token = discovery.rsplit('/').next().unwrap().to_owned();
        let count = async || {
            let list = Server::send_to(&address, "GET", &format!("/discovery/{token}"), &[], b"").await?.ok().json();
            list["node"]["nodes"].as_array().map(Vec::len)
        };
        let (one, two) = (etcd(&programs, dir.path(), "n1", &discovery), etcd(&programs, dir.path(), "n2", &discovery));
        // An etcd whose first write gets no answer gives up, so both must have theirs and wait for the third.
        let waiting =
            async || Some(Server::send_to(&address, "GET", "/metrics", &[], b"").await?.ok().text().contains("_discovery_waiting 2"));
        let began = Instant::now();
        while waiting().await != Some(true) {
            assert!(began.elapsed() < PATIENCE, "two etcds did not register");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(count().await, Some(2));
        // Without a word: whoever waits finds its connection cut.
        drop(server);
        let server = serve(&data, &database, port);
        let three = etcd(&programs, dir.path(), "n3", &discovery);
        let all = [&one, &two, &three];
        wait("three etcds to form a cluster", || healthy(&programs, &all).then_some(()));
        assert_eq!(count().await, Some(3));
        let mut four = etcd(&programs, dir.path(), "n4", &discovery);
        assert!(!ended(&mut four).success());
        assert_eq!(count().await, Some(3), "whoever finds every seat taken writes nothing");
        drop(server);
        assert!(healthy(&programs, &all), "nobody needs the server any more");
    }
}
