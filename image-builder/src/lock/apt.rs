//! The host's apt with a configuration of its own: it sees our archives, our keys and an empty system, and nothing
//! of this machine but its proxies.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::archives::{Archives, ArchivesError};
use super::format::ArchiveLabel;
use super::index::Index;
use crate::cmd::{Cmd, CmdError, Transcript};
use crate::store::{Store, StoreError};

/// Downloads and decompresses with apt's own transports and proxy settings; not on the PATH.
const APT_HELPER: &str = "/usr/lib/apt/apt-helper";

/// Settings of the host that decide how to reach a server. Everything else of the host (hooks, pins, other
/// archives, recommended packages) must not shape a lock.
const HOST_SETTINGS: &[&str] = &["Acquire::http::", "Acquire::https::", "Acquire::Retries", "Acquire::ForceIPv4", "Acquire::ForceIPv6"];

/// The system that apt believes to be installed. Kernels depend on a program that makes an initrd; the builder makes
/// its own, so that dependency is met beforehand.
const STATUS: &str = "Package: slipway-initrd\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\
                      Maintainer: Slipway\nProvides: linux-initramfs-tool\nDescription: the initrd that image-builder makes\n";

/// What went wrong with the private apt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AptError {
    /// Its folder could not be made.
    #[error("preparing apt in {path}: {source}", path = .path.display())]
    Prepare {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// apt's configuration cannot express the path of the cache.
    #[error("apt cannot work in {path}, because of the space or quote in its name; set SLIPWAY_CACHE to another folder", path = .path.display())]
    AwkwardPath {
        /// The folder.
        path: PathBuf,
    },
    /// apt could not be run.
    #[error(transparent)]
    Cmd(#[from] CmdError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not known where the archives live.
    #[error(transparent)]
    Archives(#[from] ArchivesError),
}

/// Which of the two systems is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum System {
    /// The image: exclusions apply, the initrd is ours.
    Image,
    /// The tools tree: an empty system.
    Tools,
}

/// A private apt in a temporary folder.
#[derive(Debug)]
pub(super) struct Apt {
    dir: TempDir,
}

impl Apt {
    /// An apt that can only download.
    pub(super) fn for_downloads(store: &Store) -> Result<Self, AptError> {
        let apt = Self { dir: store.temp_dir()? };
        let dir = apt.dir.path();
        let awkward = |c: char| c.is_whitespace() || c.is_control() || "\"'\\;{}[]".contains(c);
        if dir.to_str().is_none_or(|path| path.contains(awkward)) {
            return Err(AptError::AwkwardPath { path: dir.to_owned() });
        }
        for part in ["lists/partial", "cache/archives/partial", "etc", "download"] {
            let path = dir.join(part);
            fs::create_dir_all(&path).map_err(|source| AptError::Prepare { path, source })?;
        }
        let host = Cmd::new("apt-config").arg("dump").text()?;
        apt.write("apt.conf", &configuration(dir, &host))?;
        apt.write("empty-status", "")?;
        apt.write("status", STATUS)?;
        Ok(apt)
    }

    /// An apt that knows the suites of `archives` and never installs what is in `exclude`.
    pub(super) fn for_suites(
        store: &Store,
        archives: &Archives,
        suites: &[&str],
        components: &[&str],
        exclude: &[&str],
    ) -> Result<Self, AptError> {
        let apt = Self::for_downloads(store)?;
        let key = fs::read(archives.keyring()).map_err(|source| AptError::Prepare { path: archives.keyring().to_owned(), source })?;
        // apt tells the two forms of a keyring by the name of the file.
        let armoured = key.starts_with(b"-----BEGIN");
        let keyring = apt.dir.path().join(if armoured { "keyring.asc" } else { "keyring.gpg" });
        fs::write(&keyring, key).map_err(|source| AptError::Prepare { path: keyring.clone(), source })?;
        let mut sources = String::new();
        for suite in suites {
            let base = archives.base(ArchiveLabel::of_suite(suite))?;
            sources.push_str(&format!("deb [signed-by={}] {base} {suite} {}\n", keyring.display(), components.join(" ")));
        }
        apt.write("sources.list", &sources)?;
        let pins: Vec<String> = exclude.iter().map(|name| format!("Package: {name}\nPin: release *\nPin-Priority: -1\n")).collect();
        apt.write("preferences", &pins.join("\n"))?;
        Ok(apt)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), AptError> {
        let path = self.dir.path().join(name);
        fs::write(&path, text).map_err(|source| AptError::Prepare { path, source })
    }

    fn cmd(&self, program: &str) -> Cmd {
        Cmd::new(program).env("APT_CONFIG", self.dir.path().join("apt.conf"))
    }

    /// Downloads the package lists and checks their signatures.
    pub(super) fn update(&self) -> Result<Transcript, CmdError> {
        // Not quieter than this: why a suite could not be had would be missing.
        self.cmd("apt-get").args(["-q", "update"]).transcript()
    }

    /// Works out what has to be installed for `names`; each line of the output begins with a quoted address.
    pub(super) fn plan(&self, system: System, names: &[&str]) -> Result<Transcript, CmdError> {
        // Not quieter than this: the explanation of a conflict would be missing.
        let cmd = self.cmd("apt-get").args(["-q", "--print-uris"]);
        let cmd = match system {
            System::Image => cmd,
            System::Tools => {
                let status = self.dir.path().join("empty-status");
                cmd.arg("-o").arg(format!("Dir::State::status={}", status.display())).args(["-o", "Dir::Etc::Preferences=/dev/null"])
            }
        };
        cmd.arg("install").args(names).transcript()
    }

    /// Reads the package lists.
    pub(super) fn index(&self) -> Result<Index, CmdError> {
        let lists = self.cmd("apt-get").args(["indextargets", "--format", "$(RELEASE)|$(FILENAME)", "Created-By: Packages"]).text()?;
        let mut index = Index::default();
        for (suite, file) in lists.lines().filter_map(|line| line.split_once('|')) {
            let list = self.cmd(APT_HELPER).arg("cat-file").arg(file).text()?;
            index.add(ArchiveLabel::of_suite(suite), &list);
        }
        Ok(index)
    }

    /// When the newest of the suites was signed, in seconds since 1970.
    pub(super) fn newest_signature(&self) -> Result<i64, AptError> {
        let dir = self.dir.path().join("lists");
        let failed = |source| AptError::Prepare { path: dir.clone(), source };
        let mut newest = None;
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.to_string_lossy().ends_with("Release") {
                newest = newest.max(signing_date(&fs::read_to_string(&path).map_err(failed)?));
            }
        }
        newest.ok_or_else(|| failed(io::Error::other("no suite says when it was signed")))
    }

    /// Where downloads go.
    pub(super) fn downloads(&self) -> PathBuf {
        self.dir.path().join("download")
    }

    /// Downloads each address to its target; apt checks the SHA-256 too.
    pub(super) fn download<'a>(&self, files: impl IntoIterator<Item = (&'a str, &'a Path, &'a str)>) -> Result<Transcript, CmdError> {
        let mut cmd = self.cmd(APT_HELPER).dir(self.downloads()).arg("download-file");
        for (address, target, sha256) in files {
            cmd = cmd.arg(address).arg(target).arg(format!("SHA256:{sha256}"));
        }
        cmd.transcript()
    }
}

