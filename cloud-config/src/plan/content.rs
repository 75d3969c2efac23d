//! The bytes of a file to be, and what of them may be shown.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha256Sum([u8; 32]);

impl Sha256Sum {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads 64 hexadecimal digits of either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sha256Sum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is never shown: only its digest is, so that two plans can be compared.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the place it was written for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", Sha256Sum::of(self.0.as_bytes()))
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("sha256", &Sha256Sum::of(self.0.as_bytes()))?;
        map.end()
    }
}

/// What a file holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes.
    Inline {
        /// The bytes, after decoding.
        bytes: Arc<[u8]>,
        /// Whether they may be shown.
        visibility: Visibility,
    },
    /// What an address delivers, if it has the digest.
    Remote {
        /// `https`, or any other scheme when there is a digest.
        url: String,
        /// What must arrive.
        sha256: Option<Sha256Sum>,
    },
}

/// Whether bytes may be shown to whoever reads the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Anybody on the host may read the file.
    Open,
    /// Only the digest is shown.
    Masked,
}

impl Content {
    /// Bytes anybody may see.
    #[must_use]
    pub fn open(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Inline { bytes: bytes.into().into(), visibility: Visibility::Open }
    }

    /// Bytes of a file with `mode`: masked when others than its owner and group may not read it.
    #[must_use]
    pub fn for_mode(bytes: impl Into<Vec<u8>>, mode: u32) -> Self {
        let visibility = if mode & 0o004 == 0 { Visibility::Masked } else { Visibility::Open };
        Self::Inline { bytes: bytes.into().into(), visibility }
    }

    /// Bytes nobody may see.
    #[must_use]
    pub fn masked(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Inline { bytes: bytes.into().into(), visibility: Visibility::Masked }
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline { bytes, .. } => write!(f, "{} bytes sha256:{}", bytes.len(), Sha256Sum::of(bytes)),
            Self::Remote { url, sha256 } => write!(f, "{url} sha256:{sha256:?}"),
        }
    }
}

impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Inline { bytes, visibility } => {
                map.serialize_entry("size", &bytes.len())?;
                map.serialize_entry("sha256", &Sha256Sum::of(bytes))?;
                if *visibility == Visibility::Masked {
                    map.serialize_entry("masked", &true)?;
                }
            }
            Self::Remote { url, sha256 } => {
                map.serialize_entry("url", url)?;
                if let Some(sha256) = sha256 {
                    map.serialize_entry("sha256", sha256)?;
                }
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_its_digest_and_nothing_else() {
        let secret = Secret::new("$6$salt$hunter2");
        for shown in [format!("{secret:?}"), serde_json::to_string(&secret).unwrap()] {
            assert!(!shown.contains("hunter2") && shown.contains(&Sha256Sum::of(b"$6$salt$hunter2").to_string()), "{shown}");
        }
    }

    #[test]
    fn content_is_masked_when_the_world_may_not_read_the_file() {
        for (mode, masked) in [(0o644, false), (0o600, true), (0o640, true), (0o755, false), (0o400, true)] {
            let json = serde_json::to_string(&Content::for_mode("x", mode)).unwrap();
            assert_eq!(json.contains("masked"), masked, "{mode:o}");
        }
    }

    #[test]
    fn digests_are_sixty_four_hexadecimal_digits() {
        let sum = Sha256Sum::of(b"");
        assert_eq!(Sha256Sum::parse(&sum.to_string().to_uppercase()), Some(sum));
        for text in ["", "e3b0", &"g".repeat(64), &"0".repeat(66)] {
            assert_eq!(Sha256Sum::parse(text), None, "{text}");
        }
    }
}
