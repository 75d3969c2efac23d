//! Whose public keys are fetched, and from where.

use std::fmt;

use super::HttpUrl;
use crate::model::text::{FromText, Refused, value_from_text};
use crate::source::limits::URL_BYTES;

/// Longest name of a user, in bytes, as GitHub has it.
const MAX_USER_BYTES: usize = 39;
/// Keys asked for in one answer; GitHub gives 30 otherwise.
const KEYS_PER_PAGE: usize = 100;

/// A user of GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GithubUser(String);

impl GithubUser {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where GitHub's interface for programs has the keys, as a JSON array.
    #[must_use]
    pub fn keys_as_json(&self) -> String {
        format!("https://api.github.com/users/{}/keys?per_page={KEYS_PER_PAGE}", self.0)
    }

    /// Where GitHub has the keys for everybody, one per line; this address does not count how often it is asked.
    #[must_use]
    pub fn keys_as_lines(&self) -> String {
        format!("https://github.com/{}.keys", self.0)
    }
}

impl FromText for GithubUser {
    const WANTED: &'static str = "a user of GitHub";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !first || !rest || text.len() > MAX_USER_BYTES {
            let refused = Refused::new(format!("`{}` is not the name of a user of GitHub", text.escape_debug()));
            return Err(refused.with_hint(format!("letters, digits and hyphens; {MAX_USER_BYTES} at most")));
        }
        Ok(Self(text.to_owned()))
    }
}

value_from_text!(GithubUser);

/// A user of a site that has public keys, in the words of cloud-init.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportId(GithubUser);

impl ImportId {
    /// The user.
    #[must_use]
    pub fn user(&self) -> &GithubUser {
        &self.0
    }
}

impl FromText for ImportId {
    const WANTED: &'static str = "`gh:` and a user of GitHub";

    fn from_text(text: &str) -> Result<Self, Refused> {
        match text.split_once(':') {
            Some(("gh", user)) => GithubUser::from_text(user).map(Self),
            _ => Err(Refused::new(format!("keys of `{}` are not fetched: only `gh:USER` is known", text.escape_debug()))
                .with_hint("list the keys in `ssh_authorized_keys`, or give their https address as `coreos_ssh_import_url`")),
        }
    }
}

value_from_text!(ImportId);

/// An address of public keys: https, because nothing else says whose they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportUrl(HttpUrl);

impl fmt::Display for ImportUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromText for ImportUrl {
    const WANTED: &'static str = "an https address";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let address = HttpUrl::from_text(text)?;
        let url = address.as_url();
        if url.scheme() != "https" {
            return Err(
                Refused::new("keys are fetched by https only: on another way anybody could add theirs").with_hint("write `https://`")
            );
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::new("an address of public keys has no user name and no password").with_hint("leave them out"));
        }
        if url.as_str().len() > URL_BYTES {
            return Err(Refused::new(format!("an address has at most {URL_BYTES} bytes")));
        }
        Ok(Self(address))
    }
}

value_from_text!(ImportUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_make_addresses_and_nothing_else_does() {
        let user = ImportId::from_text("gh:octo-cat").unwrap();
        assert_eq!(user.user().keys_as_lines(), "https://github.com/octo-cat.keys");
        assert_eq!(user.user().keys_as_json(), "https://api.github.com/users/octo-cat/keys?per_page=100");
        let long = format!("gh:{}", "a".repeat(40));
        for bad in ["octocat", "lp:octocat", "gh:", "gh:-a", "gh:a/b", "gh:a b", "gh:../a", "gh:a?b", "gh:a:b", "gh:ä", "GH:a", "", &long]
        {
            assert!(ImportId::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_https() {
        assert_eq!(ImportUrl::from_text("https://keys.internal/ada").unwrap().to_string(), "https://keys.internal/ada");
        let long = format!("https://keys.internal/{}", "a".repeat(URL_BYTES));
        for bad in ["http://keys.internal/", "ftp://a/", "file:///etc/passwd", "keys.internal", "https://u:p@a/", "https://u@a/", &long] {
            assert!(ImportUrl::from_text(bad).is_err(), "{bad}");
        }
    }
}
