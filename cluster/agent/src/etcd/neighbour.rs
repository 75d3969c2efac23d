//! Whether a machine that was never a member is waiting too.
//!
//! While a machine waits for its cluster to be founded it answers on the members' port with one line. A machine whose disk was lost
//! looks new to itself, but the others tell it apart: where etcd runs, it knows who was ever at work.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::seen::{Neighbour, Seat};
use crate::tls::Files;

/// The path that is asked for; etcd has nothing there.
const PATH: &str = "/cluster-agent/fresh";
/// What a machine without data answers.
const FRESH: &str = "cluster-agent: no data here, waiting for the others\n";
/// How long one question may take. All others have to answer the same look, and right after a cluster is founded its first members are the
/// busiest: with two seconds a fifth emulated machine waited six minutes for such a look.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long whoever asks us may take to say what.
const TALK_PATIENCE: Duration = Duration::from_secs(2);
/// Longest question or answer that is read, in bytes: a member list of dozens.
const TALK_MAX: usize = 64 << 10;
/// Most talks at a time; more wait.
const TALKS_MAX: usize = 64;
/// Pause after a connection could not be taken.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers that this machine has no data, until it is dropped.
#[derive(Debug)]
pub struct Fresh(JoinHandle<()>);

impl Drop for Fresh {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Fresh {
    /// Listens where etcd will.
    ///
    /// # Errors
    /// Something else listens there, or the address is not ours.
    pub async fn listen(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}, the members' address"))?;
        Ok(Self(tokio::spawn(async move {
            // Members that were founded a moment earlier knock all the time, and some of their connections say nothing.
            let mut talks = JoinSet::new();
            loop {
                while talks.try_join_next().is_some() {}
                if talks.len() >= TALKS_MAX {
                    talks.join_next().await;
                }
                match listener.accept().await {
                    Ok((stream, _)) => drop(talks.spawn(timeout(TALK_PATIENCE, answer(stream)))),
                    Err(error) => {
                        tracing::debug!(%error, "accepting");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        })))
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut question = [0; 1024];
    let length = stream.read(&mut question).await?;
    let good = question[..length].starts_with(format!("GET {PATH} ").as_bytes());
    let (status, body) = if good { ("200 OK", FRESH) } else { ("503 Service Unavailable", "") };
    let text = format!("HTTP/1.0 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

/// Asks the machine of another seat, with a [`client`].
pub async fn ask(seat: &Seat, me: &Seat, client: &reqwest::Client) -> Neighbour {
    let answer = timeout(PATIENCE, async {
        if is_fresh(&seat.peer_url).await? {
            Ok(Neighbour::Fresh)
        } else {
            members(&seat.peer_url, client).await.map(|all| judge(&all, me))
        }
    });
    match answer.await {
        Ok(Ok(said)) => said,
        Ok(Err(error)) => {
            tracing::debug!(seat = seat.name, error = format!("{error:#}"), "asking a neighbour");
            Neighbour::Silent
        }
        Err(_) => {
            tracing::debug!(seat = seat.name, "asking a neighbour: no answer");
            Neighbour::Silent
        }
    }
}

async fn is_fresh(peer_url: &str) -> Result<bool> {
    let url = url::Url::parse(peer_url)?;
    let host = url.host_str().context("no host")?.trim_matches(['[', ']']);
    let mut stream = TcpStream::connect((host, url.port_or_known_default().context("no port")?)).await?;
    stream.write_all(format!("GET {PATH} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    // A TLS server answers nonsense, or nothing: it is not fresh.
    let read = stream.take(TALK_MAX as u64).read_to_string(&mut answer).await;
    Ok(read.is_ok() && answer.ends_with(FRESH))
}

/// A member as etcd tells its peers (`/members` of 3.5).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(rename = "clientURLs")]
    client_urls: Vec<String>,
}

/// What asks the etcd of other seats, with the certificates of members. It is made before the clock of a question runs: reading
/// certificates takes its time on a busy machine.
///
/// # Errors
/// A certificate cannot be read.
pub fn client(tls: Option<&Files>) -> Result<reqwest::Client> {
    // Fails when it was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().no_hickory_dns().http1_only().redirect(reqwest::redirect::Policy::none());
    let Some(tls) = tls else {
        // Nobody is asked over TLS: the machine's own authorities are not even read.
        return Ok(client.tls_certs_only([]).build()?);
    };
    let read = |path: &std::path::Path| std::fs::read(path).with_context(|| format!("reading {}", path.display()));
    let mut identity = read(&tls.cert)?;
    identity.extend(read(&tls.key)?);
    let authorities = reqwest::Certificate::from_pem_bundle(&read(&tls.ca)?)?;
    Ok(client.tls_certs_only(authorities).identity(reqwest::Identity::from_pem(&identity)?).build()?)
}

/// What the etcd there knows by itself; it answers without a quorum.
async fn members(peer_url: &str, client: &reqwest::Client) -> Result<Vec<Told>> {
    let mut answer = client.get(format!("{peer_url}/members")).send().await?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        anyhow::ensure!(body.len() + chunk.len() <= TALK_MAX, "the answer is too long");
        body.extend_from_slice(&chunk);
    }
    Ok(serde_json::from_slice(&body)?)
}

fn judge(all: &[Told], me: &Seat) -> Neighbour {
    match all.iter().find(|told| told.peer_urls.contains(&me.peer_url)) {
        Some(told) if told.client_urls.is_empty() => Neighbour::Awaits,
        _ => Neighbour::Knows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcd_knows_who_was_ever_at_work() {
        let json = r#"[{"id":1,"peerURLs":["http://a:1"],"name":"n1","clientURLs":["http://a:2"]},{"id":2,"peerURLs":["http://b:1"],"name":"n2"}]"#;
        let all: Vec<Told> = serde_json::from_str(json).unwrap();
        let seat = |url: &str| Seat { name: "n".to_owned(), peer_url: url.to_owned() };
        for (url, said) in [("http://a:1", Neighbour::Knows), ("http://b:1", Neighbour::Awaits), ("http://c:1", Neighbour::Knows)] {
            assert_eq!(judge(&all, &seat(url)), said, "{url}");
        }
    }

    #[tokio::test]
    async fn one_who_says_nothing_does_not_keep_others_waiting() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let _fresh = Fresh::listen(address).await.unwrap();
        let mut silent = Vec::new();
        for _ in 0..8 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let seat = Seat { name: "n1".to_owned(), peer_url: format!("http://{address}") };
        assert_eq!(ask(&seat, &seat, &client(None).unwrap()).await, Neighbour::Fresh);
    }

    #[tokio::test]
    async fn a_waiting_machine_says_that_it_is_new_and_others_do_not() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let seat = Seat { name: "n1".to_owned(), peer_url: format!("http://{address}") };
        assert_eq!(ask(&seat, &seat, &client(None).unwrap()).await, Neighbour::Silent, "nobody is there");
        let fresh = Fresh::listen(address).await.unwrap();
        assert_eq!(ask(&seat, &seat, &client(None).unwrap()).await, Neighbour::Fresh);
        drop(fresh);
    }
}
