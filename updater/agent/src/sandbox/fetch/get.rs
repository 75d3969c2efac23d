//! Small files: whole or not at all.

use std::time::Duration;

use backon::BackoffBuilder;
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::time::{Instant, sleep, timeout};

use super::body::{Body, Bucket};
use super::client::{Network, chain};
use super::limits::MAX_URLS;
use super::{Limits, Trouble};
use crate::daemon::host::FailureKind;

/// A small file, or the knowledge that there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Small {
    /// Its bytes.
    Bytes(Vec<u8>),
    /// Every place says it has none.
    Missing,
}

/// Fetches a file of at most `max` bytes from the first of `urls` that gives it.
pub async fn small(network: &Network, urls: &[String], max: u64) -> Result<Small, Trouble> {
    let mut last: Option<Trouble> = None;
    for url in urls.iter().take(MAX_URLS) {
        match from_one(network, url, max).await {
            Ok(Small::Missing) => {}
            Ok(found) => return Ok(found),
            Err(trouble) => {
                tracing::warn!(url, %trouble, "file not fetched from here");
                last = Some(trouble.on(url));
            }
        }
    }
    last.map_or(Ok(Small::Missing), Err)
}

async fn from_one(network: &Network, url: &str, max: u64) -> Result<Small, Trouble> {
    let deadline = Instant::now() + network.limits.small_total;
    let mut pauses = pauses(&network.limits);
    loop {
        let trouble = match once(network, url, max, deadline).await {
            Err(trouble) if trouble.is_transient() => trouble,
            settled => return settled,
        };
        match pauses.next() {
            Some(pause) if Instant::now() + pause < deadline => sleep(pause).await,
            _ => return Err(trouble),
        }
    }
}

async fn once(network: &Network, url: &str, max: u64, deadline: Instant) -> Result<Small, Trouble> {
    let url = network.guard.url(url).map_err(|reason| Trouble::new(FailureKind::Response, reason.to_string()))?;
    let response = send(network, network.client.get(url)).await?;
    match response.status() {
        StatusCode::OK => {
            let mut bucket = Bucket::new(network.bandwidth);
            Ok(Small::Bytes(Body::new(response, &network.limits, &mut bucket, deadline).all(max).await?))
        }
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::FORBIDDEN => Ok(Small::Missing),
        status => Err(status_trouble(status)),
    }
}

/// Sends a request and waits for the answer's head.
pub(super) async fn send(network: &Network, request: RequestBuilder) -> Result<Response, Trouble> {
    let wait = network.limits.connect + network.limits.headers;
    match timeout(wait, request.send()).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => {
            // A redirect that the guard refused will be refused again.
            let kind = if error.is_redirect() { FailureKind::Response } else { FailureKind::Network };
            Err(Trouble::new(kind, chain(&error.without_url())))
        }
        Err(_) => Err(Trouble::new(FailureKind::Network, format!("no answer within {} s", wait.as_secs()))),
    }
}

/// An unexpected HTTP status as trouble.
pub(super) fn status_trouble(status: StatusCode) -> Trouble {
    Trouble::new(FailureKind::Http(status.as_u16()), format!("the server answered {status}"))
}

/// Pauses between the tries on one place.
pub(super) fn pauses(limits: &Limits) -> impl Iterator<Item = Duration> + Send + use<> {
    let tries = usize::try_from(limits.tries.saturating_sub(1)).unwrap_or(0);
    backon::ExponentialBuilder::default().with_min_delay(limits.pause).with_max_delay(limits.pause_max).with_factor(2.0).with_max_times(tries).build()
}
