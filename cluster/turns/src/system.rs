//! The [`World`] of a real machine.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cluster_store::{Access, Machine, Report};

use crate::coordinator::World;
use crate::fleet_lock::FleetLock;
use crate::fleet_lock::client::install_cryptography;
use crate::lock::{EtcdLock, announce, seconds_now};
use crate::memory::{Memory, Turn};
use crate::{Drain, Group, Kind, Reason, Refusal, hooks, leaving, members, releases, units};

/// A machine that waits says so for this long; a little more than the longest pause between two of its questions.
const WAITING_SECS: i64 = 10 * 60;
/// Docker's socket and the unit behind it.
const DOCKER: (&str, &str) = ("/run/docker.sock", "docker.service");
/// How long Docker may take to answer.
const DOCKER_PATIENCE: Duration = Duration::from_secs(10);

/// Who keeps the lock.
#[derive(Debug, Clone)]
pub(crate) enum Lock {
    Etcd(EtcdLock),
    FleetLock(FleetLock),
}

/// This machine and its cluster.
pub(crate) struct System<D> {
    pub(crate) machine: Machine,
    /// etcd, on a machine that has to do with one.
    pub(crate) etcd: Option<Access>,
    pub(crate) lock: Lock,
    pub(crate) group: Group,
    pub(crate) drain: D,
    pub(crate) memory: Memory,
    pub(crate) hooks: PathBuf,
    pub(crate) report: Report,
    pub(crate) started: Instant,
    /// A FleetLock server cannot be asked whether it holds our lock; until it was told once that we are steady, it may.
    pub(crate) may_be_held: AtomicBool,
    /// Since when this machine waits, in seconds since 1970, if the others were told.
    pub(crate) waiting: Mutex<Option<u64>>,
}

impl<D: Drain> World for System<D> {
    async fn say_leaving(&self) -> Result<(), Refusal> {
        match &self.etcd {
            Some(access) => leaving::say(access, &self.machine.id, &self.machine.name).await,
            None => Ok(()),
        }
    }

    async fn may_leave(&self) -> Result<(), Refusal> {
        if let Some(access) = &self.etcd {
            members::may_leave(access, &self.machine.name).await?;
        }
        self.drain.quorum_after_leaving().await.map_err(|reason| Refusal::new(Kind::Quorum, reason))
    }

    async fn take(&self) -> Result<(), Refusal> {
        match &self.lock {
            Lock::Etcd(lock) => lock.take().await,
            Lock::FleetLock(server) => {
                // Before the question: the answer may be lost on its way.
                self.may_be_held.store(true, Ordering::Relaxed);
                server.take().await
            }
        }
    }

    async fn release(&self) -> Result<(), Reason> {
        if let Some(access) = &self.etcd {
            leaving::unsay(access, &self.machine.id).await?;
        }
        match &self.lock {
            Lock::Etcd(lock) => lock.release().await?,
            Lock::FleetLock(server) => server.release().await?,
        }
        self.may_be_held.store(false, Ordering::Relaxed);
        Ok(())
    }

    async fn extend(&self) -> Result<bool, Reason> {
        match &self.lock {
            Lock::Etcd(lock) => Ok(lock.extend().await? || lock.held().await?),
            Lock::FleetLock(_) => Ok(self.may_be_held.load(Ordering::Relaxed)),
        }
    }

    async fn hand_over(&self) -> Result<(), Reason> {
        match &self.etcd {
            Some(access) => members::hand_over(access, &self.machine.name).await,
            None => Ok(()),
        }
    }

    async fn drain(&self) -> Result<(), Reason> {
        self.drain.drain().await
    }

    async fn undrain(&self) -> Result<(), Reason> {
        self.drain.undrain().await
    }

    async fn settled(&self) -> Result<(), Reason> {
        self.drain.settled().await
    }

    async fn units(&self) -> Result<Vec<String>, Reason> {
        Ok(units::now().await?.to_remember())
    }

    async fn unsteady(&self, before: &[String]) -> Vec<String> {
        let mut missing = Vec::new();
        missing.extend(units::trial().await);
        if let Some(access) = &self.etcd {
            missing.extend(members::well(access, &self.machine.name).await.err().map(|reason| reason.to_string()));
        }
        match units::now().await {
            Ok(now) => missing.extend(now.missing(before).into_iter().map(|unit| format!("{unit} ran before and does not run now"))),
            Err(reason) => missing.push(reason.to_string()),
        }
        if before.iter().any(|unit| unit == DOCKER.1) {
            missing.extend(docker(DOCKER.0).await.err());
        }
        // They may take long, and are for a machine that has the rest.
        if missing.is_empty() {
            missing.extend(hooks::objection(&self.hooks).await);
        }
        missing
    }

    async fn not_failed(&self, release: &str) -> Result<(), Refusal> {
        match &self.etcd {
            Some(access) => releases::not_failed(access, release).await,
            None => Ok(()),
        }
    }

    async fn tell_if_failed(&self, release: &str) -> Result<(), Reason> {
        let Some(access) = &self.etcd else { return Ok(()) };
        match units::quarantined(release).await {
            Some(cause) => releases::say_failed(access, release, &self.machine.name, &cause).await,
            None => Ok(()),
        }
    }

    async fn announce(&self, why: Option<&Reason>) {
        let Some(access) = &self.etcd else { return };
        let since = {
            let Ok(mut waiting) = self.waiting.lock() else { return };
            match why {
                Some(_) => Some(*waiting.get_or_insert_with(seconds_now)),
                None if waiting.take().is_none() => return,
                None => None,
            }
        };
        let (id, name) = (&self.machine.id, &self.machine.name);
        if let Err(reason) = announce(access, &self.group, id, name, why.zip(since), WAITING_SECS).await {
            tracing::debug!(%reason, "the others were not told that this machine waits, or does not");
        }
    }

    fn remember(&self, turn: Option<&Turn>) -> Result<(), Reason> {
        match turn {
            Some(turn) => self.memory.save(turn),
            None => self.memory.forget(),
        }
    }

    fn clock(&self) -> Duration {
        self.started.elapsed()
    }

    fn report(&self, state: &'static str, reason: &str) {
        self.report.say(state, reason);
    }
}

/// Whether Docker answers on its socket.
async fn docker(socket: &str) -> Result<(), String> {
    install_cryptography();
    let ask = async {
        let client = reqwest::Client::builder().unix_socket(socket).no_proxy().timeout(DOCKER_PATIENCE).build()?;
        client.get("http://localhost/_ping").send().await
    };
    match ask.await {
        Ok(answer) if answer.status().is_success() => Ok(()),
        Ok(answer) => Err(format!("Docker answers {}", answer.status())),
        Err(error) => Err(format!("Docker does not answer: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn docker_is_there_when_it_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("docker.sock").to_string_lossy().into_owned();
        assert!(docker(&socket).await.unwrap_err().contains("does not answer"));
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        for (status, well) in [("200 OK", true), ("503 Service Unavailable", false)] {
            let answer = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                // An answer that comes before the question counts as none.
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await.unwrap();
                stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.unwrap();
                // Until the other side has read it.
                let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
            };
            let (seen, ()) = tokio::join!(docker(&socket), answer);
            assert_eq!(seen.is_ok(), well, "{status}: {seen:?}");
        }
    }
}
