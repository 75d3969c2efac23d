//! The address and its parts.

use std::fmt;
use std::str::FromStr;

use url::Url;

use crate::limits::{ADDRESS_MAX, TOKEN_MAX};

/// Where the machines of one cluster meet: `https://HOST/any/prefix/TOKEN`.
///
/// Whoever knows it may join, so that messages show it without its token.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
    token: String,
}

/// Why something is not such an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WrongAddress {
    /// Not a URL of this kind.
    #[error("a discovery address is an http or https URL of at most {ADDRESS_MAX} bytes without user, query and fragment")]
    Url,
    /// The end of it.
    #[error("a discovery address ends with a token (1 to {TOKEN_MAX} letters, digits, - and _); ask .../discovery/new?size=3 for one")]
    Token,
}

impl Address {
    /// The token at its end.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The whole address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The address of something below it.
    #[must_use]
    pub fn below(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        // Fails only for URLs without a host, and those are refused.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl FromStr for Address {
    type Err = WrongAddress;

    fn from_str(text: &str) -> Result<Self, WrongAddress> {
        let mut url = Url::parse(text).ok().filter(|_| text.len() <= ADDRESS_MAX).ok_or(WrongAddress::Url)?;
        let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
        if !matches!(url.scheme(), "http" | "https") || !plain || url.host_str().is_none_or(str::is_empty) {
            return Err(WrongAddress::Url);
        }
        // A slash at the end is easily copied along.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
        }
        let token = url.path_segments().and_then(|mut segments| segments.next_back()).unwrap_or_default().to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if token.is_empty() || token.len() > TOKEN_MAX || !token.chars().all(plain) || token == "new" || token.starts_with('_') {
            return Err(WrongAddress::Token);
        }
        Ok(Self { url, token })
    }
}

/// `https://updates.example.com/discovery/...`
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}...", self.url.as_str().strip_suffix(&self.token).unwrap_or_default())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_prefix_and_a_token() {
        for (text, token, size) in [
            ("https://updates.example.com/discovery/3e86b59982e49066", "3e86b59982e49066", "/discovery/3e86b59982e49066/_config/size"),
            ("http://10.0.0.1:8080/abc", "abc", "/abc/_config/size"),
            ("http://[fd00::1]:8080/a/b/c/abc/", "abc", "/a/b/c/abc/_config/size"),
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!((address.token(), address.below(&["_config", "size"], &[]).path()), (token, size));
            assert!(!format!("{address} {address:?}").contains(token), "the token is shown: {address}");
        }
    }

    #[test]
    fn other_urls_are_refused() {
        for (text, wrong) in [
            ("", WrongAddress::Url),
            ("updates.example.com/discovery/abc", WrongAddress::Url),
            ("ftp://h/abc", WrongAddress::Url),
            ("https://user@h/abc", WrongAddress::Url),
            ("https://h/abc?x=1", WrongAddress::Url),
            ("https://h/abc#x", WrongAddress::Url),
            ("https://h", WrongAddress::Token),
            ("https://h/", WrongAddress::Token),
            ("https://h/discovery/new", WrongAddress::Token),
            ("https://h/discovery/a%20b", WrongAddress::Token),
            ("https://h/_config", WrongAddress::Token),
        ] {
            assert_eq!(text.parse::<Address>().err(), Some(wrong), "{text}");
        }
    }
}
