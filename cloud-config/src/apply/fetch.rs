//! Files that come from an address.

use crate::plan::content::Sha256Sum;

/// Largest file that is fetched, in bytes; what is larger belongs into a container image.
pub const FETCH_LIMIT: u64 = 64 << 20;

/// A file that did not come.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Neither encrypted nor checked.
    #[error("{0} is not https and has no sha256: add `sha256`")]
    Unchecked(String),
    /// Other bytes than the document names.
    #[error("{url} delivered other bytes than the document names: sha256 {found} instead of {wanted}")]
    Digest {
        /// The address.
        url: String,
        /// What arrived.
        found: Sha256Sum,
        /// What should have.
        wanted: Sha256Sum,
    },
    /// Nothing that could be used.
    #[error("fetching {url}: {reason}")]
    Failed {
        /// The address.
        url: String,
        /// Why.
        reason: String,
    },
    /// This run has no network.
    #[error("{0} is not fetched here")]
    NoNetwork(String),
}

/// Whose time it takes. The two have budgets of their own, so that what can be missed never costs what cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The document cannot be applied without it.
    Must,
    /// The host is fine without it.
    May,
}

/// Gets bytes from an address: at most `limit`, within the budget of `need`, and without following a redirect to another scheme.
pub trait Fetch {
    /// Gets them.
    fn get(&self, url: &str, limit: u64, need: Need) -> Result<Vec<u8>, String>;
}

/// Gets a file and checks it.
pub fn checked(fetch: Option<&dyn Fetch>, url: &str, sha256: Option<Sha256Sum>) -> Result<Vec<u8>, FetchError> {
    if sha256.is_none() && !url.starts_with("https://") {
        return Err(FetchError::Unchecked(url.to_owned()));
    }
    let fetch = fetch.ok_or_else(|| FetchError::NoNetwork(url.to_owned()))?;
    let bytes = fetch.get(url, FETCH_LIMIT, Need::Must).map_err(|reason| FetchError::Failed { url: url.to_owned(), reason })?;
    if bytes.len() as u64 > FETCH_LIMIT {
        return Err(FetchError::Failed { url: url.to_owned(), reason: format!("more than {FETCH_LIMIT} bytes") });
    }
    match sha256 {
        Some(wanted) if wanted != Sha256Sum::of(&bytes) => {
            Err(FetchError::Digest { url: url.to_owned(), found: Sha256Sum::of(&bytes), wanted })
        }
        _ => Ok(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Says(&'static str);

    impl Fetch for Says {
        fn get(&self, _url: &str, _limit: u64, _need: Need) -> Result<Vec<u8>, String> {
            if self.0.is_empty() { Err("refused".to_owned()) } else { Ok(self.0.as_bytes().to_vec()) }
        }
    }

    #[test]
    fn bytes_are_encrypted_on_the_way_or_checked_afterwards() {
        let sum = Some(Sha256Sum::of(b"hello"));
        assert_eq!(checked(Some(&Says("hello")), "http://a/x", sum).unwrap(), b"hello");
        assert_eq!(checked(Some(&Says("hello")), "https://a/x", None).unwrap(), b"hello");
        assert!(matches!(checked(Some(&Says("hello")), "http://a/x", None), Err(FetchError::Unchecked(_))));
        assert!(matches!(checked(Some(&Says("evil")), "https://a/x", sum), Err(FetchError::Digest { .. })));
        assert!(matches!(checked(Some(&Says("")), "https://a/x", sum), Err(FetchError::Failed { .. })));
        assert!(matches!(checked(None, "https://a/x", sum), Err(FetchError::NoNetwork(_))));
    }
}
