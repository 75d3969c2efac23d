//! Announcements in a real etcd, from a Docker that is played by the test.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

#[path = "../../render/tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use announce::{Entries, Host, PREFIX, Sources, docker, units};
use cluster_store::Report;
use cluster_store::watch::list;
use common::{Etcd, until};
use etcd_client::Client;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::sync::{broadcast, oneshot, watch};

async fn keys(client: &mut Client) -> Vec<String> {
    list(client, PREFIX).await.map_or_else(|error| vec![error.to_string()], |(entries, _)| entries.into_keys().collect())
}

async fn until_keys(client: &mut Client, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|key| format!("{PREFIX}{key}")).collect();
    until(&format!("there are {expected:?}"), async || keys(client).await == expected).await;
}

fn entries(names: &[&str]) -> Entries {
    names.iter().map(|name| (format!("{PREFIX}{name}"), "{\"address\":\"10.0.0.5\",\"port\":80}".to_owned())).collect()
}

#[tokio::test]
async fn announcements_outlive_lost_leases_and_restarts_and_end_with_the_process() {
    let Some(mut etcd) = Etcd::start().await else { return };
    let mut client = etcd.client().await;
    let (wanted, seen) = watch::channel(entries(&["web/n1:a", "web/n1:b"]));
    let (end, ended) = oneshot::channel::<()>();
    let access = etcd.access();
    let task = tokio::spawn(async move {
        let end = async { drop(ended.await) };
        announce::keep(|| Ok(access.clone()), seen, &Report::alone("announce"), end).await;
    });
    until_keys(&mut client, &["web/n1:a", "web/n1:b"]).await;
    let leases = client.leases().await.unwrap();
    assert_eq!(leases.leases().len(), 1, "all of a machine is on one lease");
    let first = leases.leases()[0].id();

    wanted.send(entries(&["web/n1:b", "web/n1:c"])).unwrap();
    until_keys(&mut client, &["web/n1:b", "web/n1:c"]).await;

    // The lease is taken away from outside: all is announced anew under another.
    client.lease_revoke(first).await.unwrap();
    until_keys(&mut client, &["web/n1:b", "web/n1:c"]).await;
    until("only the new lease is left", async || {
        let leases: Vec<i64> = client.leases().await.unwrap().leases().iter().map(etcd_client::LeaseStatus::id).collect();
        leases.len() == 1 && leases[0] != first
    })
    .await;

    // What stops being wanted while etcd is away is gone when it is back.
    etcd.kill().await;
    wanted.send(entries(&["web/n1:c"])).unwrap();
    etcd.run().await;
    let mut client = etcd.client().await;
    until_keys(&mut client, &["web/n1:c"]).await;

    end.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(keys(&mut client).await, Vec::<String>::new());
}

/// Containers by name, each with its port and health.
type Containers = Arc<Mutex<BTreeMap<String, (u16, &'static str)>>>;

/// As much of Docker as is asked for here.
fn play_docker(socket: &Path, containers: Containers) -> broadcast::Sender<()> {
    let listener = UnixListener::bind(socket).unwrap();
    let (events, _) = broadcast::channel(16);
    let sender = events.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (containers, mut events) = (Arc::clone(&containers), sender.subscribe());
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                loop {
                    let mut request = String::new();
                    if !matches!(stream.read_line(&mut request).await, Ok(1..)) {
                        return;
                    }
                    let mut line = String::new();
                    while matches!(stream.read_line(&mut line).await, Ok(3..)) {
                        line.clear();
                    }
                    if request.contains("/events") {
                        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
                        stream.write_all(head.as_bytes()).await.unwrap();
                        while events.recv().await.is_ok() {
                            let event = "{\"Type\":\"container\",\"Action\":\"start\"}\n";
                            if stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.is_err() {
                                return;
                            }
                        }
                        return;
                    }
                    let (status, body) = answer(&request, &containers.lock().unwrap());
                    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
                    stream.write_all((head + &body).as_bytes()).await.unwrap();
                }
            });
        }
    });
    events
}

fn answer(request: &str, containers: &BTreeMap<String, (u16, &'static str)>) -> (&'static str, String) {
    if request.contains("/containers/json") {
        let list: Vec<String> = containers.keys().map(|name| format!("{{\"Id\":\"{name}\",\"Names\":[\"/{name}\"]}}")).collect();
        return ("200 OK", format!("[{}]", list.join(",")));
    }
    let named = containers.iter().find(|(name, _)| request.contains(&format!("/containers/{name}/json")));
    let Some((name, (port, health))) = named else { return ("404 Not Found", "{\"message\":\"no such container\"}".to_owned()) };
    let body = format!(
        "{{\"Id\":\"{name}\",\"Name\":\"/{name}\",\"State\":{{\"Running\":true,\"Health\":{{\"Status\":\"{health}\"}}}},\
        \"HostConfig\":{{\"NetworkMode\":\"bridge\"}},\"Config\":{{\"Image\":\"web\",\"Labels\":{{\"slipway.service\":\"web\"}},\"Env\":[]}},\
        \"NetworkSettings\":{{\"Ports\":{{\"80/tcp\":[{{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"{port}\"}}]}}}}}}"
    );
    ("200 OK", body)
}

#[tokio::test]
async fn containers_are_announced_while_they_run_and_are_well() {
    let Some(etcd) = Etcd::start().await else { return };
    let mut client = etcd.client().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("docker.sock");
    let containers = Containers::default();
    containers.lock().unwrap().insert("web-1".to_owned(), (8080, "healthy"));
    let events = play_docker(&socket, Arc::clone(&containers));
    let sources = Sources {
        containers: docker::Containers { socket, scope: docker::Scope::Named },
        units: units::Units { folder: folder.path().join("absent"), bus: None },
    };
    let host = Host { name: "n1".to_owned(), address: [10, 0, 0, 5].into() };
    let (end, ended) = oneshot::channel::<()>();
    let access = etcd.access();
    let end_of_it = async { drop(ended.await) };
    let task = tokio::spawn(announce::run(move || Ok(access.clone()), sources, host, Report::alone("announce"), end_of_it));
    until_keys(&mut client, &["web/n1:web-1:80"]).await;

    let change = |name: &str, to: Option<(u16, &'static str)>| {
        let mut containers = containers.lock().unwrap();
        match to {
            Some(to) => drop(containers.insert(name.to_owned(), to)),
            None => drop(containers.remove(name)),
        }
        let _ = events.send(());
    };
    change("web-2", Some((8081, "starting")));
    change("web-3", Some((8082, "healthy")));
    until_keys(&mut client, &["web/n1:web-1:80", "web/n1:web-3:80"]).await;
    change("web-2", Some((8081, "healthy")));
    until_keys(&mut client, &["web/n1:web-1:80", "web/n1:web-2:80", "web/n1:web-3:80"]).await;
    change("web-1", Some((8080, "unhealthy")));
    change("web-3", None);
    until_keys(&mut client, &["web/n1:web-2:80"]).await;
    end.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(keys(&mut client).await, Vec::<String>::new());
}
