//! A web server that does whatever a test tells it, and a small signed repository, for tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use trust::repository::{self, RootDraft, TargetsDraft};
use trust::{KeySigner, Role, Root, Signer, Target};

use super::fetch::Limits;
use crate::daemon::host::Access;
use crate::stage::testing::TestRelease;

/// Limits that let a test fail quickly.
pub(crate) const QUICK: Limits = Limits {
    connect: Duration::from_secs(5),
    headers: Duration::from_millis(1000),
    window: Duration::from_millis(400),
    window_bytes: 200,
    small_total: Duration::from_secs(20),
    file_total: Duration::from_secs(60),
    tries: 3,
    pause: Duration::from_millis(5),
    pause_max: Duration::from_millis(20),
};

/// What arrived.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// How many requests came before.
    pub(crate) number: usize,
}

/// What is sent.
pub(crate) enum Step {
    Send(Vec<u8>),
    /// Small pieces with pauses.
    Drip(Vec<u8>, Duration),
    /// The same bytes until the other side hangs up.
    Forever(Vec<u8>),
    /// Nothing any more, but the connection stays.
    Hang,
}

type Handler = dyn Fn(&Request) -> Vec<Step> + Send + Sync;

/// A server on loopback; it ends with the test.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) requests: Arc<Mutex<Vec<Request>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    pub(crate) async fn start(handler: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.unwrap(), handler)
    }

    pub(crate) fn on(listener: TcpListener, handler: impl Fn(&Request) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (seen, handler): (_, Arc<Handler>) = (Arc::clone(&requests), Arc::new(handler));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&handler), Arc::clone(&seen)));
            }
        });
        Self { url, requests, task }
    }

    pub(crate) fn access(&self) -> Access {
        Access { server: self.url.clone(), ..Access::default() }
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.requests.lock().unwrap().iter().map(|request| request.path.clone()).collect()
    }
}

async fn answer(mut stream: TcpStream, handler: Arc<Handler>, seen: Arc<Mutex<Vec<Request>>>) -> Option<()> {
    let mut bytes = Vec::new();
    let head = loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok().filter(|&count| count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
    };
    let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
    let headers: BTreeMap<String, String> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = bytes.split_off(head + 4);
    while body.len() < length {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok().filter(|&count| count > 0)?;
        body.extend_from_slice(&buffer[..count]);
    }
    let path = text.split(' ').nth(1)?.to_owned();
    let request = {
        let mut seen = seen.lock().unwrap();
        let request = Request { path, headers, body: String::from_utf8_lossy(&body).into_owned(), number: seen.len() };
        seen.push(request.clone());
        request
    };
    for step in handler(&request) {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes).await.ok()?,
            Step::Drip(bytes, pause) => {
                for byte in bytes {
                    stream.write_all(&[byte]).await.ok()?;
                    tokio::time::sleep(pause).await;
                }
            }
            Step::Forever(bytes) => loop {
                stream.write_all(&bytes).await.ok()?;
            },
            Step::Hang => std::future::pending::<()>().await,
        }
    }
    stream.shutdown().await.ok()
}

/// An answer with a body.
pub(crate) fn reply(status: &str, headers: &[(&str, String)], body: &[u8]) -> Vec<Step> {
    let mut head = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !headers.iter().any(|(name, _)| *name == "Content-Length" || *name == "Transfer-Encoding") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    vec![Step::Send([head.as_bytes(), body].concat())]
}

pub(crate) fn ok(body: &[u8]) -> Vec<Step> {
    reply("200 OK", &[], body)
}

pub(crate) fn missing() -> Vec<Step> {
    reply("404 Not Found", &[], b"no such file")
}

/// Serves a file as an honest static server does, ranges and entity tag included.
pub(crate) fn file(request: &Request, content: &[u8], etag: &str) -> Vec<Step> {
    let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let changed = request.headers.get("if-range").is_some_and(|had| had != etag);
    let Some((from, to)) = range.filter(|_| !changed) else { return reply("200 OK", &[("ETag", etag.to_owned())], content) };
    let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
    let range = format!("bytes {from}-{to}/{}", content.len());
    reply("206 Partial Content", &[("Content-Range", range), ("ETag", etag.to_owned())], &content[from..=to])
}

/// A repository of one release: every file by its path.
pub(crate) struct Repository {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) root: Vec<u8>,
    pub(crate) release: TestRelease,
}

/// When everything below expires; the tests' present is before it.
pub(crate) const EXPIRES: &str = "2100-01-01T00:00:00Z";

impl Repository {
    pub(crate) fn new(release: TestRelease, seed: u8) -> Self {
        Self::noted(release, seed, |_| {})
    }

    /// With a change to the note beside the description.
    pub(crate) fn noted(release: TestRelease, seed: u8, change: impl FnOnce(&mut serde_json::Value)) -> Self {
        let expires = EXPIRES.parse().unwrap();
        let key = KeySigner::from_seed(&[seed; 32]);
        let mut draft = RootDraft::new(expires);
        for role in Role::ALL {
            draft = draft.role(role, 1, [key.public_key()]);
        }
        let root_json = draft.sign(&[&key]).unwrap();
        let root = Root::open(&root_json).unwrap();
        let folder = release.release.folder();
        let description = release.release.to_json();
        let mut note = serde_json::json!({
            "app-id": release.release.app_id, "version": release.release.version.to_string(), "arch": release.release.arch,
        });
        change(&mut note);
        let mut targets = TargetsDraft::new(expires);
        targets.add(&format!("{folder}/release.json"), &Target::of(&description).with_custom(note)).unwrap();
        let mut files = BTreeMap::new();
        for (name, bytes) in &release.files {
            targets.add(&format!("{folder}/{name}"), &Target::of(bytes)).unwrap();
            files.insert(format!("/targets/{folder}/{name}"), bytes.clone());
        }
        let targets = targets.sign(&root, &[&key]).unwrap();
        let snapshot = repository::snapshot(&root, &targets, 1, expires, &[&key]).unwrap();
        let timestamp = repository::timestamp(&root, &snapshot, 1, expires, &[&key]).unwrap();
        files.insert(format!("/targets/{folder}/release.json"), description);
        for (name, bytes) in [("root", &root_json), ("targets", &targets), ("snapshot", &snapshot), ("timestamp", &timestamp)] {
            files.insert(format!("/tuf/{name}.json"), bytes.clone());
        }
        Self { files, root: root_json, release }
    }

    /// What an honest server answers.
    pub(crate) fn answer(&self, request: &Request) -> Vec<Step> {
        self.files.get(&request.path).map_or_else(missing, |content| file(request, content, "\"1\""))
    }
}
