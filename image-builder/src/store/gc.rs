//! Keeps the store from growing without bound.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use super::{Store, StoreError, io_error};

/// How many results of each step are kept by default: a root image is 200 to 600 MB, and people go back and forth
/// between two recipes and two states of their work.
pub const KEEP_STEPS: usize = 4;

/// Packages that no build has used for this long are dropped; a lock that is still in use touches them at each build.
const KEEP_BLOBS: Duration = Duration::from_secs(90 * 24 * 3600);

/// Work in progress that nobody holds is dropped after this time; younger leftovers may just not be locked yet.
const KEEP_TMP: Duration = Duration::from_secs(3600);

/// What a collection did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// What is gone.
    pub removed: Vec<PathBuf>,
    /// What should have gone but could not be removed, with the reason.
    pub failed: Vec<(PathBuf, String)>,
}

struct Entry {
    path: PathBuf,
    last_use: SystemTime,
}

impl Store {
    /// Removes old results, keeping the `keep` last used of every step and everything that is in use.
    pub fn gc(&self, keep: usize) -> Result<GcReport, StoreError> {
        let now = self.now()?;
        let older_than = |age: Duration| move |entry: &Entry| now.duration_since(entry.last_use).is_ok_and(|since| since > age);
        let mut report = GcReport::default();
        for name in entries(&self.dir.join("steps"))? {
            let mut results = entries(&name.path)?;
            results.sort_by_key(|entry| std::cmp::Reverse(entry.last_use));
            for entry in results.iter().skip(keep) {
                self.remove(entry, &mut report);
            }
        }
        for entry in entries(&self.dir.join("tmp"))?.iter().filter(|entry| older_than(KEEP_TMP)(entry)) {
            self.remove(entry, &mut report);
        }
        for entry in entries(&self.dir.join("blobs"))?.iter().filter(|entry| older_than(KEEP_BLOBS)(entry)) {
            self.remove(entry, &mut report);
        }
        Ok(report)
    }

    /// The present as the file system's clock sees it, the same clock that stamps the entries.
    fn now(&self) -> Result<SystemTime, StoreError> {
        let tmp = self.dir.join("tmp");
        let probe = tempfile::tempfile_in(&tmp).and_then(|file| file.metadata()?.modified());
        probe.map_err(io_error("reading the clock of", &tmp))
    }

    fn remove(&self, entry: &Entry, report: &mut GcReport) {
        let path = entry.path.clone();
        match self.try_remove(&path) {
            Ok(true) => report.removed.push(path),
            Ok(false) => {}
            Err(error) => report.failed.push((path, error.to_string())),
        }
    }

    /// Removes a path nobody uses; false when somebody does.
    fn try_remove(&self, path: &Path) -> std::io::Result<bool> {
        let file = File::open(path)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Ok(false);
        }
        if !file.metadata()?.is_dir() {
            return fs::remove_file(path).map(|()| true);
        }
        // Out of sight first, so that a folder half removed is never taken for a result.
        let grave = tempfile::Builder::new().prefix("gone-").tempdir_in(self.dir.join("tmp"))?;
        fs::rename(path, grave.path().join("x"))?;
        grave.close().map(|()| true)
    }
}

fn entries(dir: &Path) -> Result<Vec<Entry>, StoreError> {
    let failed = || io_error("listing", dir);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        // Another collector may be at work; what is gone is gone.
        if let Ok(last_use) = entry.metadata().and_then(|meta| meta.modified()) {
            found.push(Entry { path: entry.path(), last_use });
        }
    }
    Ok(found)
}
