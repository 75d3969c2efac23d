//! The example: a real HAProxy follows backends that come and go in a real etcd, and no request fails.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use cluster_store::Report;
use common::{Etcd, free_port, until};
use render::{Resource, Target};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

/// Where Debian has it; `/usr/sbin` is not in everybody's path.
const PROGRAM: &str = "/usr/sbin/haproxy";

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/haproxy")
}

fn is_installed() -> bool {
    let installed = Path::new(PROGRAM).exists();
    if !installed {
        eprintln!("passed over: there is no {PROGRAM}; scripts/setup.sh test installs it");
    }
    installed
}

/// The example for a test: its own port, its own socket, the program of this machine in place of the image.
fn target(folder: &Path, port: u16, reload: &str) -> Target {
    let template = std::fs::read_to_string(example().join("haproxy.cfg.j2")).unwrap();
    let socket = folder.join("admin.sock").display().to_string();
    let template = template.replace("*:80", &format!("127.0.0.1:{port}")).replace("/tmp/haproxy.sock", &socket);
    std::fs::write(folder.join("haproxy.cfg.j2"), template).unwrap();
    let text = format!(
        "[template]\nsrc = \"haproxy.cfg.j2\"\ndest = \"{}\"\nservices = [\"web\"]\ncheck_cmd = \"{PROGRAM} -c -f {{{{.src}}}}\"\nreload_cmd = \"{reload}\"\n",
        folder.join("haproxy.cfg").display()
    );
    let resource = Resource::parse(&folder.join("haproxy.toml"), &text, Path::exists);
    Target::new(resource.map_err(|wrong| diagnostics::join(&wrong)).unwrap(), &folder.join("run"))
}

fn entry(id: &str, port: u16) -> (String, String) {
    (format!("slipway/services/web/n1:{id}"), format!("{{\"address\":\"127.0.0.1\",\"port\":{port},\"by\":\"unit {id}\"}}"))
}

#[test]
fn the_example_is_right() {
    let file = example().join("haproxy.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let resource = Resource::parse(&file, &text, Path::exists).map_err(|wrong| diagnostics::join(&wrong)).unwrap();
    assert_eq!(resource.keys, ["slipway/services/web"]);
    let check = resource.check.unwrap().line(Path::new("/etc/haproxy/.haproxy.cfg.x"), &resource.dest);
    assert!(check.ends_with("\"$IMAGE\" haproxy -c -f /etc/haproxy/.haproxy.cfg.x"), "{check}");
}

#[tokio::test]
async fn haproxy_itself_says_what_is_a_good_configuration() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let target = target(folder.path(), 8080, "true");
    for entries in [vec![], vec![entry("a", 1)], vec![entry("a", 1), entry("web@1.service:80", 2)]] {
        let outcome = target.bring(&entries.into_iter().collect()).await;
        assert_eq!(outcome.map_err(|failure| failure.to_string()), Ok(render::Outcome::Installed));
    }
    let before = std::fs::read(folder.path().join("haproxy.cfg")).unwrap();
    let template = std::fs::read_to_string(folder.path().join("haproxy.cfg.j2")).unwrap();
    std::fs::write(folder.path().join("haproxy.cfg.j2"), template.replace("balance", "ballance")).unwrap();
    let failure = target.bring(&[entry("b", 3)].into()).await.unwrap_err().to_string();
    assert!(failure.contains("unknown keyword 'ballance'"), "{failure}");
    assert_eq!(std::fs::read(folder.path().join("haproxy.cfg")).unwrap(), before);
}

/// A backend that answers with its name until it is dropped.
struct Backend {
    port: u16,
    task: tokio::task::JoinHandle<()>,
    served: Arc<AtomicUsize>,
}

impl Backend {
    async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&served);
        let task = tokio::spawn(async move {
            loop {
                let Ok((mut stream, _)) = listener.accept().await else { continue };
                let count = Arc::clone(&count);
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    if !matches!(stream.read(&mut request).await, Ok(1..)) {
                        return;
                    }
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{name}", name.len());
                    if stream.write_all(answer.as_bytes()).await.is_ok() {
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { port, task, served }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ask(port: u16) -> Result<String, std::io::Error> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn backends_come_and_go_and_no_request_fails() {
    if !is_installed() {
        return;
    }
    let Some(etcd) = Etcd::start().await else { return };
    let mut client = etcd.client().await;
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let (steady, fleeting) = (Backend::start("steady").await, Backend::start("fleeting").await);
    let (key, value) = entry("steady", steady.port);
    client.put(key, value, None).await.unwrap();

    let pid = folder.path().join("pid");
    let reload = format!("test ! -e {0} || kill -USR2 $(cat {0})", pid.display());
    let targets = vec![target(folder.path(), port, &reload)];
    let access = etcd.access();
    let following = tokio::spawn(async move { render::follow(|| Ok(access.clone()), &targets, &Report::alone("render")).await });
    let configuration = folder.path().join("haproxy.cfg");
    until("the configuration is there", async || configuration.exists()).await;
    let mut haproxy = Command::new(PROGRAM).args(["-W", "-db", "-q", "-f"]).arg(&configuration).kill_on_drop(true).spawn().unwrap();
    until("haproxy answers", async || ask(port).await.is_ok_and(|answer| answer.contains("200 OK"))).await;
    std::fs::write(&pid, haproxy.id().unwrap().to_string()).unwrap();

    let end = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&end);
    let asking = tokio::spawn(async move {
        let (mut good, mut bad) = (0, Vec::new());
        while !over.load(Ordering::SeqCst) {
            match ask(port).await {
                Ok(answer) if answer.starts_with("HTTP/1.1 200") => good += 1,
                other => bad.push(format!("{other:?}")),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        (good, bad)
    });
    // It comes and goes, three times, under a lease as announcements are.
    for round in 0..3 {
        let lease = client.lease_grant(60, None).await.unwrap().id();
        let (key, value) = entry("fleeting", fleeting.port);
        client.put(key, value, Some(etcd_client::PutOptions::new().with_lease(lease))).await.unwrap();
        let before = fleeting.served.load(Ordering::SeqCst);
        until("the second backend serves", async || fleeting.served.load(Ordering::SeqCst) > before + 10).await;
        client.lease_revoke(lease).await.unwrap();
        let listed = || std::fs::read_to_string(&configuration).unwrap().contains("fleeting");
        until("it is not listed any more", async || !listed()).await;
        let before = steady.served.load(Ordering::SeqCst);
        until("the first backend goes on", async || steady.served.load(Ordering::SeqCst) > before + 10).await;
        println!("round {round} is over");
    }
    end.store(true, Ordering::SeqCst);
    let (good, bad) = asking.await.unwrap();
    following.abort();
    // SIGTERM to the master ends its workers as well; SIGKILL would leave them.
    let master = rustix::process::Pid::from_raw(i32::try_from(haproxy.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(master, rustix::process::Signal::TERM).unwrap();
    let _ = tokio::time::timeout(Duration::from_secs(5), haproxy.wait()).await;
    println!("{good} requests answered, {} failed", bad.len());
    assert!(good > 60 && bad.is_empty(), "{good} good, bad: {bad:?}");
}
