//! Accounts, keys, and what is listed in one text.

use std::fmt;

use crate::model::text::{FromText, Refused, value_from_text};

/// Longest name of an account, in bytes, as useradd has it.
const MAX_ACCOUNT_BYTES: usize = 32;

/// Name of a user or group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountName(String);

impl AccountName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for AccountName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromText for AccountName {
    const WANTED: &'static str = "a name of a user or group";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let first = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        if !first || !rest || text.len() > MAX_ACCOUNT_BYTES {
            let refused = Refused::new(format!("`{}` is not a name of a user or group", text.escape_debug()));
            return Err(refused.with_hint("a letter first, then letters, digits, `_`, `-`, `.`; 32 at most"));
        }
        Ok(Self(text.to_owned()))
    }

    fn list_from_text(text: &str) -> Option<Vec<&str>> {
        Some(comma_separated(text))
    }
}

value_from_text!(AccountName);

fn comma_separated(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|word| !word.is_empty()).collect()
}

/// Text without commas; several may be written as one text with commas between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedText(String);

impl ListedText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for ListedText {
    const WANTED: &'static str = "text without commas";

    fn from_text(text: &str) -> Result<Self, Refused> {
        if text.contains(',') || text.chars().any(char::is_control) || text.trim() != text || text.is_empty() {
            return Err(Refused::new(format!("`{}` is not one entry", text.escape_debug())).with_hint("one entry per line, without commas"));
        }
        Ok(Self(text.to_owned()))
    }

    fn list_from_text(text: &str) -> Option<Vec<&str>> {
        Some(comma_separated(text))
    }
}

value_from_text!(ListedText);

/// One line of an authorized_keys file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshKey(String);

/// Types of keys that OpenSSH takes, by how they begin.
const KEY_TYPES: [&str; 5] = ["ssh-ed25519", "ssh-rsa", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"];

impl SshKey {
    /// The line.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it looks like a key: somewhere a type, after it base64 data that names the same type.
    #[must_use]
    pub fn looks_like_a_key(&self) -> bool {
        use base64::Engine;
        let words: Vec<&str> = self.0.split_ascii_whitespace().collect();
        words.windows(2).any(|pair| {
            let data = base64::engine::general_purpose::STANDARD.decode(pair[1]);
            let named = |data: Vec<u8>| data.get(4..4 + pair[0].len()).is_some_and(|name| name == pair[0].as_bytes());
            KEY_TYPES.iter().any(|known| pair[0].starts_with(known)) && data.is_ok_and(named)
        })
    }

    /// Whether it is a key and nothing in front of it: no options, which could run a program or bend a connection.
    #[must_use]
    pub fn is_without_options(&self) -> bool {
        KEY_TYPES.iter().any(|known| self.0.starts_with(known)) && self.looks_like_a_key()
    }
}

impl FromText for SshKey {
    const WANTED: &'static str = "an SSH public key";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let text = text.trim();
        if text.contains("PRIVATE KEY-----") {
            return Err(Refused::new("this is a private key")
                .with_hint("use the file that ends in `.pub`, and make a new key: this one is known now"));
        }
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(Refused::new("an SSH key is one line").with_hint("one entry of the list per key"));
        }
        Ok(Self(text.to_owned()))
    }
}

value_from_text!(SshKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_accounts_are_no_options() {
        for good in ["core", "_apt", "systemd-network", "a.b", "Core1"] {
            assert!(AccountName::from_text(good).is_ok(), "{good}");
        }
        let long = "a".repeat(33);
        for bad in ["", "-r", "1abc", "a b", "a:b", "a/b", "a\n", "core,docker", &long] {
            assert!(AccountName::from_text(bad).is_err(), "{bad:?}");
        }
        assert_eq!(AccountName::list_from_text("sudo, docker,"), Some(vec!["sudo", "docker"]));
    }

    #[test]
    fn keys_are_told_from_other_text() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHGqNXFZTM3pUvNYlVsGnMSOFzWN4FtzGPQvJRLLGiTw me@laptop";
        for good in [key.to_owned(), format!("no-pty {key}")] {
            assert!(SshKey::from_text(&good).unwrap().looks_like_a_key(), "{good}");
        }
        for odd in ["ssh-ed25519", "ssh-rsa AAAA", &key.replace("ed25519 ", "rsa "), "mykey", "ssh-ed25519 AAAAC3Nza"] {
            assert!(!SshKey::from_text(odd).unwrap().looks_like_a_key(), "{odd}");
        }
        for bad in ["", " ", "a\nb", "-----BEGIN OPENSSH PRIVATE KEY-----"] {
            assert!(SshKey::from_text(bad).is_err(), "{bad:?}");
        }
        assert!(SshKey::from_text(key).unwrap().is_without_options());
        for with in [&format!("no-pty {key}"), &format!("command=\"x\" {key}"), "ssh-rsa"] {
            assert!(!SshKey::from_text(with).unwrap().is_without_options(), "{with}");
        }
    }
}
