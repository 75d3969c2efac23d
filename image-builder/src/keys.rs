//! All keys of a fleet's owner: the Secure Boot pair and the ed25519 release keys.
//!
//! `DIR/private` never leaves the build machine (of its release keys, `snapshot` and `timestamp` go to the server as well);
//! `DIR/public` is what verifiers, firmware and images get.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{EncodePrivateKey, EncodePublicKey};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::cmd::{Cmd, CmdError};
use crate::release;

/// The TUF roles, each with an ed25519 key of its own. `root` and `targets` stay offline.
pub const RELEASE_ROLES: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];
/// Subject of the Secure Boot certificate.
const COMMON_NAME: &str = "Slipway Secure Boot";
/// Validity of the certificate, in days. Firmware ignores it; people's tools warn.
const VALID_DAYS: &str = "3650";

/// Why no keys were made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// There is something already; keys are never overwritten.
    #[error("{} already exists and keys are never overwritten; use those keys, or choose another folder (losing the old keys means that no host accepts another update)", .0.display())]
    Exists(PathBuf),
    /// A file could not be written.
    #[error("{step} {}: {source}", path.display())]
    Io {
        /// What was being done.
        step: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// openssl failed.
    #[error("making the Secure Boot certificate: {0}")]
    Openssl(#[from] CmdError),
    /// The system gave no random numbers.
    #[error("no random numbers from the system: {0}")]
    Random(getrandom::Error),
    /// A key could not be encoded.
    #[error("encoding the {role} key: {reason}")]
    Encode {
        /// TUF role.
        role: &'static str,
        /// Why.
        reason: String,
    },
    /// The first root could not be signed.
    #[error("making the first root.json: {0}")]
    Root(String),
    /// The certificate openssl wrote is not PEM.
    #[error("{} is not a PEM certificate", .0.display())]
    Certificate(PathBuf),
}

/// Makes a complete set of keys in the new folder `dir`: `private/{secure-boot.key,ROLE.pem}` (0700 and 0600) and
/// `public/{secure-boot.crt,secure-boot.guid,ROLE.pub.pem,root.json,1.root.json}`. The root's validity begins `now`.
///
/// All or nothing: they are made beside `dir` and renamed at the end.
pub fn generate(dir: &Path, now: Timestamp) -> Result<(), KeysError> {
    if dir.symlink_metadata().is_ok() {
        return Err(KeysError::Exists(dir.to_owned()));
    }
    let parent = match dir.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(failed("creating", parent))?;
    let scratch = tempfile::Builder::new().prefix(".keys-").tempdir_in(parent).map_err(failed("creating a folder in", parent))?;
    let (private, public) = (scratch.path().join("private"), scratch.path().join("public"));
    for (path, mode) in [(&private, 0o700), (&public, 0o755)] {
        fs::create_dir(path).map_err(failed("creating", path))?;
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed("protecting", path))?;
    }
    let cert = public.join("secure-boot.crt");
    secure_boot_pair(&private.join("secure-boot.key"), &cert, COMMON_NAME)?;
    write(&public.join("secure-boot.guid"), format!("{}\n", owner_guid(&certificate_sha256(&cert)?)).as_bytes(), 0o644)?;
    for role in RELEASE_ROLES {
        ReleaseKey::generate(role)?.write(&private, &public, role)?;
    }
    release::root::init(scratch.path(), release::root::ROOT_DAYS, now).map_err(|error| KeysError::Root(format!("{error:#}")))?;
    fs::set_permissions(scratch.path(), Permissions::from_mode(0o755)).map_err(failed("protecting", scratch.path()))?;
    // Without RENAME_NOREPLACE an empty folder made meanwhile would be replaced.
    match rustix::fs::renameat_with(rustix::fs::CWD, scratch.path(), rustix::fs::CWD, dir, rustix::fs::RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(rustix::io::Errno::EXIST) => return Err(KeysError::Exists(dir.to_owned())),
        Err(error) => return Err(failed("renaming the finished keys to", dir)(error.into())),
    }
    // Renamed away: there is nothing left to clean up.
    let _ = scratch.keep();
    Ok(())
}

