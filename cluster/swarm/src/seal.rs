//! Join tokens, as they lie in etcd.
//!
//! A token for managers makes its holder root on every machine. Where etcd asks for client certificates, only machines of the
//! cluster read it, and it lies there plainly. Where etcd is open to the network it is sealed with a key from the cluster's
//! shared secret: HKDF-SHA-256 (RFC 5869) over a fresh salt, then ChaCha20-Poly1305 (RFC 8439). As every sealing has a key of its
//! own, the nonce may be constant. The name of the key in etcd is authenticated with it, so that tokens cannot change places.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// What sealed tokens begin with: the format, and its number.
const SEALED: &str = "sealed1:";
/// What plain tokens begin with.
const PLAIN: &str = "plain:";
/// What the key is for, so that another use of the same secret has another key.
const PURPOSE: &[u8] = b"slipway swarm join token 1";
/// As long as the hash.
const SALT_LEN: usize = 32;
/// Shorter secrets can be guessed by whoever reads etcd.
pub const SHORTEST_SECRET: usize = 16;

/// How tokens are kept from those who are not of the cluster.
#[derive(Clone)]
pub enum Seal {
    /// etcd asks for certificates.
    Certificates,
    /// With a key from the secret that the machines share.
    Secret(Zeroizing<Vec<u8>>),
    /// Not at all: whoever reaches etcd is root on every machine.
    Open,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Certificates => "Certificates",
            Self::Secret(_) => "Secret(..)",
            Self::Open => "Open",
        })
    }
}

/// Why a token cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// It is sealed and this machine has no secret.
    #[error("the join token in etcd is sealed, and this machine has no `etcd.secret-file` to open it with")]
    NoSecret,
    /// It is not sealed although this machine expects that.
    #[error("the join token in etcd is not sealed although this machine has a secret; somebody without it has written the token")]
    NotSealed,
    /// It was sealed with another secret, or altered.
    #[error("the join token in etcd does not open with this machine's secret: all machines need the same `etcd.secret-file`")]
    WrongSecret,
    /// It is something else.
    #[error("the join token in etcd has a form that this version does not know")]
    Form,
    /// The secret is too short.
    #[error("the shared secret has fewer than {SHORTEST_SECRET} bytes")]
    ShortSecret,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl Seal {
    /// The right way for how etcd is reached and what secret there is.
    ///
    /// # Errors
    /// The secret is shorter than [`SHORTEST_SECRET`].
    pub fn choose(certificates: bool, secret: Option<&[u8]>) -> Result<Self, SealError> {
        match secret.map(<[u8]>::trim_ascii) {
            _ if certificates => Ok(Self::Certificates),
            Some(secret) if secret.len() < SHORTEST_SECRET => Err(SealError::ShortSecret),
            Some(secret) => Ok(Self::Secret(Zeroizing::new(secret.to_vec()))),
            None => Ok(Self::Open),
        }
    }

    /// The text that is stored for `token` under the etcd key `name`.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn close(&self, name: &str, token: &str) -> Result<String, SealError> {
        let Self::Secret(secret) = self else { return Ok(format!("{PLAIN}{token}")) };
        let mut salt = [0; SALT_LEN];
        SystemRandom::new().fill(&mut salt).map_err(|_| SealError::Random)?;
        let mut sealed = token.as_bytes().to_vec();
        key(secret, &salt)?.seal_in_place_append_tag(nonce(), Aad::from(name.as_bytes()), &mut sealed).map_err(|_| SealError::Random)?;
        Ok(format!("{SEALED}{}", STANDARD.encode([&salt[..], &sealed].concat())))
    }

    /// The token that is stored as `text` under the etcd key `name`.
    ///
    /// # Errors
    /// It was stored in another way, or with another secret, or for another key.
    pub fn open(&self, name: &str, text: &str) -> Result<Zeroizing<String>, SealError> {
        match (self, text.strip_prefix(PLAIN), text.strip_prefix(SEALED)) {
            (Self::Secret(_), Some(_), _) => Err(SealError::NotSealed),
            (_, Some(token), _) => Ok(Zeroizing::new(token.to_owned())),
            (Self::Secret(secret), _, Some(text)) => {
                let bytes = STANDARD.decode(text).map_err(|_| SealError::Form)?;
                let (salt, sealed) = bytes.split_at_checked(SALT_LEN).ok_or(SealError::Form)?;
                let mut sealed = Zeroizing::new(sealed.to_vec());
                let token = key(secret, salt)?.open_in_place(nonce(), Aad::from(name.as_bytes()), &mut sealed);
                let token = token.map_err(|_| SealError::WrongSecret)?;
                String::from_utf8(token.to_vec()).map(Zeroizing::new).map_err(|_| SealError::Form)
            }
            (_, _, Some(_)) => Err(SealError::NoSecret),
            _ => Err(SealError::Form),
        }
    }

    /// What a person has to know about it, if anything.
    #[must_use]
    pub fn warning(&self) -> Option<&'static str> {
        matches!(self, Self::Open).then_some(
            "the swarm's join tokens lie open in etcd: whoever reaches it is root on every machine; \
             set `etcd.tls`, or `etcd.secret-file` to seal them",
        )
    }
}

