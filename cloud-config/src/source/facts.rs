//! What may be believed of single values that come from outside. Everything here ends in files of this machine.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::error::SourceError;
use super::limits::{HOSTNAME_BYTES, INSTANCE_ID_BYTES, KEY_BYTES};

/// Longest label of a host name, in bytes (RFC 1123).
const LABEL_BYTES: usize = 63;
/// Longest name of a key, in bytes.
const KEY_NAME_BYTES: usize = 128;
/// Key types begin with one of these (RFC 4253, RFC 5656, OpenSSH's PROTOCOL.u2f).
const KEY_TYPES: &[&str] = &["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];

/// Bytes that must be text.
pub(super) fn text(place: &str, bytes: Vec<u8>) -> Result<String, SourceError> {
    String::from_utf8(bytes).map_err(|_| SourceError::NotText { place: place.to_owned() })
}

/// A host name (RFC 1123), short or fully qualified.
pub(super) fn hostname(place: &str, field: &str, value: &str) -> Result<String, SourceError> {
    let name = value.trim_end_matches('.');
    let label = |label: &str| {
        let inside = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        !label.is_empty() && label.len() <= LABEL_BYTES && inside && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() <= HOSTNAME_BYTES && name.split('.').all(label) {
        return Ok(name.to_owned());
    }
    let reason =
        format!("is {}, not a host name: letters, digits, dashes, and dots between labels of at most {LABEL_BYTES}", quoted(value));
    Err(SourceError::field(place, field, reason))
}

/// An identity: printable, without spaces.
pub(super) fn instance_id(place: &str, field: &str, value: &str) -> Result<String, SourceError> {
    if !value.is_empty() && value.len() <= INSTANCE_ID_BYTES && value.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(value.to_owned());
    }
    let reason = format!("is {}, not an identity of up to {INSTANCE_ID_BYTES} printable characters", quoted(value));
    Err(SourceError::field(place, field, reason))
}

/// An IPv4 address that a machine can have.
pub(super) fn ipv4(place: &str, field: &str, value: &str) -> Result<Ipv4Addr, SourceError> {
    let address = value.parse::<Ipv4Addr>().ok().filter(|address| !address.is_unspecified() && !address.is_broadcast());
    address.ok_or_else(|| SourceError::field(place, field, format!("is {}, not an IPv4 address of a machine", quoted(value))))
}

/// An IPv6 address that a machine can have.
pub(super) fn ipv6(place: &str, field: &str, value: &str) -> Result<Ipv6Addr, SourceError> {
    let address = value.parse::<Ipv6Addr>().ok().filter(|address| !address.is_unspecified() && !address.is_multicast());
    address.ok_or_else(|| SourceError::field(place, field, format!("is {}, not an IPv6 address of a machine", quoted(value))))
}

/// One line for `authorized_keys`: type, key, perhaps a comment. Options before the type are refused: they would let whoever
/// names a key also say which command it runs.
pub(super) fn ssh_key(place: &str, field: &str, value: &str) -> Result<String, SourceError> {
    let wrong = |reason: String| Err(SourceError::field(place, field, reason));
    let key = value.trim();
    if key.chars().any(char::is_control) {
        return wrong("holds a line break or another control character; one ssh key is one line".to_owned());
    }
    if key.len() > KEY_BYTES {
        return wrong(format!("has {} bytes; no ssh key has more than {KEY_BYTES}", key.len()));
    }
    let mut words = key.split(' ');
    let (kind, data) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let base64 = !data.is_empty() && data.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
    if KEY_TYPES.iter().any(|known| kind.starts_with(known)) && base64 {
        return Ok(key.to_owned());
    }
    wrong(format!("is {}, not an ssh public key: type, key and perhaps a comment", quoted(value)))
}

/// A name that a platform gives to a key.
pub(super) fn key_name(place: &str, value: &str) -> Result<String, SourceError> {
    if !value.is_empty() && value.len() <= KEY_NAME_BYTES && !value.chars().any(char::is_control) {
        return Ok(value.to_owned());
    }
    Err(SourceError::field(place, "ssh keys", format!("has a key named {}, which is no name", quoted(value))))
}

/// A value as it may be shown: short, and without anything that a terminal would obey.
pub(super) fn quoted(value: &str) -> String {
    const SHOWN: usize = 60;
    let text: String = value.chars().take(SHOWN).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let more = if value.chars().count() > SHOWN { "..." } else { "" };
    format!("`{text}{more}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_follow_the_rules() {
        let label = "a".repeat(63);
        for (text, name) in [("web-1", "web-1"), ("web.example.org.", "web.example.org"), ("1", "1"), ("A.b", "A.b"), (&label, &label)] {
            assert_eq!(hostname("x", "hostname", text).as_deref(), Ok(name));
        }
        let (long_label, long) = ("a".repeat(64), ["a".repeat(60).as_str(); 5].join("."));
        for wrong in ["", ".", "a..b", "-a", "a-", "a_b", "a b", "a\nb", "ä", "a/b", "$(reboot)", &long_label, &long] {
            let error = hostname("meta.json", "hostname", wrong).unwrap_err().to_string();
            assert!(error.starts_with("meta.json: `hostname` is") && !error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn keys_are_one_line_without_options() {
        for good in [
            "ssh-ed25519 AAAAC3Nza me@example.org",
            "ssh-rsa AAAAB3+/=\n",
            "ecdsa-sha2-nistp256 AAAA a comment of words",
            "sk-ssh-ed25519@openssh.com AAAA",
        ] {
            assert_eq!(ssh_key("x", "key", good).as_deref(), Ok(good.trim()));
        }
        let long = format!("ssh-rsa {}", "A".repeat(KEY_BYTES));
        for wrong in [
            "",
            "ssh-ed25519",
            "ssh-ed25519  AAAA",
            "ssh-ed25519 AAAA a\nssh-ed25519 BBBB b",
            "ssh-ed25519 AAAA\rssh-ed25519 BBBB",
            "ssh-ed25519 AAAA \0",
            "command=\"reboot\" ssh-ed25519 AAAA",
            "no-pty ssh-ed25519 AAAA",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "ssh-rsa AAAA;reboot",
            &long,
        ] {
            assert!(ssh_key("x", "key", wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn addresses_are_ones_a_machine_can_have() {
        assert!(ipv4("x", "ip", "10.0.0.5").is_ok() && ipv6("x", "ip", "2001:db8::5").is_ok());
        for wrong in ["", "0.0.0.0", "255.255.255.255", "10.0.0", "10.0.0.5/24", "010.0.0.5", "::1"] {
            assert!(ipv4("x", "ip", wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "::", "ff02::1", "2001:db8::5/64", "fe80::1%eth0", "10.0.0.5"] {
            assert!(ipv6("x", "ip", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn identities_and_names_of_keys_are_printable() {
        assert!(instance_id("x", "id", "i-0123456789abcdef0").is_ok() && key_name("x", "my key").is_ok());
        for wrong in ["", "a b", "a\n", "ü", &"x".repeat(INSTANCE_ID_BYTES + 1)] {
            assert!(instance_id("x", "id", wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "a\nb", &"x".repeat(KEY_NAME_BYTES + 1)] {
            assert!(key_name("x", wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_is_quoted_is_short_and_tame() {
        assert_eq!(quoted("a\u{1b}[2Jb"), "`a\u{fffd}[2Jb`");
        assert!(quoted(&"x".repeat(1000)).len() < 100);
    }
}
