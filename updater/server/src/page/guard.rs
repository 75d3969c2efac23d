//! Who looks, and whether a form is theirs.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};

use super::Page;
use super::problem::Problem;
use super::session::{self, Secret, Use};
use crate::store::tokens::Role;

/// The cookie where browsers come over TLS: the prefix makes them refuse one that was not set by this very host over TLS.
const COOKIE_TLS: &str = "__Host-slipway";
/// The cookie otherwise.
const COOKIE_PLAIN: &str = "slipway";
/// What the page's script says when it fetches by itself.
pub const SCRIPT_HEADER: &str = "x-slipway-refresh";

/// Somebody who is signed in.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The token's name, as the audit log has it.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// Their session.
    pub secret: Secret,
}

impl Visitor {
    /// Whether they may pause and resume.
    #[must_use]
    pub const fn steers(&self) -> bool {
        self.role.may(Role::Operator)
    }

    /// Lets a form through that this visitor sent from one of our own pages and that their role allows.
    ///
    /// Three walls, each enough for a browser of today: the cookie is not sent from other sites (`SameSite=Strict`), the
    /// form carries a token that only our pages know, and the browser says that it comes from our origin.
    ///
    /// # Errors
    /// 403 and why.
    pub fn check(&self, page: &Page, headers: &HeaderMap, form_token: &str) -> Result<(), Problem> {
        if !same_origin(headers, page.base_url.as_deref()) {
            return Err(Problem::foreign());
        }
        if !self.secret.made_form(form_token) {
            return Err(Problem::stale_form());
        }
        if !self.steers() {
            return Err(Problem::not_yours(&self.name, self.role));
        }
        Ok(())
    }
}

impl FromRequestParts<Page> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, page: &Page) -> Result<Self, Problem> {
        let used = if parts.headers.contains_key(SCRIPT_HEADER) { Use::Script } else { Use::Person };
        let found = match cookie(&parts.headers, page.secure()) {
            Some(secret) => session::resume(&page.db, &secret, used, page.now()).await?.map(|(name, role)| Self { name, role, secret }),
            None => None,
        };
        found.ok_or_else(|| {
            let back = parts.uri.path_and_query().map_or("/", |path| path.as_str());
            // A form that came too late cannot be sent again by a redirect; the page it was on can be shown.
            let back = if parts.method == Method::GET { back } else { back.rsplit_once('/').map_or("/", |(page, _)| page) };
            Problem::signed_out(back, used)
        })
    }
}

/// The session that a request carries. Where TLS is known to be used, a plain cookie is not listened to: any host of the
/// same network could have planted it.
#[must_use]
pub fn cookie(headers: &HeaderMap, secure: bool) -> Option<Secret> {
    let pairs = || {
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
    };
    let named = |name: &str| pairs().find(|(known, _)| *known == name).and_then(|(_, value)| Secret::parse(value));
    named(COOKIE_TLS).or_else(|| if secure { None } else { named(COOKIE_PLAIN) })
}

/// What sets the session's cookie, or removes it. No lifetime: it goes with the browser, and the server ends it earlier.
#[must_use]
pub fn set_cookie(secret: Option<&Secret>, secure: bool) -> String {
    let (name, tls) = if secure { (COOKIE_TLS, "; Secure") } else { (COOKIE_PLAIN, "") };
    let (value, age) = secret.map_or(("", "; Max-Age=0"), |secret| (secret.text(), ""));
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict{tls}{age}")
}

/// Whether a form comes from one of our own pages, as the browser says: browsers send `Origin` with every form, and no
/// script of another site can change it.
#[must_use]
pub fn same_origin(headers: &HeaderMap, base_url: Option<&str>) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else {
        return headers.get("sec-fetch-site").is_some_and(|site| site == "same-origin");
    };
    let base = base_url.and_then(origin_of);
    let host = text(header::HOST).unwrap_or_default();
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    base.is_some_and(|base| base.eq_ignore_ascii_case(origin)) || (!host.is_empty() && authority.eq_ignore_ascii_case(host))
}

