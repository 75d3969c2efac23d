//! Addresses of files.

use std::fmt;

use crate::model::text::{FromText, Refused, value_from_text};

/// An `http` or `https` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl(url::Url);

impl HttpUrl {
    /// The address.
    #[must_use]
    pub fn as_url(&self) -> &url::Url {
        &self.0
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromText for HttpUrl {
    const WANTED: &'static str = "an http or https address";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let url = url::Url::parse(text).map_err(|error| Refused::new(format!("`{text}` is not an address: {error}")))?;
        match url.scheme() {
            "http" | "https" if url.host().is_some() => Ok(Self(url)),
            scheme => Err(Refused::new(format!("files are fetched by http and https, not by {scheme}"))),
        }
    }
}

value_from_text!(HttpUrl);
