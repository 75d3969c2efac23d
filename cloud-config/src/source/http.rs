//! HTTP for one answer: bounded in time and size, picky about redirects.
//!
//! Two kinds of clients. [`Client::metadata`] talks to addresses that only mean something on this machine's own network: never
//! through a proxy, never redirected, no TLS. [`Client::internet`] fetches what a user names by URL, also through a proxy.
//!
//! Calls block, and may be made from any thread, also from inside an asynchronous runtime.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use diagnostics::with_causes;
use hickory_resolver::TokioResolver;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, NoProxy, Proxy, Url};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::limits::URL_BYTES;

/// Headers in one answer, at most: no honest server sends more.
const MAX_HEADERS: usize = 64;
/// Redirects followed for what a user names by URL.
const MAX_REDIRECTS: usize = 5;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Give me.
    Get,
    /// Take this; here only ever with nothing in it.
    Put,
}

/// The way a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// [`Client::metadata`].
    Metadata,
    /// [`Client::internet`].
    Internet,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// Where.
    pub url: String,
    /// Headers beside the usual ones.
    pub headers: Vec<(&'static str, String)>,
    /// Largest answer that is taken, in bytes.
    pub max_bytes: usize,
    /// From connecting to the last byte, redirects included.
    pub timeout: Duration,
    /// Which client is to send it, where there is a choice.
    pub route: Route,
}

/// An answer with any status but a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Headers that are text, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Content.
    pub body: Vec<u8>,
}

impl Answer {
    /// The first header called `name`, which is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Time is up.
    #[error("no whole answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The network does not carry it, for now.
    #[error("{0}")]
    Network(String),
    /// Redirected where redirects are not followed, or to where they may not lead.
    #[error("redirected to {0}, which is not followed")]
    Redirect(String),
    /// Too large.
    #[error("the answer has more than {0} bytes, the most that is taken")]
    TooLarge(usize),
    /// Not a URL that can be asked.
    #[error("this is not an http or https URL of at most {URL_BYTES} bytes without user name and password")]
    Url,
    /// A header's value cannot be sent.
    #[error("the value of header {0} cannot be sent")]
    Header(&'static str),
    /// The client itself cannot be prepared.
    #[error("preparing HTTP: {0}")]
    Setup(String),
}

impl HttpError {
    /// Whether the same request may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Network(_))
    }
}

/// How the internet is reached.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Proxy for all requests, e.g. `http://proxy.example:3128`.
    pub proxy: Option<String>,
    /// Names and networks that are reached without it, separated by commas.
    pub no_proxy: Option<String>,
    /// Certificates (PEM) that are trusted beside the system's.
    pub more_roots: Option<Vec<u8>>,
}

/// Sends requests.
#[derive(Debug, Clone)]
pub struct Client {
    inner: reqwest::Client,
}

impl Client {
    /// For metadata services: no proxy, no redirects. It trusts no certificate either, because such services have none.
    pub fn metadata() -> Result<Self, HttpError> {
        // Loading the system's certificates would be the most expensive part of asking for a host name.
        Self::build(builder().redirect(Policy::none()).tls_certs_only(std::iter::empty::<Certificate>()))
    }

    /// For what a user names by URL. Redirects are followed a few times, never from https to http and never to an address that
    /// only means something on this machine or its link. What the environment says about proxies is not looked at.
    pub fn internet(options: &Options) -> Result<Self, HttpError> {
        let setup = |what: &str, error: reqwest::Error| HttpError::Setup(format!("{what}: {}", with_causes(&error)));
        let policy = Policy::custom(|attempt| match may_redirect(attempt.previous(), attempt.url()) {
            true => attempt.follow(),
            false => attempt.stop(),
        });
        let mut client = builder().redirect(policy);
        if let Some(proxy) = &options.proxy {
            let proxy = Proxy::all(proxy).map_err(|error| setup("the proxy", error))?;
            client = client.proxy(proxy.no_proxy(options.no_proxy.as_deref().and_then(NoProxy::from_string)));
        }
        if let Some(pem) = &options.more_roots {
            client = client.tls_certs_merge(Certificate::from_pem_bundle(pem).map_err(|error| setup("the certificates", error))?);
        }
        Self::build(client)
    }

    fn build(builder: reqwest::ClientBuilder) -> Result<Self, HttpError> {
        Ok(Self { inner: builder.build().map_err(|error| HttpError::Setup(with_causes(&error)))? })
    }

