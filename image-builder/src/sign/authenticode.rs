//! Verifies Authenticode signatures without external programs, and more strictly than firmware does.
//!
//! Follows Microsoft's "Windows Authenticode Portable Executable Signature Format". Beyond it, nothing of the file may lie outside of
//! what the signature covers: sections without gaps, one signature, no unsigned attributes, no foreign certificates, no spare bytes.
//! So a single changed byte anywhere in the file is found.

use authenticode::{AttributeCertificateIterator, AuthenticodeSignature, PeOffsetError, PeOffsets, PeTrait};
use cms_old::cert::CertificateChoices;
use cms_old::content_info::ContentInfo;
use cms_old::signed_data::{SignedData, SignerIdentifier};
use der_old::asn1::{ObjectIdentifier, OctetStringRef};
use der_old::{Decode, Encode, SliceReader};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use sha2::{Digest, Sha256};

use super::certificate::{RSA_ENCRYPTION, SigningCertificate, common_name};
use crate::uki::pe::Pe;

const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
/// Certificate tables are padded to this many bytes.
const TABLE_ALIGNMENT: usize = 8;
/// Length of a `WIN_CERTIFICATE` header, in bytes.
const WIN_CERT_BYTES: usize = 8;

/// Why a PE file does not count as signed by the given certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is no signature.
    #[error("it is not signed")]
    Unsigned,
    /// A signature of someone else.
    #[error("it is signed by another certificate: {0}")]
    AnotherCertificate(String),
    /// The bytes are not those that were signed.
    #[error("its content was changed after signing")]
    ContentChanged,
    /// The signed statement about the content, or the signature over it, was changed.
    #[error("its signature value is wrong")]
    SignatureWrong,
    /// The file or its signature has a form that we do not write and cannot judge.
    #[error("its signature is malformed: {0}")]
    Malformed(String),
}

/// Who a signature claims to be from. Nothing about it has been checked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signer {
    /// Common name of the signing certificate.
    pub common_name: String,
    /// SHA-256 of the signing certificate, in hex; empty if the signature does not contain it.
    pub certificate_sha256: String,
}

