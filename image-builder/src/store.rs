//! The cache outside the repository: downloads by their hash, finished build steps by their key.
//!
//! ```text
//! blobs/SHA256          a downloaded package
//! steps/NAME/KEY/       the result of a build step
//! tmp/                  work in progress; a rename out of here is what makes a thing exist
//! ```
//!
//! Several builders may share one store: the rename is the commit, whoever comes second uses what the first one made.
//! A step folder in use carries a shared `flock`; [`Store::gc`] takes only folders it can lock for itself.

mod gc;

use std::fs::{self, File};
use std::io;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Timespec, Timestamps, UTIME_NOW, flock, utimensat};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

pub use gc::{GcReport, KEEP_STEPS};

/// What went wrong with the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing says where the store is.
    #[error("there is no place for the cache: set SLIPWAY_CACHE, XDG_CACHE_HOME or HOME")]
    NoPlace,
    /// A file operation failed.
    #[error("{action} {path}: {source}", path = .path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which path.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// A file does not have the hash under which it was to be stored.
    #[error("{path} has the SHA-256 {found}, expected {wanted}", path = .path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What it should be.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// A hash, step name or key that cannot be a file name.
    #[error("{name:?} cannot be a name in the cache: only letters, digits, `.`, `-` and `_` are")]
    Name {
        /// What was passed.
        name: String,
    },
}

/// Adds the action and the path to an I/O error.
fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

/// The store at one place.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

/// Whether a step has been done before.
#[derive(Debug)]
pub enum StepState {
    /// Its result.
    Done(StepDir),
    /// It has to be done.
    Missing,
}

/// The folder of a finished step; the garbage collector leaves it alone as long as this value lives.
#[derive(Debug)]
pub struct StepDir {
    path: PathBuf,
    _in_use: File,
}

impl Deref for StepDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for StepDir {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// A step being done: fill [`StepInProgress::dir`], then commit. Dropped without a commit, it never was.
#[derive(Debug)]
pub struct StepInProgress {
    dir: TempDir,
    in_use: File,
    target: PathBuf,
}

impl StepInProgress {
    /// The folder to fill.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Makes the step exist. When another builder was faster its result is used and ours thrown away.
    pub fn commit(self) -> Result<StepDir, StoreError> {
        if let Some(parent) = self.target.parent() {
            fs::create_dir_all(parent).map_err(io_error("creating", parent))?;
        }
        match fs::rename(self.dir.path(), &self.target) {
            Ok(()) => {
                let _ = self.dir.keep();
                Ok(StepDir { path: self.target, _in_use: self.in_use })
            }
            Err(error) => match use_step(&self.target)? {
                Some(theirs) => Ok(theirs),
                None => Err(io_error("renaming a finished step to", &self.target)(error)),
            },
        }
    }
}

impl Store {
    /// Opens the store at `dir`, else at `$SLIPWAY_CACHE`, `$XDG_CACHE_HOME/slipway` or `~/.cache/slipway`.
    pub fn open(dir: Option<&Path>) -> Result<Self, StoreError> {
        let dir = match dir {
            Some(dir) => dir.to_owned(),
            None => default_dir(|name| std::env::var_os(name).map(PathBuf::from)).ok_or(StoreError::NoPlace)?,
        };
        for part in ["blobs", "steps", "tmp"] {
            let path = dir.join(part);
            fs::create_dir_all(&path).map_err(io_error("creating", &path))?;
        }
        // Tools run in other folders; a relative store would follow them there.
        let dir = fs::canonicalize(&dir).map_err(io_error("opening", &dir))?;
        Ok(Self { dir })
    }

    /// Where the store is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A temporary folder on the store's file system, removed when dropped.
    pub fn temp_dir(&self) -> Result<TempDir, StoreError> {
        let tmp = self.dir.join("tmp");
        tempfile::Builder::new().prefix("work-").tempdir_in(&tmp).map_err(io_error("creating a temporary folder in", &tmp))
    }

    /// Where the blob of this hash is or would be.
    pub fn blob_path(&self, sha256: &str) -> Result<PathBuf, StoreError> {
        Ok(self.dir.join("blobs").join(checked(sha256)?))
    }

    /// The blob of this hash, if it is here. Its content is not read; whoever uses it verifies it.
    #[must_use]
    pub fn blob(&self, sha256: &str) -> Option<PathBuf> {
        let path = self.blob_path(sha256).ok()?;
        touch(&path).ok()?;
        Some(path)
    }

    /// Moves `temp`, a file on the store's file system, in as the blob of this hash; the hash is computed anew.
    pub fn insert_blob(&self, temp: &Path, sha256: &str) -> Result<PathBuf, StoreError> {
        let target = self.blob_path(sha256)?;
        let found = sha256_of(temp).map_err(io_error("reading", temp))?;
        if found != sha256 {
            return Err(StoreError::Mismatch { path: temp.to_owned(), wanted: sha256.to_owned(), found });
        }
        fs::rename(temp, &target).map_err(io_error("storing", &target))?;
        Ok(target)
    }

    /// Whether the step `name` has been done for the inputs that `key` stands for.
    pub fn step(&self, name: &str, key: &str) -> Result<StepState, StoreError> {
        Ok(match use_step(&self.step_path(name, key)?)? {
            Some(dir) => StepState::Done(dir),
            None => StepState::Missing,
        })
    }

    /// Begins the step `name` for the inputs that `key` stands for.
    pub fn begin_step(&self, name: &str, key: &str) -> Result<StepInProgress, StoreError> {
        let target = self.step_path(name, key)?;
        let tmp = self.dir.join("tmp");
        let dir = tempfile::Builder::new().prefix("step-").tempdir_in(&tmp).map_err(io_error("creating a temporary folder in", &tmp))?;
        let in_use = lock_shared(dir.path()).map_err(io_error("locking", dir.path()))?;
        Ok(StepInProgress { dir, in_use, target })
    }

    fn step_path(&self, name: &str, key: &str) -> Result<PathBuf, StoreError> {
        Ok(self.dir.join("steps").join(checked(name)?).join(checked(key)?))
    }
}

/// SHA-256 of a file, in hex.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut HashWriter(&mut hasher))?;
    Ok(hex::encode(hasher.finalize()))
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn default_dir(var: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    // An empty variable counts as unset, as the XDG base directory specification asks.
    let set = |name: &str| var(name).filter(|path| !path.as_os_str().is_empty());
    set("SLIPWAY_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("slipway")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/slipway")))
}

fn checked(name: &str) -> Result<&str, StoreError> {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if plain && !name.is_empty() && !name.starts_with('.') { Ok(name) } else { Err(StoreError::Name { name: name.to_owned() }) }
}

fn use_step(path: &Path) -> Result<Option<StepDir>, StoreError> {
    let in_use = match lock_shared(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("opening", path)(error)),
    };
    // While we waited for the lock the collector may have taken the folder away.
    match touch(path) {
        Ok(()) => Ok(Some(StepDir { path: path.to_owned(), _in_use: in_use })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("touching", path)(error)),
    }
}

fn lock_shared(dir: &Path) -> io::Result<File> {
    let file = File::open(dir)?;
    flock(&file, FlockOperation::LockShared)?;
    Ok(file)
}

/// Records the last use in the modification time.
fn touch(path: &Path) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    Ok(utimensat(CWD, path, &Timestamps { last_access: now, last_modification: now }, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests;
