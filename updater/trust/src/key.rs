//! Ed25519 public keys, their ids, and signatures.

use std::fmt;

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePublicKey, EncodePublicKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::canonical;

/// The name of a key: the hex SHA-256 of the canonical form of its key object.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// Takes 64 lower-case hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let good = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| Self(text.to_owned()))
    }

    /// The id that `key`, a key object as it stands in a root, must have.
    pub(crate) fn of_object(key: &Value) -> Result<Self, canonical::JsonError> {
        Ok(Self(hex::encode(Sha256::digest(canonical::to_vec(key)?))))
    }

    /// The 64 hex digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A signature as it stands in metadata.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// R and S, 32 bytes each.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 64]) -> Self {
        Self(bytes)
    }

    /// Takes 128 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 64];
        hex::decode_to_slice(text, &mut bytes).ok().map(|()| Self(bytes))
    }

    /// R and S.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 64] {
        self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Why bytes or a text are not a usable ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither `-----BEGIN PUBLIC KEY-----` nor ed25519 inside.
    #[error("not an ed25519 public key in PEM (`-----BEGIN PUBLIC KEY-----`): {0}; `openssl pkey -in KEY -pubout` writes one")]
    Pem(String),
    /// Not a PKCS#8 private key of ed25519.
    #[error("not an unencrypted ed25519 private key in PEM (`-----BEGIN PRIVATE KEY-----`): {0}")]
    PrivatePem(String),
    /// Not 64 hex digits.
    #[error("an ed25519 public key is 64 hex digits")]
    Hex,
    /// No point of the curve, or one written in two ways.
    #[error("the bytes are not the one way to write a point of the curve")]
    Encoding,
    /// Signatures of such a key can be made by anybody.
    #[error("the key is of small order: anybody could sign for it")]
    Weak,
}

/// An ed25519 public key that is safe to rely on: on the curve, written in its only canonical way, not of small order.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// From the 32 bytes of RFC 8032.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Encoding)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        // One point, one spelling: else one key could count twice towards a threshold.
        if key.to_edwards().compress().to_bytes() != *bytes {
            return Err(KeyError::Encoding);
        }
        Ok(Self(key))
    }

    /// From 64 hex digits.
    pub fn from_hex(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| KeyError::Hex)?;
        Self::from_bytes(&bytes)
    }

    /// From a SubjectPublicKeyInfo in PEM, as `openssl pkey -pubout` and `image-builder keygen` write it.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_public_key_pem(text.trim()).map_err(|error| KeyError::Pem(error.to_string()))?;
        Self::from_bytes(key.as_bytes())
    }

    /// The reverse of [`from_pem`](Self::from_pem).
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.0.to_public_key_pem(LineEnding::LF).expect("32 bytes always encode")
    }

    /// The 32 bytes of RFC 8032.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key object that stands in a root.
    #[must_use]
    pub fn to_object(&self) -> Value {
        json!({"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": hex::encode(self.as_bytes())}})
    }

    /// The key in a key object, or none when it is of another type: such keys never count.
    ///
    /// Both the type and the scheme must say ed25519. Nothing else is ever guessed from a key's shape.
    pub(crate) fn from_object(object: &Value) -> Option<Result<Self, KeyError>> {
        if object.get("keytype")? != "ed25519" || object.get("scheme")? != "ed25519" {
            return None;
        }
        Some(object.pointer("/keyval/public").and_then(Value::as_str).ok_or(KeyError::Hex).and_then(Self::from_hex))
    }

    /// The id under which we write this key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of_object(&self.to_object()).expect("strings only")
    }

    /// Whether `signature` over exactly `message` was made with this key; no malleable, mixed-order or non-canonical forms.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
    }
}

impl From<VerifyingKey> for PublicKey {
    /// For keys that were derived from a private key, which are always sound.
    fn from(key: VerifyingKey) -> Self {
        Self(key)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ed25519:{}", hex::encode(self.as_bytes()))
    }
}
