//! Writes the variable store of a machine that enforces Secure Boot with one certificate of our own.
//!
//! The certificate becomes platform key, key-exchange key and the only entry of `db`, so that nothing signed by anyone
//! else runs. The layout is EDK2's authenticated variable store: a firmware volume header, a store header, and then
//! variables back to back, each aligned to four bytes. Flash that was never written reads as 0xff.
//!
//! Formats: UEFI specification 2.10, 32.4 (signature lists); EDK2 `Guid/VariableFormat.h` (store and variable headers).

use std::path::{Path, PathBuf};

use base64::Engine;
use uuid::{Uuid, uuid};

const FIRMWARE_VOLUME_HEADER_SIZE_AT: usize = 0x30;
const AUTHENTICATED_STORE: Uuid = uuid!("aaf32c78-947b-439a-a180-2e144ec37792");
/// Store GUID, size, format, state, two reserved fields.
const STORE_HEADER_BYTES: usize = 28;
/// Start marker, state, attributes, counter, time, key index, name and data size, vendor GUID.
const VARIABLE_HEADER_BYTES: usize = 60;
const VARIABLE_START: u16 = 0x55aa;
/// `VAR_ADDED`: the variable is valid and complete.
const STATE_ADDED: u8 = 0x3f;
const VARIABLE_ALIGNMENT: usize = 4;