/// Who claims to have signed `pe`; `None` for an unsigned file.
pub fn signer(pe: &Pe<'_>) -> Result<Option<Signer>, SignatureError> {
    match signature(pe) {
        Ok(signature) => Ok(Some(claimed(&signature))),
        Err(SignatureError::Unsigned) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Checks that `pe` as it is was signed with the key of `certificate`.
pub fn verify(pe: &Pe<'_>, certificate: &SigningCertificate) -> Result<(), SignatureError> {
    check_coverage(pe)?;
    let signature = signature(pe)?;
    check_shape(&signature)?;
    let digest = digest(pe)?;
    let by_other = || SignatureError::AnotherCertificate(describe(&claimed(&signature)));
    match signature.certificates().as_slice() {
        [embedded] if *embedded == certificate.parsed() => {}
        _ => return Err(by_other()),
    }
    let signer = signature.inner.signer_info();
    let tbs = &certificate.parsed().tbs_certificate;
    match &signer.sid {
        SignerIdentifier::IssuerAndSerialNumber(id) if id.issuer == tbs.issuer && id.serial_number == tbs.serial_number => {}
        _ => return Err(by_other()),
    }
    let attributes = signer.signed_attrs.as_ref().ok_or_else(|| malformed("no signed attributes"))?;
    let signed = attributes.to_der().map_err(|error| malformed(&error.to_string()))?;
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, certificate.public_key());
    key.verify(&signed, signature.inner.signature()).map_err(|_| SignatureError::SignatureWrong)?;
    let one = |oid| {
        let mut values = attributes.iter().filter(|attribute| attribute.oid == oid).flat_map(|attribute| attribute.values.iter());
        values.next().filter(|_| values.next().is_none())
    };
    let content_type = one(CONTENT_TYPE).and_then(|value| value.decode_as::<ObjectIdentifier>().ok());
    let stated = one(MESSAGE_DIGEST).and_then(|value| value.to_der().ok());
    let stated = stated.as_deref().and_then(|der| OctetStringRef::from_der(der).ok()).map(|octets| octets.as_bytes());
    let content = signature.inner.encapsulated_content().unwrap_or_default();
    if content_type != Some(authenticode::SPC_INDIRECT_DATA_OBJID) || stated != Some(&Sha256::digest(content)[..]) {
        return Err(SignatureError::SignatureWrong);
    }
    if signature.inner.digest_algorithm().oid != SHA256 || signature.inner.digest() != digest {
        return Err(SignatureError::ContentChanged);
    }
    check_checksum(pe)
}

/// The Authenticode digest (SHA-256) of a PE file.
pub fn digest(pe: &Pe<'_>) -> Result<[u8; 32], SignatureError> {
    struct Hasher(Sha256);
    impl digest_old::Update for Hasher {
        fn update(&mut self, data: &[u8]) {
            Digest::update(&mut self.0, data);
        }
    }
    let mut hasher = Hasher(Sha256::new());
    authenticode::authenticode_digest(&View(pe), &mut hasher).map_err(|_| malformed("its sections reach outside of the file"))?;
    Ok(hasher.0.finalize().into())
}

/// Our parser under the name that `authenticode` knows.
struct View<'a>(&'a Pe<'a>);

impl PeTrait for View<'_> {
    fn data(&self) -> &[u8] {
        self.0.data()
    }

    fn num_sections(&self) -> usize {
        self.0.sections().len()
    }

    fn section_data_range(&self, index: usize) -> Result<std::ops::Range<usize>, PeOffsetError> {
        self.0.sections().get(index.wrapping_sub(1)).map(crate::uki::Section::raw).ok_or(PeOffsetError)
    }

    fn certificate_table_range(&self) -> Result<Option<std::ops::Range<usize>>, PeOffsetError> {
        self.0.certificate_table().map_err(|_| PeOffsetError)
    }

    fn offsets(&self) -> Result<PeOffsets, PeOffsetError> {
        let (check_sum, security_data_dir) = (self.0.checksum_offset(), self.0.security_directory().ok_or(PeOffsetError)?);
        let after_header = self.0.headers_bytes() as usize;
        Ok(PeOffsets {
            check_sum,
            after_check_sum: check_sum + 4,
            security_data_dir,
            after_security_data_dir: security_data_dir + 8,
            after_header,
        })
    }
}

/// A signature, once as the Authenticode crate has it and once as plain CMS.
struct Signature {
    inner: AuthenticodeSignature,
    signed: SignedData,
}

impl Signature {
    /// The X.509 certificates inside the signature. (The crate's own accessor panics when there is none.)
    fn certificates(&self) -> Vec<&x509_old::Certificate> {
        let all = self.signed.certificates.iter().flat_map(|set| set.0.iter());
        all.filter_map(|choice| match choice {
            CertificateChoices::Certificate(certificate) => Some(certificate),
            CertificateChoices::Other(_) => None,
        })
        .collect()
    }
}

/// The only signature of the file; the certificate table must be its last part and hold nothing else.
fn signature(pe: &Pe<'_>) -> Result<Signature, SignatureError> {
    let table = pe.certificate_table().map_err(|error| malformed(&error.to_string()))?.ok_or(SignatureError::Unsigned)?;
    if table.end != pe.data().len() {
        return Err(malformed("the certificate table is not at the end of the file"));
    }
    let view = View(pe);
    let mut certificates = match AttributeCertificateIterator::new(&view) {
        Ok(Some(certificates)) => certificates,
        Ok(None) => return Err(SignatureError::Unsigned),
        Err(error) => return Err(malformed(&error.to_string())),
    };
    let first =
        certificates.next().ok_or_else(|| malformed("the certificate table is empty"))?.map_err(|error| malformed(&error.to_string()))?;
    if certificates.next().is_some() {
        return Err(malformed("more than one signature"));
    }
    let inner = first.get_authenticode_signature().map_err(|error| malformed(&error.to_string()))?;
    let mut reader = SliceReader::new(first.data).map_err(|error| malformed(&error.to_string()))?;
    let info = ContentInfo::decode(&mut reader).map_err(|error| malformed(&error.to_string()))?;
    let signed = info.content.decode_as::<SignedData>().map_err(|error| malformed(&error.to_string()))?;
    // Inside the PKCS#7 structure and behind it nothing may hide: it is exactly what its parts encode to, and then padding.
    let der = info.to_der().map_err(|error| malformed(&error.to_string()))?;
    let again = signed.to_der().map_err(|error| malformed(&error.to_string()))?;
    if !first.data.starts_with(&der) || info.content.to_der().ok() != Some(again) {
        return Err(malformed("it is not in canonical form"));
    }
    let padding = &pe.data()[table.start + WIN_CERT_BYTES + der.len()..table.end];
    if padding.len() >= TABLE_ALIGNMENT || padding.iter().any(|byte| *byte != 0) {
        return Err(malformed("bytes behind the signature"));
    }
    Ok(Signature { inner, signed })
}

