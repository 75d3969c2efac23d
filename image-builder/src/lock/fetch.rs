//! From a lock to verified packages in the store. With everything in the store no network is touched.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::apt::{Apt, AptError};
use super::archives::{ArchiveOptions, Archives};
use super::format::{Lock, LockedPackage};
use super::refusal::is_unreachable;
use crate::cmd::{CmdError, Transcript};
use crate::progress::{Phase, Progress};
use crate::store::{Store, StoreError, sha256_of};

/// How many packages one run of apt's fetcher gets: enough to keep its connections busy, few enough that a command
/// line stays far below the kernel's limit and that an interruption loses little.
const BATCH_PACKAGES: usize = 64;

/// How often the sizes of files being downloaded are looked at.
const POLL: Duration = Duration::from_millis(200);

/// What apt says of a file that the archive does not have.
const GONE: &[&str] = &["404  Not Found", "404 Not Found", "410  Gone", "File not found"];

/// Why the packages of a lock are not here.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// apt's fetcher could not be prepared or run.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive no longer serves these packages.
    #[error("the archive no longer serves {} that the lock names: {}; make the lock anew with: image-builder lock --refresh RECIPE",
        count(.packages.len()), .packages.join(", "))]
    Gone {
        /// `name version` of each.
        packages: Vec<String>,
    },
    /// The archive serves other bytes than the lock names.
    #[error("the archive serves other bytes for {package} than the lock names ({address}): {detail}; nothing of it was kept")]
    Mismatch {
        /// `name version`.
        package: String,
        /// Where it came from.
        address: String,
        /// What differs.
        detail: String,
    },
    /// The archive does not answer.
    #[error(
        "{package} cannot be downloaded, the archive does not answer: {detail}; check the network and the proxy, or name another one with --mirror"
    )]
    Unreachable {
        /// `name version` of the first one.
        package: String,
        /// What apt says.
        detail: String,
    },
    /// The download failed for another reason.
    #[error("downloading {package} from {address}: {detail}")]
    Failed {
        /// `name version` of the first one.
        package: String,
        /// Where it should come from.
        address: String,
        /// What apt says.
        detail: String,
    },
    /// A package is not in the store.
    #[error("{package} is not in the cache; fetch it first")]
    Absent {
        /// `name version`.
        package: String,
    },
    /// A package in the store is not what it was when it was stored.
    #[error("{package} in the cache has been changed: {path} has the SHA-256 {found}; delete that file and run this again", path = .path.display())]
    Tampered {
        /// `name version`.
        package: String,
        /// The file in the store.
        path: PathBuf,
        /// What it hashes to.
        found: String,
    },
    /// A file of the store cannot be read.
    #[error("reading {path} in the cache: {source}", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
}

impl From<CmdError> for FetchError {
    fn from(error: CmdError) -> Self {
        Self::Apt(AptError::Cmd(error))
    }
}

fn count(number: usize) -> String {
    if number == 1 { "a package".to_owned() } else { format!("{number} packages") }
}

/// What a fetch did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Packages that were downloaded.
    pub packages: usize,
    /// Their size.
    pub bytes: u64,
}

/// Downloads what `lock` names and `store` does not have. What came whole stays, also when something else failed.
pub fn fetch(lock: &Lock, store: &Store, options: &ArchiveOptions, progress: &Progress) -> Result<Fetched, FetchError> {
    let absent = |package: &&LockedPackage| store.blob(&package.sha256).is_none();
    let missing: BTreeMap<&str, &LockedPackage> = lock.all().filter(absent).map(|package| (package.sha256.as_str(), package)).collect();
    if missing.is_empty() {
        return Ok(Fetched::default());
    }
    let missing: Vec<&LockedPackage> = missing.into_values().collect();
    let archives = Archives::find(options).map_err(AptError::Archives)?;
    let apt = Apt::for_downloads(store)?;
    let bytes = missing.iter().map(|package| package.size).sum();
    let phase = progress.phase(format!("Downloading {}", count(missing.len())), bytes);
    let mut problems = Problems::default();
    for batch in missing.chunks(BATCH_PACKAGES) {
        let said = download(&apt, &archives, batch, &phase)?;
        for package in batch {
            let target = target(&apt, package);
            match target.exists() {
                true => keep(store, &archives, package, &target)?,
                false => problems.add(package, &address(&archives, package)?, &said),
            }
        }
    }
    problems.result()?;
    Ok(Fetched { packages: missing.len(), bytes })
}