/// `https://host:port` of a URL.
fn origin_of(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    url.get(..scheme.len() + 3 + authority)
}

/// Whether the browser that sent this came over TLS, as its `Origin` says.
#[must_use]
pub fn over_tls(headers: &HeaderMap) -> bool {
    headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"))
}

/// Whether it came without TLS over a network; browsers take a `Secure` cookie from their own machine all the same.
#[must_use]
pub fn plain_http(headers: &HeaderMap) -> bool {
    let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()).unwrap_or_default();
    let host = origin.strip_prefix("http://").map(|authority| authority.rsplit_once(':').map_or(authority, |(host, _)| host));
    host.is_some_and(|host| !["127.0.0.1", "localhost", "[::1]"].contains(&host))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn only_our_own_pages_send_forms() {
        let base = Some("https://updates.example/sub?x");
        for (sent, base, ours) in [
            (&[("origin", "http://127.0.0.1:8000"), ("host", "127.0.0.1:8000")][..], None, true),
            (&[("origin", "https://updates.example"), ("host", "inner:8000")], base, true),
            (&[("sec-fetch-site", "same-origin"), ("host", "a")], None, true),
            (&[("origin", "https://evil.example"), ("host", "updates.example")], base, false),
            (&[("origin", "http://updates.example"), ("host", "inner:8000")], base, false),
            (&[("origin", "http://127.0.0.1:8001"), ("host", "127.0.0.1:8000")], None, false),
            (&[("origin", "https://updates.example.evil.example"), ("host", "x")], base, false),
            (&[("origin", "null"), ("host", "null")], None, false),
            (&[("origin", "http://")], None, false),
            (&[("sec-fetch-site", "same-site"), ("host", "a")], None, false),
            (&[("sec-fetch-site", "none"), ("host", "a")], None, false),
            (&[("host", "a")], None, false),
            (&[], None, false),
        ] {
            assert_eq!(same_origin(&headers(sent), base), ours, "{sent:?}");
        }
    }

    #[test]
    fn knows_who_comes_without_tls() {
        for (origin, plain) in [
            ("http://updates.example", true),
            ("http://updates.example:8080", true),
            ("http://127.0.0.1:8080", false),
            ("http://[::1]:8080", false),
            ("http://localhost", false),
            ("https://updates.example", false),
            ("null", false),
        ] {
            assert_eq!(plain_http(&headers(&[("origin", origin)])), plain, "{origin}");
        }
    }

    #[test]
    fn a_plain_cookie_counts_only_without_tls() {
        let (own, planted) = ("0a".repeat(32), "0b".repeat(32));
        let both = headers(&[("cookie", &format!("x=1; {COOKIE_PLAIN}={planted}; {COOKIE_TLS}={own}"))]);
        assert_eq!(cookie(&both, true).unwrap().text(), own);
        assert_eq!(cookie(&both, false).unwrap().text(), own);
        let plain = headers(&[("cookie", &format!("{COOKIE_PLAIN}={planted}"))]);
        assert_eq!(cookie(&plain, true), None);
        assert_eq!(cookie(&plain, false).unwrap().text(), planted);
        for wrong in ["", "slipway", "slipway=", "slipway=../../x", ";;;=;"] {
            assert_eq!(cookie(&headers(&[("cookie", wrong)]), false), None, "{wrong}");
        }
    }

    #[test]
    fn cookies_are_out_of_reach_of_scripts_and_other_sites() {
        let secret = Secret::parse(&"0a".repeat(32)).unwrap();
        let (plain, tls) = (set_cookie(Some(&secret), false), set_cookie(Some(&secret), true));
        for cookie in [&plain, &tls] {
            assert!(
                cookie.contains("; HttpOnly; SameSite=Strict") && cookie.contains("; Path=/") && !cookie.contains("Domain"),
                "{cookie}"
            );
        }
        assert!(tls.starts_with("__Host-slipway=") && tls.contains("; Secure"), "{tls}");
        assert!(!plain.contains("Secure"), "{plain}");
        assert!(set_cookie(None, true).contains("Max-Age=0"));
    }
}