/// Everything of the structure that the signature itself does not cover must be as we write it.
fn check_shape(signature: &Signature) -> Result<(), SignatureError> {
    let signer = signature.inner.signer_info();
    let null = |algorithm: &x509_old::spki::AlgorithmIdentifierOwned| algorithm.parameters.as_ref().is_none_or(der_old::asn1::Any::is_null);
    if signer.digest_alg.oid != SHA256 || !null(&signer.digest_alg) {
        return Err(malformed("the digest is not SHA-256"));
    }
    if ![RSA_ENCRYPTION, SHA256_WITH_RSA].contains(&signer.signature_algorithm.oid) || !null(&signer.signature_algorithm) {
        return Err(malformed("the signature algorithm is not RSA with SHA-256"));
    }
    if signer.unsigned_attrs.is_some() || signature.signed.crls.is_some() {
        return Err(malformed("it has unsigned parts"));
    }
    Ok(())
}

/// The digest follows the sections; gaps between them would let bytes change unseen.
fn check_coverage(pe: &Pe<'_>) -> Result<(), SignatureError> {
    let mut end = pe.headers_bytes() as usize;
    for section in pe.sections().iter().filter(|section| section.raw_size > 0) {
        if section.raw().start != end {
            return Err(malformed(&format!("section {} does not follow the part before it", section.name)));
        }
        end = section.raw().end;
    }
    let table = pe.certificate_table().map_err(|error| malformed(&error.to_string()))?;
    match table {
        Some(table) if table.start < end => Err(malformed("the certificate table overlaps a section")),
        _ => Ok(()),
    }
}

/// The checksum is outside of the digest: it must be absent or right.
fn check_checksum(pe: &Pe<'_>) -> Result<(), SignatureError> {
    let (data, at) = (pe.data(), pe.checksum_offset());
    let stored = u32::from_le_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]]);
    let mut sum = 0_u32;
    for (index, pair) in data.chunks(2).enumerate() {
        if !(at..at + 4).contains(&(2 * index)) {
            sum += u32::from(pair[0]) | u32::from(pair.get(1).copied().unwrap_or(0)) << 8;
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    let expected = (sum & 0xffff) + (sum >> 16) + data.len() as u32;
    if stored == 0 || stored == expected { Ok(()) } else { Err(malformed("the checksum in its header is wrong")) }
}

fn claimed(signature: &Signature) -> Signer {
    let SignerIdentifier::IssuerAndSerialNumber(id) = &signature.inner.signer_info().sid else {
        return Signer { common_name: "a certificate without a name".into(), certificate_sha256: String::new() };
    };
    let own = signature.certificates().into_iter().find(|certificate| {
        certificate.tbs_certificate.serial_number == id.serial_number && certificate.tbs_certificate.issuer == id.issuer
    });
    match own {
        Some(certificate) => Signer {
            common_name: common_name(&certificate.tbs_certificate.subject),
            certificate_sha256: certificate.to_der().map(|der| hex::encode(Sha256::digest(der))).unwrap_or_default(),
        },
        None => Signer { common_name: common_name(&id.issuer), certificate_sha256: String::new() },
    }
}

fn describe(signer: &Signer) -> String {
    if signer.certificate_sha256.is_empty() {
        return format!("`{}`", signer.common_name);
    }
    format!("`{}` (SHA-256 {})", signer.common_name, signer.certificate_sha256)
}

fn malformed(reason: &str) -> SignatureError {
    SignatureError::Malformed(reason.to_owned())
}

#[cfg(test)]
mod tests;
