//! Paths, modes, owners, digests.

use std::fmt;

use super::AccountName;
use crate::model::Rule;
use crate::model::text::{FromText, Refused, value_from_text};

/// Longest path Linux takes, in bytes.
const MAX_PATH_BYTES: usize = 4095;
/// Longest name of a file, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// An absolute path without `..`, `.` and doubled slashes: joined to a root it stays below it, symlinks aside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AbsolutePath(String);

impl AbsolutePath {
    /// The path; begins with `/` and does not end with one.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `folder` or below it; whole names count, so `/usrfoo` is not below `/usr`.
    #[must_use]
    pub fn is_below(&self, folder: &str) -> bool {
        self.0.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl AsRef<str> for AbsolutePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromText for AbsolutePath {
    const WANTED: &'static str = "an absolute path";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let refused = |message: String| Refused::new(message).under(Rule::InvalidPath);
        let Some(rest) = text.strip_prefix('/') else {
            return Err(refused(format!("`{text}` is not an absolute path")).with_hint(format!("write `/{text}`")));
        };
        if text.len() > MAX_PATH_BYTES || text.chars().any(char::is_control) {
            return Err(refused("a path is at most 4095 bytes long and has no control characters".to_owned()));
        }
        let names: Vec<&str> = rest.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        if names.contains(&"..") {
            return Err(refused(format!("`{text}` contains `..`")).with_hint("write where it leads to"));
        }
        if names.iter().any(|name| name.len() > MAX_NAME_BYTES) {
            return Err(refused(format!("a name in a path is at most {MAX_NAME_BYTES} bytes long")));
        }
        if names.is_empty() {
            return Err(refused("`/` is the root folder, not a file in it".to_owned()));
        }
        Ok(Self(format!("/{}", names.join("/"))))
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": "^/" })
    }
}

value_from_text!(AbsolutePath);

/// Mode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(u32);

impl Mode {
    /// What a file has if nobody says otherwise.
    pub const DEFAULT: Self = Self(0o644);

    /// The bits, at most `0o7777`.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

impl FromText for Mode {
    const WANTED: &'static str = "a mode in octal, such as 0644";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        let octal = (3..=5).contains(&digits.len()) && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        match u32::from_str_radix(digits, 8) {
            Ok(bits) if octal && bits <= 0o7777 => Ok(Self(bits)),
            _ => Err(Refused::new(format!("`{text}` is not a mode")).with_hint("three or four octal digits, such as 0644 or 0755")),
        }
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "anyOf": [{ "type": "integer" }, { "type": "string", "pattern": "^(0o|0)?[0-7]{3,4}$" }] })
    }
}

value_from_text!(Mode);

/// Owner of a file: a user, and a group unless it is the user's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// User, by name or number.
    pub user: String,
    /// Group, by name or number; the user's own if missing.
    pub group: Option<String>,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.user)?;
        self.group.as_ref().map_or(Ok(()), |group| write!(f, ":{group}"))
    }
}

impl FromText for Owner {
    const WANTED: &'static str = "`user` or `user:group`";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        for name in std::iter::once(user).chain(group) {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_digit()) {
                AccountName::from_text(name)?;
            }
        }
        Ok(Self { user: user.to_owned(), group: group.map(str::to_owned) })
    }
}

value_from_text!(Owner);

/// A SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromText for Sha256 {
    const WANTED: &'static str = "64 hexadecimal digits";

    fn from_text(text: &str) -> Result<Self, Refused> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes)
            .map_err(|_| Refused::new(format!("`{text}` is not a SHA-256")).with_hint("64 hexadecimal digits, as sha256sum prints them"))?;
        Ok(Self(bytes))
    }

    fn schema() -> serde_json::Value {
        serde_json::json!({ "type": "string", "pattern": "^(sha256:)?[0-9a-fA-F]{64}$" })
    }
}

value_from_text!(Sha256);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_stay_where_they_are() {
        let table = [("/etc/motd", "/etc/motd"), ("//etc/./motd/", "/etc/motd"), ("/a b/\u{e9}", "/a b/\u{e9}"), ("/..a/b..", "/..a/b..")];
        for (text, expected) in table {
            assert_eq!(AbsolutePath::from_text(text).unwrap().as_str(), expected);
        }
        let long = format!("/{}", "a".repeat(256));
        for text in ["", "etc/motd", "/etc/../motd", "/..", "/", "//", "/etc/\n", "./a", &long] {
            assert_eq!(AbsolutePath::from_text(text).unwrap_err().rule, Rule::InvalidPath, "{text:?}");
        }
    }

    #[test]
    fn a_folder_is_whole_names() {
        let path = AbsolutePath::from_text("/usrfoo/bar").unwrap();
        assert!(!path.is_below("/usr"));
        assert!(path.is_below("/usrfoo"));
        assert!(path.is_below("/usrfoo/bar"));
    }

    #[test]
    fn modes_are_octal_whatever_they_look_like() {
        for (text, bits) in [("0644", 0o644), ("644", 0o644), ("4755", 0o4755), ("04755", 0o4755), ("0o600", 0o600), ("000", 0)] {
            assert_eq!(Mode::from_text(text).unwrap().bits(), bits, "{text}");
        }
        for text in ["", "64", "0888", "u+x", "-644", "77777", "006440", "0x1ff", "420 "] {
            assert!(Mode::from_text(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn owners_are_names_or_numbers() {
        for text in ["root", "core:docker", "1000:1000", "systemd-network"] {
            assert_eq!(Owner::from_text(text).unwrap().to_string(), text);
        }
        for text in ["", ":", "core:", ":docker", "a b", "-x", "core:docker:x", "--reference=/etc/shadow"] {
            assert!(Owner::from_text(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn digests_are_whole() {
        let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert_eq!(Sha256::from_text(digest).unwrap().to_string(), digest);
        assert_eq!(Sha256::from_text(&format!("sha256:{digest}")).unwrap().to_string(), digest);
        for text in ["", "9f86", &digest[1..], &format!("{digest}00"), &digest.replace('9', "g")] {
            assert!(Sha256::from_text(text).is_err(), "{text}");
        }
    }
}
