//! Names of targets that are safe as paths and as URLs, everywhere.

use std::borrow::Borrow;
use std::fmt;

use crate::error::{Error, brief};
use crate::limits::MAX_NAME_BYTES;

/// Device names that Windows finds in any folder; a release may be mirrored there.
const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];

/// The name of a target: one or more parts of letters, digits and `. _ - + ~ @ =`, joined by `/`.
///
/// It means the same as a path, in a URL, in a shell and in canonical JSON, without any escaping; it never leaves the folder it is put in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetName(String);

impl TargetName {
    /// Takes a name if it is safe.
    pub fn new(name: &str) -> Result<Self, Error> {
        match fault(name) {
            None => Ok(Self(name.to_owned())),
            Some(reason) => Err(Error::Name { name: brief(name), reason }),
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("is empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return Some("is too long");
    }
    if name.starts_with('/') {
        return Some("is absolute");
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-+~@=/".contains(&byte)) {
        return Some("has characters other than letters, digits and . _ - + ~ @ = /");
    }
    name.split('/').find_map(|part| match part {
        "" => Some("has an empty part"),
        "." | ".." => Some("has a part that is . or .."),
        _ if part.ends_with('.') => Some("has a part that ends with a dot"),
        _ => {
            let stem = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
            RESERVED.contains(&stem.as_str()).then_some("has a part that is a device on Windows")
        }
    })
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for TargetName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for TargetName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
