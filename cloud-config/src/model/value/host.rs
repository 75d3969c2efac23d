//! Host names, time zones, certificates.

use std::fmt;

use crate::model::text::{FromText, Refused, value_from_text};

/// Longest host name Linux takes, in bytes.
const MAX_HOSTNAME_BYTES: usize = 64;
/// Longest part of a host name, in bytes.
const MAX_LABEL_BYTES: usize = 63;

/// Name of a host, short or fully qualified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hostname(String);

impl Hostname {
    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name up to the first dot.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.split('.').next().unwrap_or(&self.0)
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromText for Hostname {
    const WANTED: &'static str = "a host name";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let label_is_good = |label: &str| {
            let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            inner && (1..=MAX_LABEL_BYTES).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
        };
        if text.len() > MAX_HOSTNAME_BYTES {
            return Err(Refused::new(format!("a host name is at most {MAX_HOSTNAME_BYTES} bytes long")));
        }
        if !text.split('.').all(label_is_good) {
            let refused = Refused::new(format!("`{}` is not a host name", text.escape_debug()));
            return Err(refused.with_hint("letters, digits and hyphens, with dots between parts"));
        }
        Ok(Self(text.to_owned()))
    }
}

value_from_text!(Hostname);

/// Name of a time zone in the tz database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timezone(String);

impl Timezone {
    /// The name, which is also a relative path below `/usr/share/zoneinfo`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for Timezone {
    const WANTED: &'static str = "a time zone such as Europe/Berlin";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let part_is_good = |part: &str| {
            part.starts_with(|c: char| c.is_ascii_alphanumeric())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
        };
        if text.len() > MAX_HOSTNAME_BYTES || !text.split('/').all(part_is_good) {
            return Err(Refused::new(format!("`{}` is not a time zone", text.escape_debug())).with_hint("such as `UTC` or `Europe/Berlin`"));
        }
        Ok(Self(text.to_owned()))
    }
}

value_from_text!(Timezone);

/// Certificates in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate(String);

const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

impl Certificate {
    /// The PEM text, without white space around it.
    #[must_use]
    pub fn as_pem(&self) -> &str {
        &self.0
    }
}

impl FromText for Certificate {
    const WANTED: &'static str = "a certificate in PEM";

    fn from_text(text: &str) -> Result<Self, Refused> {
        use base64::Engine;
        let text = text.trim();
        if text.contains("PRIVATE KEY-----") {
            return Err(Refused::new("this is a private key, not a certificate"));
        }
        let mut rest = text;
        while !rest.is_empty() {
            let body = rest.strip_prefix(PEM_BEGIN).and_then(|rest| rest.split_once(PEM_END));
            let decoded = body.map(|(body, _)| body.split_ascii_whitespace().collect::<String>());
            let good = decoded.is_some_and(|body| base64::engine::general_purpose::STANDARD.decode(body).is_ok_and(|der| !der.is_empty()));
            let Some((_, after)) = body.filter(|_| good) else {
                let hint = format!("a block that begins with `{PEM_BEGIN}`; write it after `|`");
                return Err(Refused::new("this is not a certificate in PEM").with_hint(hint));
            };
            rest = after.trim_start();
        }
        if text.is_empty() { Err(Refused::new("this is empty, not a certificate")) } else { Ok(Self(text.to_owned())) }
    }
}

value_from_text!(Certificate);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_short_or_qualified() {
        for good in ["core-01", "a", "node1.example.org", "1host", "A-b"] {
            assert!(Hostname::from_text(good).is_ok(), "{good}");
        }
        let long = "a".repeat(65);
        for bad in ["", "-a", "a-", "a..b", ".a", "a.", "a_b", "a b", "a\nb", "$private_ipv4", &long] {
            assert!(Hostname::from_text(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Hostname::from_text("node1.example.org").unwrap().short(), "node1");
    }

    #[test]
    fn time_zones_stay_in_their_folder() {
        for good in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3"] {
            assert!(Timezone::from_text(good).is_ok(), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "Europe/../..", "Europe/", "Mars Base"] {
            assert!(Timezone::from_text(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn certificates_are_whole_blocks() {
        let one = format!("{PEM_BEGIN}\nTUlJQg==\n{PEM_END}");
        for good in [one.clone(), format!("{one}\n{one}\n")] {
            assert!(Certificate::from_text(&good).is_ok(), "{good}");
        }
        for bad in ["", "TUlJQg==", PEM_BEGIN, &format!("{PEM_BEGIN}\n{PEM_END}"), &format!("{one}\nx"), "-----BEGIN PRIVATE KEY-----"] {
            assert!(Certificate::from_text(bad).is_err(), "{bad:?}");
        }
    }
}