    /// Sends a request once and waits for the whole answer.
    pub fn send(&self, request: &Request) -> Result<Answer, HttpError> {
        // A thread of its own: a runtime cannot be waited for inside another one, and callers may have one.
        let worker = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| HttpError::Setup(error.to_string()))?.block_on(self.send_async(request))
        };
        std::thread::scope(|scope| scope.spawn(worker).join())
            .unwrap_or_else(|_| Err(HttpError::Setup("the thread that sends requests ended early".to_owned())))
    }

    /// Like [`Client::send`], inside a runtime with time and network.
    pub async fn send_async(&self, request: &Request) -> Result<Answer, HttpError> {
        let url = checked_url(&request.url)?;
        let mut wire = match request.method {
            Method::Get => self.inner.get(url),
            Method::Put => self.inner.put(url).header("content-length", "0"),
        };
        for (name, value) in &request.headers {
            // Values come from the network in part: a line break in one must not become another header.
            let value = reqwest::header::HeaderValue::from_str(value).map_err(|_| HttpError::Header(name))?;
            wire = wire.header(*name, value);
        }
        let whole = async { receive(wire.send().await.map_err(network)?, request.max_bytes).await };
        timeout(request.timeout, whole).await.unwrap_or(Err(HttpError::Timeout(request.timeout)))
    }
}

async fn receive(mut response: reqwest::Response, max: usize) -> Result<Answer, HttpError> {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get("location").and_then(|to| to.to_str().ok());
        return Err(HttpError::Redirect(shown(to.unwrap_or("nowhere"))));
    }
    let length = response.content_length().unwrap_or(0);
    if usize::try_from(length).map_or(true, |length| length > max) {
        return Err(HttpError::TooLarge(max));
    }
    let text = |value: &reqwest::header::HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = response.headers().iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?))).collect();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(network)? {
        if body.len() + chunk.len() > max {
            return Err(HttpError::TooLarge(max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status: status.as_u16(), headers, body })
}

/// A URL as it may be shown in messages and logs: without user, password and query, which may be secrets, and not endless.
#[must_use]
pub fn shown(url: &str) -> String {
    let Ok(mut url) = Url::parse(url) else { return url.chars().filter(|c| !c.is_control()).take(120).collect() };
    // Fails only for URLs that cannot have a user.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.set_fragment(None);
    if url.query().is_some() {
        url.set_query(Some("..."));
    }
    url.as_str().chars().take(200).collect()
}

/// The URL, if it is one that a request may go to.
pub fn checked_url(text: &str) -> Result<Url, HttpError> {
    let url = Url::parse(text).ok().filter(|_| text.len() <= URL_BYTES).ok_or(HttpError::Url)?;
    let plain = matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none();
    if plain && url.host_str().is_some_and(|host| !host.is_empty()) { Ok(url) } else { Err(HttpError::Url) }
}

fn may_redirect(previous: &[Url], next: &Url) -> bool {
    let downgrade = next.scheme() != "https" && previous.iter().any(|url| url.scheme() == "https");
    let local = next
        .host_str()
        .is_none_or(|host| host.eq_ignore_ascii_case("localhost") || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(is_local));
    previous.len() <= MAX_REDIRECTS && matches!(next.scheme(), "http" | "https") && !downgrade && !local
}

/// Loopback, link-local (where metadata services live), unspecified or multicast.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] == 0 || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_local(IpAddr::V4(v4)),
            None => v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local(),
        },
    }
}

fn builder() -> reqwest::ClientBuilder {
    // Fails when it was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("slipway-cloud-config/", env!("CARGO_PKG_VERSION")))
        .referer(false)
        .no_proxy()
        .http1_max_headers(MAX_HEADERS)
        // Each request has a runtime of its own, with which its connections end.
        .pool_max_idle_per_host(0)
        .dns_resolver(SystemResolver::default())
}

fn network(error: reqwest::Error) -> HttpError {
    HttpError::Network(with_causes(&error.without_url()))
}

/// Resolves names as `/etc/resolv.conf` says, and not at all where it says nothing: the usual fallback to a public resolver
/// would tell strangers what a machine without a configuration looks for.
#[derive(Debug, Clone, Default)]
struct SystemResolver {
    resolver: Arc<OnceCell<TokioResolver>>,
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            let resolver = this.resolver.get_or_try_init(|| async { TokioResolver::builder_tokio()?.build() }).await?;
            let addresses: Vec<SocketAddr> =
                resolver.lookup_ip(name.as_str()).await?.iter().map(|address| SocketAddr::new(address, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests;
