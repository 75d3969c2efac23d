//! Asks a FleetLock server.

use std::time::Duration;

use diagnostics::with_causes;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use super::{ClientParams, Failure, HEADER, PRE_REBOOT, Request, STEADY_STATE};
use crate::{Group, Kind, Reason, Refusal};

/// How long a connection may take to come about.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long a server may take to answer: some ask others first.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of a server's reason is read, in bytes.
const ANSWER_MAX: usize = 16 * 1024;

/// A FleetLock server, for one machine.
#[derive(Debug, Clone)]
pub struct FleetLock {
    client: Client,
    base: Url,
    request: Request,
}

impl FleetLock {
    /// The server below `base`, for the machine `id` of `group`.
    ///
    /// # Errors
    /// HTTP cannot be spoken at all: no certificates on this machine, for instance.
    pub fn new(base: &Url, id: &str, group: &Group) -> Result<Self, Reason> {
        install_cryptography();
        let client = Client::builder()
            .user_agent(concat!("slipway-cluster-agent/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(PATIENCE)
            .build()
            .map_err(|error| Reason::new(format!("preparing the HTTP client: {error:?}")))?;
        let request = Request { client_params: ClientParams { id: id.to_owned(), group: group.name().to_owned(), release: None } };
        Ok(Self { client, base: base.clone(), request })
    }

    /// Asks for the turn.
    ///
    /// # Errors
    /// The server says no, or does not answer, which is no as well.
    pub async fn take(&self) -> Result<(), Refusal> {
        self.ask(PRE_REBOOT).await
    }

    /// Gives the turn back; that there is none is fine.
    ///
    /// # Errors
    /// The server says no, or does not answer.
    pub async fn release(&self) -> Result<(), Reason> {
        self.ask(STEADY_STATE).await.map_err(|refusal| refusal.reason)
    }

    async fn ask(&self, path: &str) -> Result<(), Refusal> {
        let url = format!("{}{path}", self.base.as_str().trim_end_matches('/'));
        let unreachable = |what: String| Refusal::new(Kind::Unreachable, format!("the lock server {}: {what}", self.base));
        let body = serde_json::to_vec(&self.request).unwrap_or_default();
        let post = self.client.post(&url).header(HEADER, "true").header("content-type", "application/json").body(body);
        let mut answer = post.send().await.map_err(|error| unreachable(with_causes(&error)))?;
        let status = answer.status();
        if status == reqwest::StatusCode::OK {
            return Ok(());
        }
        let mut said = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            said.extend_from_slice(&chunk[..chunk.len().min(ANSWER_MAX - said.len())]);
            if said.len() == ANSWER_MAX {
                break;
            }
        }
        Err(match serde_json::from_slice::<Failure>(&said) {
            // What a proxy says is no word of the server.
            Ok(failure) if !status.is_server_error() => {
                Refusal::new(Kind::LockHeld, format!("the lock server says no: {} ({})", failure.value, failure.kind))
            }
            Ok(failure) => unreachable(format!("{status}: {} ({})", failure.value, failure.kind)),
            Err(_) => unreachable(format!("answers {status}, which is not FleetLock")),
        })
    }
}

/// HTTP clients cannot be made without it, not even those that do without TLS.
pub(crate) fn install_cryptography() {
    // Fails when it was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
