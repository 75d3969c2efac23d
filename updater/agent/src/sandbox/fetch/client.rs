//! The HTTP client: TLS, proxy, names, redirects.

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, NoProxy, Proxy};

use super::Trouble;
use super::address::{Guard, GuardedResolver};
use super::limits::{Limits, MAX_HEADERS};
use crate::daemon::host::FailureKind;
use crate::sandbox::messages::Reach;

/// The client and the rules it keeps.
#[derive(Debug, Clone)]
pub struct Network {
    /// Speaks HTTP.
    pub client: Client,
    /// Says where to.
    pub guard: Guard,
    /// Says how long and how much.
    pub limits: Limits,
    /// The configured server.
    pub server: String,
    /// Bytes per second at most.
    pub bandwidth: Option<u64>,
}

impl Network {
    /// A client for a configuration.
    pub fn new(reach: &Reach, limits: Limits) -> Result<Self, Trouble> {
        // Fails when it was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wrong = |what: String| Trouble::new(FailureKind::Internal, what);
        let guard = Guard::new(&reach.access);
        let redirects = guard.clone();
        let policy = Policy::custom(move |attempt| match redirects.redirect(attempt.previous(), attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(reason) => attempt.error(reason),
        });
        let mut builder = Client::builder()
            .user_agent(concat!("slipway-updater/", env!("CARGO_PKG_VERSION")))
            .redirect(policy)
            .referer(false)
            .connect_timeout(limits.connect)
            .http1_max_headers(MAX_HEADERS)
            .dns_resolver(GuardedResolver::new(guard.clone()))
            .no_proxy();
        if let Some(proxy) = &reach.access.proxy {
            let proxy = Proxy::all(proxy).map_err(|error| wrong(format!("the configured proxy: {error}")))?;
            builder = builder.proxy(proxy.no_proxy(NoProxy::from_string("localhost,127.0.0.1,::1")));
        }
        if let Some(pem) = &reach.ca_pem {
            let certificates =
                Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| wrong(format!("the configured ca-file: {error}")))?;
            if certificates.is_empty() {
                return Err(wrong("the configured ca-file holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_only(certificates);
        }
        let client = builder.build().map_err(|error| wrong(format!("preparing the HTTP client: {}", chain(&error))))?;
        let server = reach.access.server.clone();
        Ok(Self { client, guard, limits, server, bandwidth: reach.access.bandwidth_limit.filter(|&limit| limit > 0) })
    }
}

/// An error and its causes on one line, and what to do about it.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut text = diagnostics::with_causes(error);
    if let Some(advice) = super::tls::advice(error) {
        text.push_str("; ");
        text.push_str(advice);
    }
    text
}
