//! Where signatures come from: a key in memory here; files, commands and hardware elsewhere behind the same trait.

use std::fmt;

use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer as _, SigningKey};

use crate::key::{KeyError, PublicKey, Signature};

/// Something that signs with one ed25519 key.
pub trait Signer {
    /// The key that verifies its signatures.
    fn public_key(&self) -> PublicKey;

    /// Signs `message` as it is (pure ed25519, nothing prepended).
    fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;
}

/// Why a signer did not sign, in its own words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SignError(String);

impl SignError {
    /// From whatever went wrong.
    pub fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

/// A private key in memory, wiped when dropped.
pub struct KeySigner(SigningKey);

impl KeySigner {
    /// From the 32 secret bytes of RFC 8032.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// From an unencrypted PKCS#8 PEM, as `image-builder keygen` and `openssl genpkey -algorithm ed25519` write it.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_pem(text.trim()).map(Self).map_err(|error| KeyError::PrivatePem(error.to_string()))
    }
}

impl Signer for KeySigner {
    fn public_key(&self) -> PublicKey {
        self.0.verifying_key().into()
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        Ok(Signature::from_bytes(self.0.sign(message).to_bytes()))
    }
}

impl fmt::Debug for KeySigner {
    /// Never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySigner({:?})", self.public_key())
    }
}