/// The key for one sealing.
fn key(secret: &[u8], salt: &[u8]) -> Result<LessSafeKey, SealError> {
    let pseudorandom = Salt::new(HKDF_SHA256, salt).extract(secret);
    let material = pseudorandom.expand(&[PURPOSE], &CHACHA20_POLY1305).map_err(|_| SealError::Form)?;
    Ok(LessSafeKey::new(UnboundKey::from(material)))
}

/// Constant, because no key is used twice.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "SWMTKN-1-0-1";

    fn secret(text: &str) -> Seal {
        Seal::choose(false, Some(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_sealed_token_opens_with_the_same_secret_under_the_same_name_only() {
        let ours = secret("correct horse battery");
        let text = ours.close("worker", TOKEN).unwrap();
        assert!(!text.contains("SWMTKN"), "{text}");
        assert_ne!(text, ours.close("worker", TOKEN).unwrap(), "the salt is fresh");
        assert_eq!(*ours.open("worker", &text).unwrap(), TOKEN);
        assert_eq!(*secret("correct horse battery\n").open("worker", &text).unwrap(), TOKEN);
        assert_eq!(ours.open("manager", &text), Err(SealError::WrongSecret));
        assert_eq!(secret("another horse battery").open("worker", &text), Err(SealError::WrongSecret));
        assert_eq!(Seal::Open.open("worker", &text), Err(SealError::NoSecret));
    }

    #[test]
    fn an_altered_token_does_not_open() {
        let ours = secret("correct horse battery");
        let text = ours.close("worker", TOKEN).unwrap();
        let bytes = STANDARD.decode(&text[SEALED.len()..]).unwrap();
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert_eq!(ours.open("worker", &format!("{SEALED}{}", STANDARD.encode(altered))), Err(SealError::WrongSecret), "byte {at}");
        }
        for wrong in ["", "sealed1:", "sealed1:AAAA", "sealed2:AAAA", TOKEN, "sealed1:%"] {
            assert_eq!(ours.open("worker", wrong), Err(SealError::Form), "{wrong}");
        }
    }

    #[test]
    fn without_a_secret_tokens_lie_plainly_and_that_is_said() {
        let open = Seal::choose(false, None).unwrap();
        let text = open.close("worker", TOKEN).unwrap();
        assert_eq!(*open.open("worker", &text).unwrap(), TOKEN);
        assert!(open.warning().is_some());
        assert_eq!(secret("correct horse battery").open("worker", &text), Err(SealError::NotSealed));
        let certificates = Seal::choose(true, None).unwrap();
        assert_eq!(certificates.warning(), None);
        assert_eq!(*certificates.open("worker", &text).unwrap(), TOKEN);
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        assert!(matches!(Seal::choose(false, Some(b"short   \n       ")), Err(SealError::ShortSecret)));
        assert!(matches!(Seal::choose(false, Some(b"")), Err(SealError::ShortSecret)));
        assert!(!format!("{:?}", secret("correct horse battery")).contains("horse"));
    }
}