/// The `Date:` of a Release file.
fn signing_date(release: &str) -> Option<i64> {
    let date = release.lines().find_map(|line| line.strip_prefix("Date: "))?;
    // RFC 2822 knows the old name of the zone only.
    let date = date.trim().replace("UTC", "GMT");
    Some(jiff::fmt::rfc2822::parse(&date).ok()?.timestamp().as_second())
}

/// The whole configuration; nothing is read from the host's files.
fn configuration(dir: &Path, host: &str) -> String {
    let dir = dir.display();
    let wanted = |line: &&str| HOST_SETTINGS.iter().any(|prefix| line.starts_with(prefix)) && line.ends_with("\";");
    let host: String = host.lines().filter(wanted).map(|line| format!("{line}\n")).collect();
    format!(
        "Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\n\
         Dir::State \"{dir}\";\nDir::State::lists \"{dir}/lists\";\nDir::State::status \"{dir}/status\";\nDir::Cache \"{dir}/cache\";\n\
         Dir::Etc \"{dir}/etc\";\nDir::Etc::SourceList \"{dir}/sources.list\";\nDir::Etc::SourceParts \"/dev/null\";\n\
         Dir::Etc::Preferences \"{dir}/preferences\";\nDir::Etc::PreferencesParts \"/dev/null\";\n\
         Dir::Etc::Trusted \"/dev/null\";\nDir::Etc::TrustedParts \"/dev/null\";\nDir::Log \"{dir}\";\n\
         APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\nAPT::Install-Recommends \"false\";\n\
         APT::Sandbox::User \"\";\nAPT::Update::Error-Mode \"any\";\nAcquire::Languages \"none\";\nDebug::NoLocking \"true\";\n{host}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ways_to_a_server_are_taken_from_the_host() {
        let host = "Acquire::http::Proxy \"http://proxy:3128\";\nAPT::Install-Recommends \"1\";\nAPT::Update::Post-Invoke:: \"rm -rf /\";\n\
                    Acquire::http::Proxy \"unfinished\nAcquire::AllowInsecureRepositories \"1\";\nAcquire::Retries \"3\";\n";
        let text = configuration(Path::new("/c"), host);
        assert!(text.contains("Acquire::http::Proxy \"http://proxy:3128\";\n") && text.contains("Acquire::Retries \"3\";\n"));
        for forbidden in ["Post-Invoke", "Recommends \"1\"", "unfinished", "Insecure"] {
            assert!(!text.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn the_signing_date_is_read_from_a_release_file() {
        assert_eq!(signing_date("Origin: Debian\nDate: Thu, 20 Nov 2025 10:11:12 UTC\nArchitectures: amd64\n"), Some(1_763_633_472));
        assert_eq!(signing_date("Date: yesterday\n"), None);
        assert_eq!(signing_date("Origin: Debian\n"), None);
    }

    #[test]
    fn a_cache_that_apt_cannot_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Some(&dir.path().join("with space"))).unwrap();
        let error = Apt::for_downloads(&store).unwrap_err();
        assert!(matches!(error, AptError::AwkwardPath { .. }), "{error}");
        assert!(error.to_string().contains("set SLIPWAY_CACHE"));
    }
}
