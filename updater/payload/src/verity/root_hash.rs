//! The digest of the top of a hash tree.

use std::fmt;
use std::str::FromStr;

use super::DIGEST_BYTES;

/// The digest of the top of a tree: it stands for every byte of the data.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RootHash(pub [u8; DIGEST_BYTES]);

impl fmt::Display for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for RootHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RootHash({self})")
    }
}

/// The text is not a root hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a root hash is 64 hexadecimal digits, not `{0}`")]
pub struct RootHashError(String);

impl FromStr for RootHash {
    type Err = RootHashError;

    fn from_str(text: &str) -> std::result::Result<Self, RootHashError> {
        let mut bytes = [0; DIGEST_BYTES];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| RootHashError(text.chars().take(80).collect()))?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_hash_is_64_hex_digits() {
        let text = "00".repeat(31) + "ff";
        assert_eq!(text.parse::<RootHash>().unwrap().to_string(), text);
        for wrong in ["", "0", &"0".repeat(63), &"0".repeat(65), &"zz".repeat(32), &format!(" {text}")] {
            assert!(wrong.parse::<RootHash>().is_err(), "{wrong}");
        }
    }
}
