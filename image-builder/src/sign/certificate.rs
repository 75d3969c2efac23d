//! The X.509 certificate that signs an image's PE files.

use std::path::Path;

use der_old::asn1::ObjectIdentifier;
use der_old::{Decode, DecodePem, Encode};
use sha2::{Digest, Sha256};
use x509_old::Certificate;
use x509_old::name::Name;

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
pub(super) const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// Why a file is no certificate that we can check signatures with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The file could not be read.
    #[error("reading the certificate {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Neither PEM nor DER.
    #[error("not an X.509 certificate in PEM or DER: {0}")]
    Parse(der_old::Error),
    /// Firmware must support RSA; we use nothing else.
    #[error("the certificate's key is not an RSA key")]
    NotRsa,
}

/// A certificate with an RSA key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningCertificate {
    der: Vec<u8>,
    parsed: Certificate,
}

impl SigningCertificate {
    /// Reads a PEM or DER file.
    pub fn load(path: &Path) -> Result<Self, CertificateError> {
        let bytes = std::fs::read(path).map_err(|source| CertificateError::Io { path: path.display().to_string(), source })?;
        Self::parse(&bytes)
    }

    /// Parses PEM or DER.
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        let parsed = if bytes.starts_with(b"-----") { Certificate::from_pem(bytes) } else { Certificate::from_der(bytes) };
        let parsed = parsed.map_err(CertificateError::Parse)?;
        if parsed.tbs_certificate.subject_public_key_info.algorithm.oid != RSA_ENCRYPTION {
            return Err(CertificateError::NotRsa);
        }
        let der = parsed.to_der().map_err(CertificateError::Parse)?;
        Ok(Self { der, parsed })
    }

    /// SHA-256 of the certificate in DER.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// The subject's common name, or its whole name where it has none.
    #[must_use]
    pub fn common_name(&self) -> String {
        common_name(&self.parsed.tbs_certificate.subject)
    }

    pub(super) fn parsed(&self) -> &Certificate {
        &self.parsed
    }

    /// The RSA public key as PKCS#1 has it.
    pub(super) fn public_key(&self) -> &[u8] {
        self.parsed.tbs_certificate.subject_public_key_info.subject_public_key.raw_bytes()
    }
}

pub(super) fn common_name(name: &Name) -> String {
    let mut attributes = name.0.iter().flat_map(|relative| relative.0.iter());
    let common = attributes.find(|attribute| attribute.oid == COMMON_NAME);
    common.map_or_else(|| name.to_string(), |attribute| String::from_utf8_lossy(attribute.value.value()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::Cmd;
    use crate::sign::tests::key_pair;

    #[test]
    fn pem_and_der_are_the_same_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let Some((_, pem)) = key_pair(dir.path(), "Owner of it") else { return };
        let der = Cmd::new("openssl").args(["x509", "-outform", "DER", "-in"]).arg(&pem).output().unwrap();
        let (from_pem, from_der) = (SigningCertificate::load(&pem).unwrap(), SigningCertificate::parse(&der).unwrap());
        assert_eq!(from_pem, from_der);
        assert_eq!(from_pem.common_name(), "Owner of it");
        assert_eq!(from_pem.sha256(), <[u8; 32]>::from(Sha256::digest(&der)));
        for cut in [1, der.len() / 2, der.len() - 1] {
            assert!(SigningCertificate::parse(&der[..cut]).is_err());
        }
    }

    #[test]
    fn other_files_are_refused() {
        for bytes in [&b""[..], b"hello", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &[0x30; 64]] {
            assert!(matches!(SigningCertificate::parse(bytes), Err(CertificateError::Parse(_))));
        }
        assert!(
            SigningCertificate::load(Path::new("/nonexistent"))
                .unwrap_err()
                .to_string()
                .starts_with("reading the certificate /nonexistent")
        );
    }
}