/// An RSA-2048 key and a self-signed certificate for it, both PEM; the key file is readable by its owner only.
///
/// RSA-2048 with SHA-256 is what every UEFI firmware is required to accept.
pub(crate) fn secure_boot_pair(key: &Path, cert: &Path, common_name: &str) -> Result<(), KeysError> {
    write(key, b"", 0o600)?;
    let config = key.with_extension("cnf");
    // A configuration of our own: the system's may add anything to the certificate.
    let text = format!(
        "[req]\nprompt = no\ndistinguished_name = dn\nx509_extensions = v3\n[dn]\nCN = {common_name}\n\
         [v3]\nbasicConstraints = critical, CA:TRUE\nsubjectKeyIdentifier = hash\n"
    );
    write(&config, text.as_bytes(), 0o600)?;
    let made = Cmd::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-sha256", "-days", VALID_DAYS, "-config"])
        .arg(&config)
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(cert)
        .run();
    fs::remove_file(&config).map_err(failed("removing", &config))?;
    made?;
    fs::set_permissions(key, Permissions::from_mode(0o600)).map_err(failed("protecting", key))
}

/// The owner GUID under which the certificate is enrolled in firmware: the same for the same certificate.
#[must_use]
pub fn owner_guid(certificate_sha256: &[u8; 32]) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, certificate_sha256)
}

/// SHA-256 of the DER form of the PEM certificate at `path`.
fn certificate_sha256(path: &Path) -> Result<[u8; 32], KeysError> {
    use base64::Engine;
    let text = fs::read_to_string(path).map_err(failed("reading", path))?;
    let body: String = text
        .lines()
        .skip_while(|line| !line.starts_with("-----BEGIN CERT"))
        .skip(1)
        .take_while(|line| !line.starts_with("-----"))
        .collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap_or_default();
    if der.is_empty() {
        return Err(KeysError::Certificate(path.to_owned()));
    }
    Ok(Sha256::digest(der).into())
}

/// A new ed25519 key of a role, not yet anywhere on disk.
pub struct ReleaseKey {
    role: &'static str,
    private_pem: zeroize::Zeroizing<String>,
    /// The public half, PEM.
    pub public_pem: String,
}

impl std::fmt::Debug for ReleaseKey {
    // Never the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ReleaseKey({})", self.role)
    }
}

impl ReleaseKey {
    /// Makes one.
    pub fn generate(role: &'static str) -> Result<Self, KeysError> {
        let mut seed = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(KeysError::Random)?;
        let key = SigningKey::from_bytes(&seed);
        let encode = |reason: String| KeysError::Encode { role, reason };
        let private_pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| encode(error.to_string()))?;
        let public_pem = key.verifying_key().to_public_key_pem(LineEnding::LF).map_err(|error| encode(error.to_string()))?;
        Ok(Self { role, private_pem, public_pem })
    }

    fn write(&self, private: &Path, public: &Path, name: &str) -> Result<(), KeysError> {
        write(&private.join(format!("{name}.pem")), self.private_pem.as_bytes(), 0o600)?;
        write(&public.join(format!("{name}.pub.pem")), self.public_pem.as_bytes(), 0o644)
    }

    /// Puts it beside the role's other keys in the folder `keys`, where it can sign with them.
    pub fn stage(&self, keys: &Path) -> Result<Staged, KeysError> {
        let name = format!("{}-next", self.role);
        self.write(&keys.join("private"), &keys.join("public"), &name)?;
        Ok(Staged { name })
    }
}

/// A new key beside the ones that it is to replace.
#[derive(Debug)]
#[must_use]
pub struct Staged {
    name: String,
}

impl Staged {
    /// Makes it the role's key; the one before goes to `private/retired`, should a host be found that needs it.
    pub fn replace(self, keys: &Path, role: &str) -> Result<(), KeysError> {
        let retired = keys.join("private/retired");
        fs::create_dir_all(&retired).map_err(failed("creating", &retired))?;
        fs::set_permissions(&retired, Permissions::from_mode(0o700)).map_err(failed("protecting", &retired))?;
        let number = (1..).find(|number| !retired.join(format!("{role}.{number}.pem")).exists()).unwrap_or(1);
        for (dir, end) in [("private", "pem"), ("public", "pub.pem")] {
            let current = keys.join(dir).join(format!("{role}.{end}"));
            if current.exists() {
                rename(&current, &retired.join(format!("{role}.{number}.{end}")))?;
            }
            rename(&keys.join(dir).join(format!("{}.{end}", self.name)), &current)?;
        }
        Ok(())
    }

