//! Authenticode: signing through osslsigncode of the tools tree; verification by our own code in [`authenticode`].

pub mod authenticode;
pub mod certificate;

use std::path::Path;

use crate::cmd::CmdError;
use crate::tools::Tools;
pub use authenticode::{SignatureError, Signer};
pub use certificate::{CertificateError, SigningCertificate};

/// Signs the PE file `input` with an RSA key and its certificate (both PEM) and writes the result to `output`.
///
/// `unix_time` (seconds) becomes the signing time, so that the same input gives the same bytes: RSA with PKCS#1 v1.5 padding has no
/// randomness of its own. An existing `output` is replaced.
pub fn sign_pe(tools: &Tools, key: &Path, cert: &Path, unix_time: i64, input: &Path, output: &Path) -> Result<(), CmdError> {
    if output.exists() {
        // osslsigncode refuses to write over a file; a leftover of an interrupted build must not stop this one.
        std::fs::remove_file(output).map_err(|source| CmdError::Io { program: "osslsigncode".into(), source })?;
    }
    tools
        .cmd("osslsigncode")
        .args(["sign", "-h", "sha256"])
        .args(["-time", &unix_time.to_string()])
        .arg("-certs")
        .arg(cert)
        .arg("-key")
        .arg(key)
        .arg("-in")
        .arg(input)
        .arg("-out")
        .arg(output)
        .run()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::test_support::{skip, tools};
    use crate::uki::assemble::tests::tiny_stub;

    /// A signing key and certificate of its own, or `None` where openssl is not installed.
    pub(crate) fn key_pair(dir: &Path, name: &str) -> Option<(PathBuf, PathBuf)> {
        let (key, cert) = (dir.join(format!("{name}.key")), dir.join(format!("{name}.crt")));
        match crate::keys::secure_boot_pair(&key, &cert, name) {
            Ok(()) => Some((key, cert)),
            Err(error) => {
                skip(&error.to_string());
                None
            }
        }
    }

    #[test]
    fn signing_twice_gives_the_same_bytes() {
        let Some(tools) = tools(&["usr/bin/osslsigncode"]) else { return };
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let Some((key, cert)) = key_pair(dir.path(), "test") else { return };
        std::fs::write(path("in"), crate::uki::addon(&tiny_stub(), "slot=a").unwrap()).unwrap();
        for out in ["first", "second"] {
            std::fs::write(path(out), "left over").unwrap();
            sign_pe(&tools, &key, &cert, 1_700_000_000, &path("in"), &path(out)).unwrap();
        }
        sign_pe(&tools, &key, &cert, 1_700_000_001, &path("in"), &path("later")).unwrap();
        let read = |name| std::fs::read(path(name)).unwrap();
        assert!(read("first") == read("second"), "same time, same bytes");
        assert!(read("first") != read("later"), "the time is part of the signature");
        assert!(read("first").len() > read("in").len());
    }

    #[test]
    fn a_file_that_is_not_pe_is_refused() {
        let Some(tools) = tools(&["usr/bin/osslsigncode"]) else { return };
        let dir = tempfile::tempdir().unwrap();
        let Some((key, cert)) = key_pair(dir.path(), "test") else { return };
        std::fs::write(dir.path().join("in"), [0; 4096]).unwrap();
        assert!(sign_pe(&tools, &key, &cert, 0, &dir.path().join("in"), &dir.path().join("out")).is_err());
        assert!(!dir.path().join("out").exists());
    }
}
