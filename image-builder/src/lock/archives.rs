//! Where the archives live. No recipe and no lock says so: the user does, or apt on this machine knows.

use std::path::{Path, PathBuf};

use super::format::ArchiveLabel;
use crate::cmd::{Cmd, CmdError};

/// Where Debian installs the keys of its archives; the newer name first.
const KEYRINGS: &[&str] = &["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];

/// Kinds of addresses that a user may pass.
const SCHEMES: &[&str] = &["http://", "https://", "file:/", "copy:/"];

/// Why it is not known where to get packages from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchivesError {
    /// Neither the user nor apt says where an archive lives.
    #[error("apt on this machine does not know a mirror of {archive}; pass its address with {flag}")]
    Unknown {
        /// What the archive is called.
        archive: &'static str,
        /// The option to use.
        flag: &'static str,
    },
    /// The address that was passed is none.
    #[error("{address:?} is not the address of an archive: expected http://, https://, file:/ or copy:/, without spaces")]
    Address {
        /// What was passed.
        address: String,
    },
    /// The keys to check the archive with are not there.
    #[error("the keyring {path} is not there; install it with: apt-get install debian-archive-keyring, or pass another one with --keyring", path = .path.display())]
    Keyring {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// apt could not be asked.
    #[error("asking apt for its archives: {0}")]
    Apt(#[from] CmdError),
}

/// What the user says about the archives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveOptions {
    /// Base address of the main archive.
    pub mirror: Option<String>,
    /// Base address of the security archive.
    pub security_mirror: Option<String>,
    /// Keys that sign the archives.
    pub keyring: Option<PathBuf>,
}

/// Where the archives live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archives {
    debian: Option<String>,
    security: Option<String>,
    keyring: PathBuf,
}

impl Archives {
    /// Takes what the user says and asks apt for the rest.
    pub fn find(options: &ArchiveOptions) -> Result<Self, ArchivesError> {
        let own = |address: &Option<String>| address.as_deref().map(checked).transpose();
        let mut archives = Self { debian: own(&options.mirror)?, security: own(&options.security_mirror)?, keyring: keyring(options)? };
        for ask in [labelled as fn() -> _, configured] {
            if archives.debian.is_none() || archives.security.is_none() {
                for (label, address) in ask()? {
                    archives.slot(label).get_or_insert(address);
                }
            }
        }
        Ok(archives)
    }

    /// The base address of an archive, without a slash at the end.
    pub fn base(&self, label: ArchiveLabel) -> Result<&str, ArchivesError> {
        let (address, archive, flag) = match label {
            ArchiveLabel::Debian => (&self.debian, "the Debian archive", "--mirror"),
            ArchiveLabel::DebianSecurity => (&self.security, "the Debian security archive", "--security-mirror"),
        };
        address.as_deref().ok_or(ArchivesError::Unknown { archive, flag })
    }

    /// The keys that sign the archives.
    #[must_use]
    pub fn keyring(&self) -> &Path {
        &self.keyring
    }

    fn slot(&mut self, label: ArchiveLabel) -> &mut Option<String> {
        match label {
            ArchiveLabel::Debian => &mut self.debian,
            ArchiveLabel::DebianSecurity => &mut self.security,
        }
    }
}

fn keyring(options: &ArchiveOptions) -> Result<PathBuf, ArchivesError> {
    let candidates: Vec<PathBuf> = match &options.keyring {
        Some(path) => vec![path.clone()],
        None => KEYRINGS.iter().map(PathBuf::from).collect(),
    };
    let found = candidates.iter().find(|path| path.is_file()).cloned();
    found.ok_or_else(|| ArchivesError::Keyring { path: candidates.into_iter().next_back().unwrap_or_default() })
}

fn checked(address: &str) -> Result<String, ArchivesError> {
    let known = SCHEMES.iter().any(|scheme| address.strip_prefix(scheme).is_some_and(|rest| !rest.trim_matches('/').is_empty()));
    // These would end the address in apt's configuration and begin something else.
    let plain = address.chars().all(|c| c.is_ascii_graphic() && !"[]\"'`$|#".contains(c));
    if known && plain { Ok(normal(address)) } else { Err(ArchivesError::Address { address: address.to_owned() }) }
}

/// As apt writes it: one slash after `file:`, none at the end.
fn normal(address: &str) -> String {
    let address = address.trim_end_matches('/');
    for scheme in ["file:", "copy:"] {
        if let Some(path) = address.strip_prefix(scheme) {
            return format!("{scheme}/{}", path.trim_start_matches('/'));
        }
    }
    address.to_owned()
}

/// The archives whose lists apt has downloaded, by the labels that are signed in them.
fn labelled() -> Result<Vec<(ArchiveLabel, String)>, ArchivesError> {
    let text = Cmd::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)|$(ORIGIN)|$(LABEL)", "Created-By: Packages"]).text()?;
    Ok(of_labels(&text))
}

