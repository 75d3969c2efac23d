//! What is announced: a service at an address, under a key that says who announces it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Announcements are below this prefix: `slipway/services/<service>/<machine>:<id>`.
pub const PREFIX: &str = "slipway/services/";
/// Longest name of a service or machine, and longest id, in bytes; a key of etcd has no limit of its own.
const NAME_BYTES: usize = 128;

/// Keys and values as etcd holds them.
pub type Entries = BTreeMap<String, String>;

/// The machine that announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its short name, as in [`cluster_store::Machine`].
    pub name: String,
    /// Where the others reach it.
    pub address: IpAddr,
}

/// Which service, on which machine, and which of those there: the key of an announcement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    service: String,
    machine: String,
    id: String,
}

/// A name that cannot be part of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} cannot be {part}: letters, digits, `.`, `_` and `-`, at most {NAME_BYTES}, and not beginning with `.`")]
pub struct NameError {
    /// The name.
    pub name: String,
    /// What it should have named.
    pub part: &'static str,
}

impl Key {
    /// The key of `id` on `machine`, one of those that are `service`.
    ///
    /// # Errors
    /// One of the names would change the shape of the key.
    pub fn new(service: &str, machine: &str, id: &str) -> Result<Self, NameError> {
        let ids = id.split(':').map(|part| name(part, "an id"));
        ids.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { service: name(service, "a service")?, machine: name(machine, "a machine")?, id: id.to_owned() })
    }

    /// Reads a key of etcd; `None` for one that is no announcement.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (service, rest) = key.strip_prefix(PREFIX)?.split_once('/')?;
        let (machine, id) = rest.split_once(':')?;
        Self::new(service, machine, id).ok()
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}:{}", self.service, self.machine, self.id)
    }
}

/// A name that is fit to be a part of a key.
fn name(name: &str, part: &'static str) -> Result<String, NameError> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'@');
    let fits = !name.is_empty() && name.len() <= NAME_BYTES && !name.starts_with('.') && name.bytes().all(good);
    // A unit may be an instance, `web@1.service`; in the name of a service the sign would only confuse.
    if fits && (part == "an id" || !name.contains('@')) { Ok(name.to_owned()) } else { Err(NameError { name: name.to_owned(), part }) }
}

/// What a port speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, and what is on top of it.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// Docker's word for it.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        match word {
            "tcp" => Some(Self::Tcp),
            "udp" => Some(Self::Udp),
            "sctp" => Some(Self::Sctp),
            _ => None,
        }
    }
}

/// Where a service is: the value of an announcement. Unknown fields are left for later versions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Announcement {
    /// Where it is reached.
    pub address: IpAddr,
    /// Its port there.
    pub port: u16,
    /// What it speaks.
    #[serde(default)]
    pub protocol: Protocol,
    /// What its owner says about it, in the owner's order.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What runs it, such as `container web-1` or `unit web.service`; for people.
    #[serde(default)]
    pub by: String,
}

/// An announcement as it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Service {
    /// The service.
    pub service: String,
    /// The machine that announces it.
    pub machine: String,
    /// Which of those on that machine.
    pub id: String,
    /// Address and port in one, as others want it in their configuration.
    pub endpoint: SocketAddr,
    /// Where it is.
    #[serde(flatten)]
    pub at: Announcement,
}

/// The announcements among `entries`, sorted by service, machine and id; what is none, or not to be read, comes second.
#[must_use]
pub fn services<'e>(entries: impl IntoIterator<Item = (&'e String, &'e String)>) -> (Vec<Service>, Vec<String>) {
    let mut found = BTreeMap::new();
    let mut strange = Vec::new();
    for (key, value) in entries {
        match (Key::parse(key), serde_json::from_str::<Announcement>(value)) {
            (Some(parsed), Ok(at)) => drop(found.insert(parsed, at)),
            _ => strange.push(key.clone()),
        }
    }
    let services = found.into_iter().map(|(key, at)| {
        let endpoint = SocketAddr::new(at.address, at.port);
        Service { service: key.service, machine: key.machine, id: key.id, endpoint, at }
    });
    (services.collect(), strange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_what_where_and_which() {
        let key = Key::new("web", "n1", "web-1:80").unwrap();
        assert_eq!(key.to_string(), "slipway/services/web/n1:web-1:80");
        assert_eq!(Key::parse(&key.to_string()), Some(key));
        assert!(Key::new("web", "n1", "web@1.service:80:udp").is_ok());
    }

    #[test]
    fn names_that_would_change_the_shape_of_a_key_are_refused() {
        let long = "x".repeat(NAME_BYTES + 1);
        for wrong in ["", "a/b", "a b", ".hidden", "é", "a\n", long.as_str()] {
            assert!(Key::new(wrong, "n1", "a").is_err(), "{wrong:?}");
            assert!(Key::new("web", wrong, "a").is_err(), "{wrong:?}");
            assert!(Key::new("web", "n1", wrong).is_err(), "{wrong:?}");
        }
        assert!(Key::new("a:b", "n1", "a").is_err() && Key::new("web", "n:1", "a").is_err() && Key::new("a@b", "n1", "a").is_err());
    }

    #[test]
    fn what_is_no_announcement_is_no_key() {
        for wrong in [
            "",
            "slipway/services/",
            "slipway/services/web",
            "slipway/services/web/n1",
            "slipway/machines/web/n1:a",
            "slipway/services/web/n1:",
        ] {
            assert_eq!(Key::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn services_are_sorted_and_strange_values_are_named() {
        let at = |port: u16| format!("{{\"address\":\"10.0.0.1\",\"port\":{port},\"later\":true}}");
        let entries: Entries = [
            // Byte order of whole keys would put `a-b` before `a`.
            ("slipway/services/a-b/n1:x", at(1)),
            ("slipway/services/a/n2:x", at(2)),
            ("slipway/services/a/n1:x", at(3)),
            ("slipway/services/a/n3:x", "nonsense".to_owned()),
            ("slipway/services/a/n4:x", at(0).replace("10.0.0.1", "example")),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let (services, strange) = services(&entries);
        assert_eq!(services.iter().map(|had| had.at.port).collect::<Vec<_>>(), [3, 2, 1]);
        assert_eq!(strange, ["slipway/services/a/n3:x", "slipway/services/a/n4:x"]);
    }
}