/// Non-volatile, visible to boot services.
const BOOT: u32 = 0x03;
/// Non-volatile, visible to boot services and the running system, changed only by signed and dated updates.
const AUTHENTICATED: u32 = 0x27;
/// `EFI_TIME` of the keys: 2020-01-01. Anything older than a later signed update will do; fixed, so that the same
/// certificate gives the same bytes.
const KEY_TIME: [u8; 16] = [0xe4, 0x07, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const NO_TIME: [u8; 16] = [0; 16];

const GLOBAL_VARIABLE: Uuid = uuid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
const IMAGE_SECURITY_DATABASE: Uuid = uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");
const SECURE_BOOT_ENABLE: Uuid = uuid!("f0a30bc7-af08-4556-99c4-001009c93a44");
const CERT_X509: Uuid = uuid!("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
/// Names the owner of the entries in signature lists; has no meaning to firmware.
const OWNER: Uuid = uuid!("5c1a3f0e-7d0b-5b52-9d5e-2f0c8a6f4b11");

/// Where the certificate is in a keys directory: as `keygen` lays it out, or in the public half alone.
const CERTIFICATE_PLACES: &[&str] = &["public/secure-boot.crt", "secure-boot.crt"];
const PEM_BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const PEM_END: &str = "-----END CERTIFICATE-----";

/// Why no variable store was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecureBootError {
    /// A file could not be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The keys directory holds no certificate.
    #[error("{} holds no {}; image-builder keygen makes one", dir.display(), CERTIFICATE_PLACES[0])]
    NoCertificate {
        /// The directory.
        dir: PathBuf,
    },
    /// The certificate file is not PEM.
    #[error("{} is no PEM certificate", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
    },
    /// The template is not a store we know.
    #[error("the firmware's variable template is no authenticated EDK2 variable store ({0})")]
    Template(&'static str),
    /// The keys do not fit.
    #[error("the certificate is too large for the firmware's variable store")]
    Full,
}

/// The DER bytes of the Secure Boot certificate in a directory made by `image-builder keygen`.
pub fn certificate_in(dir: &Path) -> Result<Vec<u8>, SecureBootError> {
    let found = CERTIFICATE_PLACES.iter().map(|place| dir.join(place)).find(|path| path.is_file());
    certificate(&found.ok_or_else(|| SecureBootError::NoCertificate { dir: dir.to_owned() })?)
}

/// The DER bytes of the certificate in a PEM file.
pub fn certificate(path: &Path) -> Result<Vec<u8>, SecureBootError> {
    let text = std::fs::read_to_string(path).map_err(|source| SecureBootError::Read { path: path.to_owned(), source })?;
    pem_body(&text).ok_or_else(|| SecureBootError::Pem { path: path.to_owned() })
}

fn pem_body(text: &str) -> Option<Vec<u8>> {
    let body = text.split_once(PEM_BEGIN)?.1.split_once(PEM_END)?.0;
    let packed: String = body.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(packed).ok()
}

/// Fills a copy of the firmware's empty variable store so that only what `certificate_der` signed will run.
pub fn enroll(template: &[u8], certificate_der: &[u8]) -> Result<Vec<u8>, SecureBootError> {
    let list = signature_list(certificate_der);
    let mut store = Store::open(template.to_vec())?;
    store.append("PK", GLOBAL_VARIABLE, AUTHENTICATED, KEY_TIME, &list)?;
    store.append("KEK", GLOBAL_VARIABLE, AUTHENTICATED, KEY_TIME, &list)?;
    store.append("db", IMAGE_SECURITY_DATABASE, AUTHENTICATED, KEY_TIME, &list)?;
    store.append("SecureBootEnable", SECURE_BOOT_ENABLE, BOOT, NO_TIME, &[1])?;
    Ok(store.bytes)
}

/// An `EFI_SIGNATURE_LIST` with one X.509 certificate.
fn signature_list(der: &[u8]) -> Vec<u8> {
    let entry = 16 + der.len();
    let mut list = CERT_X509.to_bytes_le().to_vec();
    for field in [28 + entry, 0, entry] {
        list.extend_from_slice(&(field as u32).to_le_bytes());
    }
    list.extend_from_slice(&OWNER.to_bytes_le());
    list.extend_from_slice(der);
    list
}

/// A variable store under construction.
struct Store {
    bytes: Vec<u8>,
    /// Where the next variable goes.
    free: usize,
    /// First byte after the store.
    end: usize,
}

impl Store {
    fn open(bytes: Vec<u8>) -> Result<Self, SecureBootError> {
        let short = SecureBootError::Template("too short");
        if bytes.get(0x28..0x2c) != Some(b"_FVH") {
            return Err(SecureBootError::Template("no firmware volume"));
        }
        let header = usize::from(u16_at(&bytes, FIRMWARE_VOLUME_HEADER_SIZE_AT).ok_or(short)?);
        if bytes.get(header..header + 16) != Some(AUTHENTICATED_STORE.to_bytes_le().as_slice()) {
            return Err(SecureBootError::Template("another kind of store"));
        }
        let size = u32_at(&bytes, header + 16).ok_or(SecureBootError::Template("too short"))? as usize;
        let end = header + size;
        if end > bytes.len() {
            return Err(SecureBootError::Template("store larger than the file"));
        }
        let mut store = Self { bytes, free: header + STORE_HEADER_BYTES, end };
        while let Some(next) = store.variable_end(store.free) {
            store.free = next;
        }
        Ok(store)
    }

    /// Where the variable at `at` ends, if there is one.
    fn variable_end(&self, at: usize) -> Option<usize> {
        if at + VARIABLE_HEADER_BYTES > self.end || u16_at(&self.bytes, at)? != VARIABLE_START {
            return None;
        }
        let name = u32_at(&self.bytes, at + 36)? as usize;
        let data = u32_at(&self.bytes, at + 40)? as usize;
        let end = at.checked_add(VARIABLE_HEADER_BYTES)?.checked_add(name)?.checked_add(data)?.next_multiple_of(VARIABLE_ALIGNMENT);
        (end <= self.end).then_some(end)
    }

    fn append(&mut self, name: &str, vendor: Uuid, attributes: u32, time: [u8; 16], data: &[u8]) -> Result<(), SecureBootError> {
        let name: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let mut variable = VARIABLE_START.to_le_bytes().to_vec();
        variable.extend_from_slice(&[STATE_ADDED, 0]);
        variable.extend_from_slice(&attributes.to_le_bytes());
        variable.extend_from_slice(&0_u64.to_le_bytes());
        variable.extend_from_slice(&time);
        variable.extend_from_slice(&0_u32.to_le_bytes());
        variable.extend_from_slice(&(name.len() as u32).to_le_bytes());
        variable.extend_from_slice(&(data.len() as u32).to_le_bytes());
        variable.extend_from_slice(&vendor.to_bytes_le());
        debug_assert_eq!(variable.len(), VARIABLE_HEADER_BYTES);
        variable.extend_from_slice(&name);
        variable.extend_from_slice(data);
        let end = self.free + variable.len();
        // Firmware keeps room of its own for housekeeping variables; a store filled to the brim would not boot.
        if end > self.free + (self.end - self.free) / 2 {
            return Err(SecureBootError::Full);
        }
        self.bytes[self.free..end].copy_from_slice(&variable);
        self.free = end.next_multiple_of(VARIABLE_ALIGNMENT);
        Ok(())
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty store of `size` bytes, laid out as OVMF ships it.
    fn template(size: u32) -> Vec<u8> {
        let mut bytes = vec![0xff; 0x48 + size as usize];
        bytes[..0x48].fill(0);
        bytes[0x28..0x2c].copy_from_slice(b"_FVH");
        bytes[0x30..0x32].copy_from_slice(&0x48_u16.to_le_bytes());
        bytes[0x48..0x58].copy_from_slice(&AUTHENTICATED_STORE.to_bytes_le());
        bytes[0x58..0x5c].copy_from_slice(&size.to_le_bytes());
        bytes[0x5c..0x64].copy_from_slice(&[0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    fn names(bytes: &[u8]) -> Vec<String> {
        let store = Store::open(bytes.to_vec()).unwrap();
        let mut at = 0x64;
        let mut names = Vec::new();
        while let Some(end) = store.variable_end(at) {
            let length = u32_at(bytes, at + 36).unwrap() as usize;
            let units: Vec<u16> =
                bytes[at + 60..at + 60 + length - 2].chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
            names.push(String::from_utf16(&units).unwrap());
            at = end;
        }
        names
    }

    #[test]
    fn an_enrolled_store_holds_the_keys_and_the_switch() {
        let enrolled = enroll(&template(0x2000), &[7; 301]).unwrap();
        assert_eq!(names(&enrolled), ["PK", "KEK", "db", "SecureBootEnable"]);
        assert_eq!(enrolled.len(), template(0x2000).len());
        assert_eq!(enrolled, enroll(&template(0x2000), &[7; 301]).unwrap());
    }

    #[test]
    fn the_signature_list_names_its_sizes() {
        let list = signature_list(&[7; 100]);
        assert_eq!(list.len(), 144);
        assert_eq!((u32_at(&list, 16), u32_at(&list, 20), u32_at(&list, 24)), (Some(144), Some(0), Some(116)));
        assert_eq!(&list[44..], [7; 100]);
    }

    #[test]
    fn refuses_what_is_no_variable_store_and_what_does_not_fit() {
        assert!(matches!(enroll(b"", b"x"), Err(SecureBootError::Template(_))));
        assert!(matches!(enroll(&[0; 4096], b"x"), Err(SecureBootError::Template(_))));
        let mut cut = template(0x2000);
        cut.truncate(0x1000);
        assert!(matches!(enroll(&cut, b"x"), Err(SecureBootError::Template(_))));
        assert!(matches!(enroll(&template(0x1000), &[7; 4000]), Err(SecureBootError::Full)));
    }

    #[test]
    fn finds_the_certificate_where_keygen_puts_it() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(certificate_in(dir.path()), Err(SecureBootError::NoCertificate { .. })));
        std::fs::create_dir(dir.path().join("public")).unwrap();
        let path = dir.path().join("public/secure-boot.crt");
        std::fs::write(&path, "no certificate").unwrap();
        assert!(matches!(certificate_in(dir.path()), Err(SecureBootError::Pem { .. })));
        std::fs::write(&path, format!("{PEM_BEGIN}\nAQID\n{PEM_END}\n")).unwrap();
        assert_eq!(certificate_in(dir.path()).unwrap(), [1, 2, 3]);
        assert_eq!(certificate_in(&dir.path().join("public")).unwrap(), [1, 2, 3]);
    }
}
