//! The daemon's end: how a worker is reached, and what is believed of its answers.

use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixStream;

use super::fetch::{self, Limits};
use super::verify;
use super::wire::Pipe;
use crate::daemon::host::{Failure, FailureKind};

/// The daemon waits this long for a worker to say anything. A worker at work says so every few seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Which worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Has the network.
    Fetch,
    /// Has the judgement.
    Verify,
}

impl Kind {
    /// For messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fetch => "fetcher",
            Self::Verify => "verifier",
        }
    }
}

/// How workers are reached.
#[derive(Debug, Clone)]
pub enum Workers {
    /// Over sockets of systemd, which starts a process without privileges for each connection.
    Sockets {
        /// Folder of `fetch.sock` and `verify.sock`.
        folder: PathBuf,
    },
    /// As tasks of this process: for tests, and for commands that a person runs without the daemon.
    InProcess(Limits),
    /// Whoever answers here, whatever it answers: for tests.
    #[cfg(test)]
    Scripted {
        /// Makes the connection for a worker.
        connect: fn(Kind) -> UnixStream,
    },
}

impl Workers {
    /// The sockets of the image's units.
    #[must_use]
    pub fn of_the_image() -> Self {
        Self::Sockets { folder: "/run/updater".into() }
    }

    /// A fresh conversation with a worker.
    pub async fn connect(&self, kind: Kind) -> Result<Pipe<UnixStream>, Failure> {
        let failed = |what: &str, error: std::io::Error| Failure::new(FailureKind::Helper, format!("reaching the {} at {what}: {error}", kind.name()));
        let stream = match self {
            Self::Sockets { folder } => {
                let path = folder.join(match kind {
                    Kind::Fetch => "fetch.sock",
                    Kind::Verify => "verify.sock",
                });
                UnixStream::connect(&path).await.map_err(|error| failed(&path.display().to_string(), error))?
            }
            Self::InProcess(limits) => {
                let limits = *limits;
                let (ours, theirs) = UnixStream::pair().map_err(|error| failed("a socket pair", error))?;
                match kind {
                    Kind::Fetch => drop(tokio::spawn(fetch::serve(theirs, limits))),
                    Kind::Verify => drop(tokio::spawn(verify::serve(theirs))),
                }
                ours
            }
            #[cfg(test)]
            Self::Scripted { connect } => connect(kind),
        };
        Ok(Pipe::new(stream, Some(PATIENCE)))
    }
}