fn of_labels(text: &str) -> Vec<(ArchiveLabel, String)> {
    let archive = |line: &str| {
        let mut parts = line.split('|');
        let (address, origin, label) = (parts.next()?, parts.next()?, parts.next()?);
        match (origin, label) {
            ("Debian", "Debian") => Some((ArchiveLabel::Debian, normal(address))),
            ("Debian", "Debian-Security") => Some((ArchiveLabel::DebianSecurity, normal(address))),
            _ => None,
        }
    };
    text.lines().filter_map(archive).collect()
}

/// The archives that apt is configured for, by the last part of their address: a fresh machine has no lists yet.
fn configured() -> Result<Vec<(ArchiveLabel, String)>, ArchivesError> {
    let text = Cmd::new("apt-get").args(["-o", "Debug::NoLocking=true", "update", "--print-uris"]).text()?;
    Ok(of_addresses(&text))
}

fn of_addresses(text: &str) -> Vec<(ArchiveLabel, String)> {
    let archive = |line: &str| {
        let (address, _) = line.strip_prefix('\'')?.split_once("/dists/")?;
        match address.rsplit('/').next()? {
            "debian" => Some((ArchiveLabel::Debian, normal(address))),
            "debian-security" => Some((ArchiveLabel::DebianSecurity, normal(address))),
            _ => None,
        }
    };
    text.lines().filter_map(archive).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_told_by_their_signed_labels() {
        let text = "http://m/debian/|Debian Backports|Debian Backports\nhttp://x/|Debian|Debian\nhttp://s/sec/|Debian|Debian-Security\n\
                    https://other/debian|Other|Other\nbroken\n";
        let found = [(ArchiveLabel::Debian, "http://x".to_owned()), (ArchiveLabel::DebianSecurity, "http://s/sec".to_owned())];
        assert_eq!(of_labels(text), found);
    }

    #[test]
    fn archives_without_lists_are_told_by_their_address() {
        let text = "'http://m/debian/dists/trixie/InRelease' m_debian_dists_trixie_InRelease 0 \n\
                    'http://m/debian-security/dists/trixie-security/InRelease' x 0 \n'http://o/node/dists/nodistro/InRelease' y 0\nnoise\n";
        let found =
            [(ArchiveLabel::Debian, "http://m/debian".to_owned()), (ArchiveLabel::DebianSecurity, "http://m/debian-security".to_owned())];
        assert_eq!(of_addresses(text), found);
    }

    #[test]
    fn addresses_are_checked_and_written_one_way() {
        let table = [
            ("http://m/debian/", "http://m/debian"),
            ("https://m/debian", "https://m/debian"),
            ("file:///srv/debian/", "file:/srv/debian"),
            ("file:/srv/debian", "file:/srv/debian"),
            ("copy:/srv/debian", "copy:/srv/debian"),
        ];
        for (address, normal) in table {
            assert_eq!(checked(address).unwrap(), normal);
        }
        for address in [
            "",
            "debian",
            "/srv/debian",
            "ftp://m/debian",
            "http://",
            "http://m/a b",
            "http://m/\nTrusted: yes",
            "http://m/[trusted=yes]",
            "file:relative",
        ] {
            assert!(checked(address).is_err(), "{address}");
        }
    }

    #[test]
    fn what_the_user_says_is_used_and_apt_is_not_asked() {
        let dir = tempfile::tempdir().unwrap();
        let keyring = dir.path().join("keys.gpg");
        std::fs::write(&keyring, "").unwrap();
        let options = ArchiveOptions {
            mirror: Some("file:/a/".to_owned()),
            security_mirror: Some("file:/b".to_owned()),
            keyring: Some(keyring.clone()),
        };
        let archives = Archives::find(&options).unwrap();
        assert_eq!(archives.base(ArchiveLabel::Debian).unwrap(), "file:/a");
        assert_eq!(archives.base(ArchiveLabel::DebianSecurity).unwrap(), "file:/b");
        assert_eq!(archives.keyring(), keyring);
    }

    #[test]
    fn what_nobody_knows_names_the_option() {
        let archives = Archives { debian: None, security: None, keyring: PathBuf::new() };
        assert!(archives.base(ArchiveLabel::Debian).unwrap_err().to_string().contains("pass its address with --mirror"));
        assert!(archives.base(ArchiveLabel::DebianSecurity).unwrap_err().to_string().contains("with --security-mirror"));
    }

    #[test]
    fn a_missing_keyring_names_its_package() {
        let options = ArchiveOptions { keyring: Some(PathBuf::from("/nonexistent/keys.gpg")), ..ArchiveOptions::default() };
        let error = Archives::find(&options).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/keys.gpg") && error.contains("apt-get install debian-archive-keyring"), "{error}");
    }
}
