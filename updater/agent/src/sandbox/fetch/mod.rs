//! The fetcher: everything that touches the network, in a process that has nothing else.
//!
//! It runs as a user of its own without any privilege, gets one connection from the daemon, answers questions until the daemon hangs
//! up, and can at worst lie or say nothing: the daemon takes bytes from it, never a judgement.

mod address;
mod body;
mod client;
mod frames;
mod get;
mod limits;
mod omaha_client;
#[cfg(test)]
mod tests;
mod tls;
#[cfg(test)]
mod tls_tests;

pub use address::{Forbidden, Guard};
pub use client::Network;
pub use get::{Small, small};
pub use limits::Limits;

use tokio::io::{AsyncRead, AsyncWrite};

use super::messages::{FetchAnswer, FetchAsk, presentable};
use super::wire::{Pipe, WireError};
use crate::daemon::host::FailureKind;

/// Something did not work; maybe it does elsewhere or later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Trouble {
    /// What sort.
    pub kind: FailureKind,
    /// What, for people.
    pub text: String,
}

impl Trouble {
    /// Trouble of `kind`.
    pub fn new(kind: FailureKind, text: impl Into<String>) -> Self {
        Self { kind, text: presentable(&text.into()) }
    }

    /// The same with the object it happened on in front.
    #[must_use]
    fn on(self, object: &str) -> Self {
        Self::new(self.kind, format!("{object}: {}", self.text))
    }

    /// Whether the same place may do better at the next try.
    fn is_transient(&self) -> bool {
        match self.kind {
            FailureKind::Network => true,
            FailureKind::Http(status) => status == 408 || status == 429 || status >= 500,
            _ => false,
        }
    }
}

/// Answers the daemon's questions on `stream` until it hangs up.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, limits: Limits) -> Result<(), WireError> {
    let mut pipe = Pipe::new(stream, None);
    let mut network: Option<Network> = None;
    loop {
        let ask = match pipe.receive::<FetchAsk>().await {
            Ok(ask) => ask,
            Err(WireError::Io(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let outcome = match (ask, &network) {
            (FetchAsk::Reach(reach), _) => match Network::new(&reach, limits) {
                Ok(made) => {
                    network = Some(made);
                    Ok(FetchAnswer::Done)
                }
                Err(trouble) => Err(trouble),
            },
            (_, None) => Err(Trouble::new(FailureKind::Internal, "asked before it was told how to reach the outside")),
            (FetchAsk::Omaha(ask), Some(network)) => alive(&mut pipe, omaha_client::ask(network, &ask)).await?,
            (FetchAsk::Small { urls, max_bytes }, Some(network)) => match alive(&mut pipe, small(network, &urls, max_bytes)).await? {
                Ok(Small::Missing) => Ok(FetchAnswer::Missing),
                Ok(Small::Bytes(bytes)) => {
                    pipe.send(&FetchAnswer::Bytes).await?;
                    pipe.send_data(&bytes).await?;
                    continue;
                }
                Err(trouble) => Err(trouble),
            },
            (FetchAsk::Frames(ask), Some(network)) => frames::send(network, &ask, &mut pipe).await?.map(|()| FetchAnswer::Done),
        };
        pipe.send(&outcome.unwrap_or_else(|Trouble { kind, text }| FetchAnswer::Failed { kind, text })).await?;
    }
}

/// Time between two signs of life, well below the daemon's patience.
const ALIVE_EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// Does `work`, telling the daemon every few seconds that it is still being done.
async fn alive<S: AsyncRead + AsyncWrite + Unpin, T>(pipe: &mut Pipe<S>, work: impl Future<Output = T>) -> Result<T, WireError> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = tokio::time::sleep(ALIVE_EVERY) => pipe.send(&FetchAnswer::Alive).await?,
        }
    }
}
