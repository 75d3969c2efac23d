//! Where a request may go.
//!
//! An answer of the server, a redirect or a name server must not turn the fetcher into a tool against this machine's own network: no
//! loopback, no link-local address, no cloud metadata service. The exception is what the operator configured: the server and the
//! proxy may be on loopback by name or address, and on a link-local address when it is written out as an address.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use hickory_resolver::TokioResolver;
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;

use super::limits::MAX_URL_BYTES;
use crate::daemon::host::Access;

/// Why a request does not leave this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Forbidden {
    /// Not a URL at all.
    #[error("`{0}` is not a URL")]
    Syntax(String),
    /// Neither http nor https.
    #[error("{0}: only http and https are spoken")]
    Scheme(String),
    /// The address is one no server may send us to.
    #[error("{host} ({address}) is a local or metadata address, and neither the configured server nor the proxy")]
    Address {
        /// The host as written.
        host: String,
        /// Its address.
        address: IpAddr,
    },
    /// From https to http.
    #[error("{0}: https must not fall back to http")]
    Downgrade(String),
    /// Too many redirects.
    #[error("more than {0} redirects")]
    Redirects(usize),
}

/// Decides where requests may go.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// Hosts the operator configured, lower case.
    configured: Arc<HashSet<String>>,
}

impl Guard {
    /// The guard for a configuration.
    #[must_use]
    pub fn new(access: &Access) -> Self {
        let urls = access.mirrors.iter().chain([&access.server, &access.metadata_url]).chain(access.proxy.as_ref());
        let hosts = urls.filter_map(|url| Url::parse(url).ok()?.host_str().map(str::to_lowercase)).collect();
        Self { configured: Arc::new(hosts) }
    }

    /// The URL, if a request may go there as far as its text tells; names are looked at once they are resolved.
    pub fn url(&self, text: &str) -> Result<Url, Forbidden> {
        let shown = || text.chars().take(120).collect::<String>();
        if text.len() > MAX_URL_BYTES {
            return Err(Forbidden::Syntax(shown()));
        }
        let url = Url::parse(text).map_err(|_| Forbidden::Syntax(shown()))?;
        self.parsed(&url)?;
        Ok(url)
    }

    /// See [`Guard::url`].
    pub fn parsed(&self, url: &Url) -> Result<(), Forbidden> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Forbidden::Scheme(url.to_string()));
        }
        let host = url.host_str().ok_or_else(|| Forbidden::Syntax(url.to_string()))?.to_lowercase();
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>();
        match literal {
            Ok(address) if is_special(address) && !self.configured.contains(&host) => Err(Forbidden::Address { host, address }),
            _ => Ok(()),
        }
    }

    /// Whether the name `host` may stand for `address`.
    pub fn resolved(&self, host: &str, address: IpAddr) -> Result<(), Forbidden> {
        let trusted_name = self.configured.contains(&host.trim_end_matches('.').to_lowercase());
        if !is_special(address) || (trusted_name && address.is_loopback()) {
            return Ok(());
        }
        Err(Forbidden::Address { host: host.to_owned(), address })
    }

    /// Whether a redirect from `previous` to `next` may be followed.
    pub fn redirect(&self, previous: &[Url], next: &Url) -> Result<(), Forbidden> {
        if previous.len() > super::limits::MAX_REDIRECTS {
            return Err(Forbidden::Redirects(super::limits::MAX_REDIRECTS));
        }
        if next.scheme() != "https" && previous.iter().any(|url| url.scheme() == "https") {
            return Err(Forbidden::Downgrade(next.to_string()));
        }
        self.parsed(next)
    }
}

/// Loopback, link-local, unspecified, multicast, or one of the addresses clouds serve credentials on.
fn is_special(address: IpAddr) -> bool {
    const ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
    const ORACLE: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 192);
    const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);
    const AMAZON: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    const GOOGLE: Ipv6Addr = Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254);
    match address {
        IpAddr::V4(v4) => {
            let this_network = v4.octets()[0] == 0;
            this_network || v4.is_loopback() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || [ALIBABA, ORACLE, AZURE].contains(&v4)
        }
        IpAddr::V6(v6) => {
            if let Some(v4) = v6.to_ipv4_mapped().or_else(|| embedded(v6)) {
                return is_special(IpAddr::V4(v4));
            }
            v6.is_loopback() || v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local() || v6 == AMAZON || v6 == GOOGLE
        }
    }
}

/// The IPv4 address inside a NAT64 (64:ff9b::/96) or 6to4 (2002::/16) address.
fn embedded(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let pair = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => Some(pair(high, low)),
        _ => None,
    }
}

/// Resolves names without the C library (which a static binary cannot ask) and drops forbidden addresses.
#[derive(Debug, Clone)]
pub(super) struct GuardedResolver {
    guard: Guard,
    resolver: Arc<OnceCell<TokioResolver>>,
}

