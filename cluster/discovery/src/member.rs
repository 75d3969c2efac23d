//! A machine as it is written at the address.

use std::fmt;

use url::Url;

use crate::limits::{ID_MAX, NAME_MAX, SECRET_MAX, SECRET_MIN, VALUE_MAX};

/// The schemes under which members of etcd talk to each other.
const SCHEMES: [&str; 4] = ["http", "https", "unix", "unixs"];

/// A machine as it is written at the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What its entry is called: hexadecimal digits of no fixed number where etcd itself writes it.
    pub id: String,
    /// Its name in the cluster.
    pub name: String,
    /// Where the other members reach it, e.g. `http://10.0.0.5:2380`; at least one.
    pub peer_urls: Vec<String>,
}

/// Why something is not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// The identifier.
    #[error("an entry is called by 1 to {ID_MAX} letters, digits and . - _, and does not begin with _")]
    Id,
    /// Too long.
    #[error("an entry has at most {VALUE_MAX} bytes")]
    Long,
    /// Not `name=url`.
    #[error("`{0}` is not NAME=URL")]
    Pair(String),
    /// The name.
    #[error("`{0}` is no name for a machine: 1 to {NAME_MAX} printable characters without = and ,")]
    Name(String),
    /// Several names.
    #[error("one entry names two machines, `{0}` and `{1}`")]
    Names(String, String),
    /// The address.
    #[error("`{0}` is no address of a member, such as http://10.0.0.5:2380")]
    Url(String),
    /// The secret.
    #[error("a secret has {SECRET_MIN} to {SECRET_MAX} letters and digits")]
    Secret,
}

impl Member {
    /// Reads the entry `id` with the value `NAME=URL[,NAME=URL...]`.
    ///
    /// # Errors
    /// It is none. Whoever accepts such an entry stops all the others: etcd ends on one that it cannot read.
    pub fn parse(id: &str, value: &str) -> Result<Self, Wrong> {
        check_id(id)?;
        if value.len() > VALUE_MAX {
            return Err(Wrong::Long);
        }
        let mut member = Self { id: id.to_owned(), name: String::new(), peer_urls: Vec::new() };
        for pair in value.split(',') {
            let (name, url) = pair.split_once('=').ok_or_else(|| Wrong::Pair(shown(pair)))?;
            if name.is_empty() || name.len() > NAME_MAX || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
                return Err(Wrong::Name(shown(name)));
            }
            if !member.name.is_empty() && member.name != name {
                return Err(Wrong::Names(shown(&member.name), shown(name)));
            }
            name.clone_into(&mut member.name);
            member.peer_urls.push(check_url(url)?.to_owned());
        }
        Ok(member)
    }

    /// The value of its entry.
    #[must_use]
    pub fn value(&self) -> String {
        let pairs: Vec<String> = self.peer_urls.iter().map(|url| format!("{}={url}", self.name)).collect();
        pairs.join(",")
    }
}

/// Whether an entry may be called so.
///
/// # Errors
/// It may not.
pub fn check_id(id: &str) -> Result<(), Wrong> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    // A dot alone would be a path of another kind, and what begins with _ is hidden.
    let path = id.chars().all(|c| c == '.') || id.starts_with('_');
    if id.len() > ID_MAX || path || !id.chars().all(plain) { Err(Wrong::Id) } else { Ok(()) }
}

fn check_url(text: &str) -> Result<&str, Wrong> {
    let wrong = || Wrong::Url(shown(text));
    let url = Url::parse(text).map_err(|_| wrong())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    let clean = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    // As etcd reads it: a host with a port, which may be the scheme's usual one only when it is written down.
    let port = text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok_and(|port| port > 0));
    let bare = matches!(url.path(), "" | "/") && !text.ends_with('/');
    let host = url.host_str().is_some_and(|host| !host.is_empty());
    if SCHEMES.contains(&url.scheme()) && plain && clean && port && bare && host { Ok(text) } else { Err(wrong()) }
}

/// What somebody sent, as it may be shown.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

/// What proves to our own server that an entry is ours, so that a machine that was installed anew is not locked out of it.
///
/// Other servers ignore it. Shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a secret that is kept elsewhere: best 32 random bytes in hexadecimal, the same after an installation anew, such as a key
    /// that is derived from what the cloud-config holds.
    ///
    /// # Errors
    /// Too short to be one, too long, or not letters and digits.
    pub fn new(text: &str) -> Result<Self, Wrong> {
        let fits = (SECRET_MIN..=SECRET_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric());
        if fits { Ok(Self(text.to_owned())) } else { Err(Wrong::Secret) }
    }

    /// The secret itself, to be sent or hashed.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_are_read_and_written() {
        for value in [
            "n1=http://10.0.0.1:2380",
            "n1=https://[fd00::1]:2380",
            "n1=http://10.0.0.1:2380,n1=http://n1.example:7001",
            "host.example=http://h:80",
            "n1=unix://localhost:2380",
        ] {
            let member = Member::parse("1f", value).unwrap_or_else(|error| panic!("{value}: {error}"));
            assert_eq!(member.value(), value);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let long = format!("n1=http://{}:2380", "a".repeat(VALUE_MAX));
        for (id, value) in [
            ("", "n=http://h:1"),
            ("_config", "n=http://h:1"),
            ("..", "n=http://h:1"),
            ("a/b", "n=http://h:1"),
            ("a b", "n=http://h:1"),
            (&"a".repeat(ID_MAX + 1), "n=http://h:1"),
            ("1", ""),
            ("1", "n1"),
            ("1", "=http://h:1"),
            ("1", "n 1=http://h:1"),
            ("1", "n1="),
            ("1", "n1=h:1"),
            ("1", "n1=http://h"),
            ("1", "n1=http://h:0"),
            ("1", "n1=http://h:99999"),
            ("1", "n1=http://:2380"),
            ("1", "n1=http://h:2380/"),
            ("1", "n1=http://h/path:2380"),
            ("1", "n1=http://user@h:2380"),
            ("1", "n1=http://h:2380?q:1"),
            ("1", "n1=ftp://h:2380"),
            ("1", "n1=http://h:2380,"),
            ("1", "n1=http://h:2380,n2=http://h:2381"),
            ("1", "n1=http://h\n:2380"),
            ("1", &long),
        ] {
            assert!(Member::parse(id, value).is_err(), "{id} {value}");
        }
    }

    #[test]
    fn secrets_are_long_and_never_shown() {
        for wrong in ["", "short", &"a".repeat(SECRET_MIN - 1), &"a".repeat(SECRET_MAX + 1), &format!("{}\r\n", "a".repeat(40))] {
            assert_eq!(Secret::new(wrong), Err(Wrong::Secret));
        }
        let secret = Secret::new(&"ab".repeat(32)).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_what_it_takes_it_gives_back(id in ".{0,20}", value in ".{0,80}") {
            if let Ok(member) = Member::parse(&id, &value) {
                prop_assert_eq!(member.value(), value);
            }
        }

        #[test]
        fn what_is_written_is_read(name in "[a-z0-9.-]{1,20}", hosts in prop::collection::vec("[a-z]{1,9}", 1..4), port in 1u16..) {
            let peer_urls = hosts.iter().map(|host| format!("http://{host}:{port}")).collect();
            let member = Member { id: "1".to_owned(), name, peer_urls };
            prop_assert_eq!(Member::parse("1", &member.value()), Ok(member));
        }
    }
}
