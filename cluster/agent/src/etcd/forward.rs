//! 127.0.0.1:2379 on a machine that is no member: every connection goes to one of the members.
//!
//! It forwards bytes and understands none, so that certificates are those of the members.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::copy_bidirectional_with_sizes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// Most connections at a time; more wait.
const CONNECTIONS_MAX: usize = 256;
/// How much of each direction is held at a time, in bytes.
const BUFFER: usize = 8 << 10;
/// How long a member may take to accept a connection before the next one is tried.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pause after a connection could not be taken.
const PAUSE: Duration = Duration::from_millis(200);

/// Forwards connections until it is dropped; then all of them end.
#[derive(Debug)]
pub struct Forwarder {
    task: JoinHandle<()>,
    targets: watch::Sender<Vec<String>>,
    address: SocketAddr,
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Forwarder {
    /// Listens on `address` and forwards to the first of `targets` (`host:port`) that accepts.
    ///
    /// # Errors
    /// Something else listens there.
    pub async fn listen(address: SocketAddr, targets: Vec<String>) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        let address = listener.local_addr()?;
        let (sender, receiver) = watch::channel(targets);
        let task = tokio::spawn(accept(listener, receiver));
        Ok(Self { task, targets: sender, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards new connections to these from now on; those that are there stay where they are.
    pub fn retarget(&self, targets: Vec<String>) {
        self.targets.send_if_modified(|known| {
            let changed = *known != targets;
            *known = targets;
            changed
        });
    }
}

async fn accept(listener: TcpListener, targets: watch::Receiver<Vec<String>>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropped with this task, and all connections with it.
    let mut connections = JoinSet::new();
    let mut turn = 0usize;
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let mut targets = targets.borrow().clone();
                if !targets.is_empty() {
                    let by = turn % targets.len();
                    targets.rotate_left(by);
                }
                turn = turn.wrapping_add(1);
                connections.spawn(async move {
                    forward(stream, &targets).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "accepting");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn forward(mut client: TcpStream, targets: &[String]) {
    for target in targets {
        if let Ok(Ok(mut member)) = timeout(PATIENCE, TcpStream::connect(target)).await {
            let _ = member.set_nodelay(true);
            let _ = client.set_nodelay(true);
            // How a connection ends is between its two ends.
            let _ = copy_bidirectional_with_sizes(&mut client, &mut member, BUFFER, BUFFER).await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn member(name: &'static str) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                stream.write_all(name.as_bytes()).await.unwrap();
            }
        });
        (address, task)
    }

    async fn said(forwarder: &Forwarder) -> String {
        let mut text = String::new();
        TcpStream::connect(forwarder.address()).await.unwrap().read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn connections_go_round_and_past_the_dead() {
        let (one, first) = member("one").await;
        let (two, _second) = member("two").await;
        let forwarder = Forwarder::listen("127.0.0.1:0".parse().unwrap(), vec![one.clone(), two.clone()]).await.unwrap();
        assert_eq!((said(&forwarder).await, said(&forwarder).await), ("one".to_owned(), "two".to_owned()));
        first.abort();
        let _ = first.await;
        assert_eq!(said(&forwarder).await, "two");
        assert_eq!(said(&forwarder).await, "two");
        forwarder.retarget(vec![]);
        assert_eq!(said(&forwarder).await, "", "nobody is there");
        let address = forwarder.address();
        drop(forwarder);
        tokio::task::yield_now().await;
        assert!(TcpListener::bind(address).await.is_ok(), "the address is free for etcd");
    }
}