impl GuardedResolver {
    /// A resolver that reads `/etc/resolv.conf` and `/etc/hosts` when it is first asked.
    #[must_use]
    pub(super) fn new(guard: Guard) -> Self {
        Self { guard, resolver: Arc::default() }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let this = self.clone();
        Box::pin(async move {
            // No silent fallback to a public resolver: without a configuration there is no network either.
            let resolver = this.resolver.get_or_try_init(|| async { TokioResolver::builder_tokio()?.build() }).await?;
            let lookup = resolver.lookup_ip(name.as_str()).await?;
            let (mut allowed, mut forbidden) = (Vec::new(), None);
            for address in lookup.iter() {
                match this.guard.resolved(name.as_str(), address) {
                    Ok(()) => allowed.push(SocketAddr::new(address, 0)),
                    Err(reason) => forbidden = Some(reason),
                }
            }
            match (allowed.is_empty(), forbidden) {
                (true, Some(reason)) => Err(reason.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(server: &str, proxy: Option<&str>) -> Guard {
        Guard::new(&Access { server: server.to_owned(), proxy: proxy.map(str::to_owned), ..Access::default() })
    }

    #[test]
    fn local_and_metadata_addresses_are_forbidden() {
        let guard = guard("https://updates.example.org", None);
        let forbidden = [
            "http://127.0.0.1:2375/", "http://127.9.9.9/", "http://169.254.169.254/latest/", "http://[::1]/", "http://[fe80::1]/", "http://0.0.0.0/",
            "http://[::ffff:169.254.169.254]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[2002:a9fe:a9fe::1]/", "http://[fd00:ec2::254]/", "http://224.0.0.1/",
            "http://100.100.100.200/", "http://168.63.129.16/", "http://[::]/", "http://2130706433/", "http://0x7f.1/", "http://[ff02::1]/",
        ];
        for url in forbidden {
            assert!(matches!(guard.url(url), Err(Forbidden::Address { .. })), "{url}");
        }
        for url in ["http://10.0.2.2/", "http://192.168.1.1:8080/x", "https://[2001:db8::1]/", "https://example.org/"] {
            assert!(guard.url(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn only_http_and_https_are_spoken() {
        let guard = guard("https://updates.example.org", None);
        for url in ["file:///etc/shadow", "ftp://example.org/", "unix:/run/docker.sock", "data:,x"] {
            assert!(matches!(guard.url(url), Err(Forbidden::Scheme(_))), "{url}");
        }
        for url in ["", "example.org", "http://", "//example.org/x", &format!("http://e/{}", "x".repeat(MAX_URL_BYTES))] {
            assert!(matches!(guard.url(url), Err(Forbidden::Syntax(_))), "{url}");
        }
    }

    #[test]
    fn what_the_operator_configured_is_allowed_and_nothing_beside_it() {
        let guard = guard("http://169.254.10.1:8080", Some("http://127.0.0.1:3128"));
        assert!(guard.url("http://169.254.10.1:9/").is_ok() && guard.url("http://127.0.0.1/").is_ok());
        assert!(guard.url("http://169.254.169.254/").is_err() && guard.url("http://127.0.0.2/").is_err());
    }

    #[test]
    fn a_name_cannot_be_bound_to_a_metadata_address() {
        let guard = guard("https://updates.example.org", None);
        let [loopback, metadata, public] = ["127.0.0.1", "169.254.169.254", "203.0.113.7"].map(|text| text.parse().unwrap());
        assert!(guard.resolved("updates.example.org", public).is_ok() && guard.resolved("cdn.example.org", public).is_ok());
        assert!(guard.resolved("Updates.example.org.", loopback).is_ok(), "a tunnel, say");
        assert!(guard.resolved("updates.example.org", metadata).is_err());
        assert!(guard.resolved("cdn.example.org", loopback).is_err());
    }

    #[test]
    fn redirects_keep_to_https_and_come_to_an_end() {
        let guard = guard("https://updates.example.org", None);
        let [secure, plain, local] = ["https://a.example/", "http://a.example/", "http://127.0.0.1/"].map(|url| Url::parse(url).unwrap());
        assert!(guard.redirect(&[plain.clone()], &secure).is_ok());
        assert!(matches!(guard.redirect(&[plain.clone(), secure.clone()], &plain), Err(Forbidden::Downgrade(_))));
        assert!(matches!(guard.redirect(&[plain.clone()], &local), Err(Forbidden::Address { .. })));
        assert!(matches!(guard.redirect(&vec![secure.clone(); 11], &secure), Err(Forbidden::Redirects(10))));
        assert!(guard.redirect(&vec![secure.clone(); 10], &secure).is_ok());
    }
}
