//! One request, one answer: bounded in time and size.

use std::time::Duration;

use diagnostics::with_causes;
use reqwest::redirect::Policy;
use reqwest::{Certificate, NoProxy, Proxy, RequestBuilder};

use super::{Error, Options};
use crate::Address;
use crate::limits::ANSWER_MAX;
use crate::wire::{Fault, INDEX_HEADER, WrongAnswer, code};

/// Headers in one answer, at most: no honest server sends more.
const MAX_HEADERS: usize = 64;
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);

/// The body of a good answer, and the index that came with it.
pub(super) struct Received {
    pub body: Vec<u8>,
    pub index: u64,
}

pub(super) fn client(options: &Options) -> Result<reqwest::Client, Error> {
    // Fails when it was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let setup = |what: &str, error: &reqwest::Error| Error::Setup(format!("{what}: {}", with_causes(error)));
    let mut client = reqwest::Client::builder()
        .user_agent(concat!("slipway-discovery/", env!("CARGO_PKG_VERSION")))
        // A secret must not go where the address does not say.
        .redirect(Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .http1_only()
        .http1_max_headers(MAX_HEADERS)
        // Names mean what they mean to every other program of this machine.
        .no_hickory_dns()
        .no_proxy();
    if let Some(proxy) = &options.proxy {
        let proxy = Proxy::all(proxy).map_err(|error| setup("the proxy", &error))?;
        client = client.proxy(proxy.no_proxy(NoProxy::from_string("localhost,127.0.0.1,::1")));
    }
    if let Some(pem) = &options.ca_pem {
        let certificates = Certificate::from_pem_bundle(pem).map_err(|error| setup("the certificates", &error))?;
        if certificates.is_empty() {
            return Err(Error::Setup("the certificates: there is none in the file".to_owned()));
        }
        client = client.tls_certs_only(certificates);
    }
    client.build().map_err(|error| setup("the client", &error))
}

/// Sends a request once and waits for the whole answer.
pub(super) async fn send(request: RequestBuilder, limit: Duration, address: &Address) -> Result<Received, Error> {
    let answer = tokio::time::timeout(limit, receive(request, address)).await;
    answer.unwrap_or_else(|_| Err(Error::Timeout { address: address.to_string(), waited: limit }))
}

async fn receive(request: RequestBuilder, address: &Address) -> Result<Received, Error> {
    // The URL holds the token.
    let network = |error: reqwest::Error| Error::Network { address: address.to_string(), cause: with_causes(&error.without_url()) };
    let mut response = request.send().await.map_err(network)?;
    let status = response.status();
    let index = response.headers().get(INDEX_HEADER).and_then(|index| index.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(network)? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(WrongAnswer::Large.into());
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return Ok(Received { body, index });
    }
    Err(match serde_json::from_slice::<Fault>(&body) {
        Ok(fault) if fault.error_code == code::NOT_FOUND => Error::NoToken,
        Ok(fault) => Error::Fault(fault),
        Err(_) => Error::Status { address: address.to_string(), status: status.as_u16() },
    })
}