/// Reads every package of `lock` in the store and checks it; returns the files by SHA-256.
pub fn verify_blobs(lock: &Lock, store: &Store, progress: &Progress) -> Result<BTreeMap<String, PathBuf>, FetchError> {
    let packages: Vec<&LockedPackage> = lock.all().collect();
    let phase = progress.phase("Verifying packages", packages.iter().map(|package| package.size).sum());
    let next = AtomicUsize::new(0);
    let work = || {
        let mut files = BTreeMap::new();
        while let Some(package) = packages.get(next.fetch_add(1, Ordering::Relaxed)) {
            files.insert(package.sha256.clone(), verify_blob(package, store)?);
            phase.advance(package.size);
        }
        Ok::<_, FetchError>(files)
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut all = BTreeMap::new();
        for worker in workers {
            all.append(&mut worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })
}

fn verify_blob(package: &LockedPackage, store: &Store) -> Result<PathBuf, FetchError> {
    let path = store.blob(&package.sha256).ok_or_else(|| FetchError::Absent { package: called(package) })?;
    let found = sha256_of(&path).map_err(|source| FetchError::Read { path: path.clone(), source })?;
    if found == package.sha256 { Ok(path) } else { Err(FetchError::Tampered { package: called(package), path, found }) }
}

fn called(package: &LockedPackage) -> String {
    format!("{} {}", package.name, package.version)
}

/// The address of a package, with `+` escaped: some servers take a plain one for a space.
fn address(archives: &Archives, package: &LockedPackage) -> Result<String, FetchError> {
    let base = archives.base(package.archive).map_err(AptError::Archives)?;
    Ok(format!("{base}/{}", package.path.replace('%', "%25").replace('+', "%2b")))
}

fn target(apt: &Apt, package: &LockedPackage) -> PathBuf {
    apt.downloads().join(format!("{}.deb", package.sha256))
}

/// Runs the fetcher while the growing files are shown as progress.
fn download(apt: &Apt, archives: &Archives, batch: &[&LockedPackage], phase: &Phase<'_>) -> Result<Transcript, FetchError> {
    let mut files = Vec::new();
    for package in batch {
        files.push((address(archives, package)?, target(apt, package), package.sha256.as_str()));
    }
    let dir = apt.downloads();
    let before = size_of_files(&dir);
    std::thread::scope(|scope| {
        let fetcher =
            scope.spawn(|| apt.download(files.iter().map(|(address, target, sha256)| (address.as_str(), target.as_path(), *sha256))));
        let mut shown = before;
        loop {
            let finished = fetcher.is_finished();
            let now = size_of_files(&dir);
            phase.advance(now.saturating_sub(shown));
            shown = shown.max(now);
            if finished {
                break;
            }
            std::thread::sleep(POLL);
        }
        Ok(fetcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?)
    })
}

fn size_of_files(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| fs::metadata(entry.path()).ok()).filter(fs::Metadata::is_file).map(|meta| meta.len()).sum()
}

/// Checks a downloaded package ourselves and moves it into the store.
fn keep(store: &Store, archives: &Archives, package: &LockedPackage, target: &Path) -> Result<(), FetchError> {
    let failed = |source| FetchError::Read { path: target.to_owned(), source };
    // apt answers a file: address with a link into the archive; the store needs bytes of its own.
    if fs::symlink_metadata(target).map_err(failed)?.is_symlink() {
        let copy = target.with_extension("copy");
        fs::copy(target, &copy).map_err(failed)?;
        fs::rename(&copy, target).map_err(failed)?;
    }
    let mismatch = |detail: String, address: String| FetchError::Mismatch { package: called(package), address, detail };
    let size = fs::metadata(target).map_err(failed)?.len();
    if size != package.size {
        return Err(mismatch(format!("{size} bytes instead of {}", package.size), address(archives, package)?));
    }
    match store.insert_blob(target, &package.sha256) {
        Ok(_) => Ok(()),
        Err(StoreError::Mismatch { found, .. }) => Err(mismatch(format!("SHA-256 {found}"), address(archives, package)?)),
        Err(error) => Err(error.into()),
    }
}

/// What did not come, and why.
#[derive(Debug, Default)]
struct Problems {
    gone: Vec<String>,
    /// The first one of each kind.
    mismatch: Option<FetchError>,
    unreachable: Option<FetchError>,
    failed: Option<FetchError>,
}

impl Problems {
    fn add(&mut self, package: &LockedPackage, address: &str, said: &Transcript) {
        let (address, package) = (address.to_owned(), called(package));
        let detail = complaint(&said.stderr, &address);
        if GONE.iter().any(|words| detail.contains(words)) {
            self.gone.push(package);
        } else if detail.contains("Hash Sum mismatch") || detail.contains("unexpected size") {
            self.mismatch.get_or_insert(FetchError::Mismatch { package, address, detail });
        } else if is_unreachable(&detail) {
            self.unreachable.get_or_insert(FetchError::Unreachable { package, detail });
        } else {
            self.failed.get_or_insert(FetchError::Failed { package, address, detail });
        }
    }

    /// The worst of it: forged bytes first, and a lock is called stale only when nothing else explains the failure.
    fn result(self) -> Result<(), FetchError> {
        match self.mismatch.or(self.unreachable).or(self.failed) {
            Some(error) => Err(error),
            None if self.gone.is_empty() => Ok(()),
            None => {
                let mut packages = self.gone;
                packages.sort_unstable();
                Err(FetchError::Gone { packages })
            }
        }
    }
}

/// What apt says about one address: `E: Failed to fetch ADDRESS  REASON`.
fn complaint(stderr: &str, address: &str) -> String {
    let about = |line: &str| Some(line.strip_prefix("E: Failed to fetch ")?.strip_prefix(address)?.trim().to_owned());
    stderr.lines().find_map(about).unwrap_or_else(|| match stderr.trim() {
        "" => "apt gives no reason".to_owned(),
        said => said.lines().next().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