    /// Takes it away again.
    pub fn discard(self, keys: &Path) -> Result<(), KeysError> {
        for (dir, end) in [("private", "pem"), ("public", "pub.pem")] {
            let path = keys.join(dir).join(format!("{}.{end}", self.name));
            fs::remove_file(&path).map_err(failed("removing", &path))?;
        }
        Ok(())
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), KeysError> {
    fs::rename(from, to).map_err(failed("renaming", from))
}

/// Creates a file with `mode` before the first byte is in it.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), KeysError> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = fs::File::options().write(true).create_new(true).mode(mode).open(path).map_err(failed("creating", path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(failed("writing", path))
}

fn failed(step: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeysError {
    let path = path.to_owned();
    move |source| KeysError::Io { step, path, source }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::VerifyingKey;
    use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};

    use super::*;
    use crate::test_support::skip;

    fn generated(dir: &Path) -> bool {
        match generate(dir, Timestamp::UNIX_EPOCH) {
            Ok(()) => true,
            Err(KeysError::Openssl(error @ CmdError::Missing { .. })) => {
                skip(&error.to_string());
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn modes(dir: &Path) -> Vec<(String, u32)> {
        let mut found: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode() & 0o7777)
            })
            .collect();
        found.sort();
        found
    }

    #[test]
    fn a_set_is_complete_and_private_keys_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("new/keys");
        if !generated(&keys) {
            return;
        }
        let listed = |list: &[(&str, u32)]| list.iter().map(|(name, mode)| ((*name).to_owned(), *mode)).collect::<Vec<_>>();
        assert_eq!(modes(&keys), listed(&[("private", 0o700), ("public", 0o755)]));
        let private = ["root.pem", "secure-boot.key", "snapshot.pem", "targets.pem", "timestamp.pem"].map(|name| (name, 0o600));
        assert_eq!(modes(&keys.join("private")), listed(&private));
        let public = [
            "1.root.json",
            "root.json",
            "root.pub.pem",
            "secure-boot.crt",
            "secure-boot.guid",
            "snapshot.pub.pem",
            "targets.pub.pem",
            "timestamp.pub.pem",
        ];
        assert_eq!(modes(&keys.join("public")).into_iter().map(|(name, _)| name).collect::<Vec<_>>(), public);
        assert_eq!(modes(keys.parent().unwrap()).len(), 1, "no scratch folder is left");
        for role in RELEASE_ROLES {
            let key = SigningKey::from_pkcs8_pem(&fs::read_to_string(keys.join(format!("private/{role}.pem"))).unwrap()).unwrap();
            let public =
                VerifyingKey::from_public_key_pem(&fs::read_to_string(keys.join(format!("public/{role}.pub.pem"))).unwrap()).unwrap();
            assert_eq!(key.verifying_key(), public);
        }
        let guid: Uuid = fs::read_to_string(keys.join("public/secure-boot.guid")).unwrap().trim().parse().unwrap();
        assert_eq!(guid.get_version_num(), 5);
        let text = Cmd::new("openssl").args(["x509", "-noout", "-subject", "-in"]).arg(keys.join("public/secure-boot.crt")).text().unwrap();
        assert!(text.contains("Slipway Secure Boot"), "{text}");
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let taken = [dir.path().join("folder"), dir.path().join("file"), dir.path().join("dangling")];
        fs::create_dir(&taken[0]).unwrap();
        fs::write(&taken[1], "precious").unwrap();
        std::os::unix::fs::symlink("nowhere", &taken[2]).unwrap();
        for path in &taken {
            let error = generate(path, Timestamp::UNIX_EPOCH).unwrap_err();
            assert!(matches!(&error, KeysError::Exists(named) if named == path), "{error}");
            assert!(error.to_string().contains("choose another folder"));
        }
        assert_eq!(fs::read(&taken[1]).unwrap(), b"precious");
    }

    #[test]
    fn the_owner_guid_follows_the_certificate() {
        assert_eq!(owner_guid(&[1; 32]), owner_guid(&[1; 32]));
        assert_ne!(owner_guid(&[1; 32]), owner_guid(&[2; 32]));
    }
}
