//! Temporary directories of a run, all below one, so that nothing is left behind: not after success, not after ctrl-c, and what
//! a killed run leaves goes at the start of the next one.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};

/// How the directories of runs begin.
const PREFIX: &str = "slipway-run-";
/// File in each of them, locked while its run lives.
const LOCK: &str = "lock";
/// Exit status after ctrl-c, as shells tell it.
const INTERRUPTED: i32 = 130;

static RUN: Mutex<Option<Run>> = Mutex::new(None);

/// One run's directory.
#[derive(Debug)]
struct Run {
    dir: tempfile::TempDir,
    /// Held open: the kernel lets go of the lock when this process ends, in whatever way.
    _lock: File,
}

impl Run {
    fn begin(parent: &Path) -> anyhow::Result<Self> {
        sweep(parent);
        let dir = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent).context("making a directory for this run")?;
        let lock = File::create(dir.path().join(LOCK)).context("making the lock of this run")?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).context("locking the directory of this run")?;
        Ok(Self { dir, _lock: lock })
    }
}

/// A new directory that goes away with what is returned, at the latest with the run. Its name is short: Unix sockets have short
/// names.
pub fn dir(name: &str) -> anyhow::Result<tempfile::TempDir> {
    let mut run = RUN.lock().unwrap_or_else(PoisonError::into_inner);
    if run.is_none() {
        *run = Some(Run::begin(&std::env::temp_dir())?);
        clean_up_when_interrupted();
    }
    let run = run.as_ref().context("there is no directory of this run")?;
    tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .tempdir_in(run.dir.path())
        .with_context(|| format!("making a directory for {name}"))
}

/// Whether `path` goes away with this run.
#[must_use]
pub fn holds(path: &Path) -> bool {
    let run = RUN.lock().unwrap_or_else(PoisonError::into_inner);
    run.as_ref().is_some_and(|run| path.starts_with(run.dir.path()))
}

/// Removes everything of this run.
pub fn finish() {
    drop(RUN.lock().unwrap_or_else(PoisonError::into_inner).take());
}

/// Removes what dead runs left below `parent`. Whoever still holds a lock is alive, whatever its process number says.
fn sweep(parent: &Path) {
    for dir in runs(parent).unwrap_or_default() {
        let dead = match File::open(dir.join(LOCK)) {
            Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
            // Another run may be about to make its lock: left alone, the next sweep will see.
            Err(_) => false,
        };
        if dead {
            // What cannot be removed now may be the next time.
            let _ = std::fs::remove_dir_all(&dir);
        }
    }
}

fn runs(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX) && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// QEMU dies with this process; directories do not.
fn clean_up_when_interrupted() {
    std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else { return };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        });
        finish();
        #[allow(clippy::exit, reason = "the person wants it to end, and every thread may be waiting for a machine")]
        std::process::exit(INTERRUPTED);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dead_runs_left_goes_and_the_living_keep_theirs() {
        let parent = tempfile::tempdir().unwrap();
        let living = Run::begin(parent.path()).unwrap();
        let dead = parent.path().join(format!("{PREFIX}dead"));
        let young = parent.path().join(format!("{PREFIX}without-a-lock-yet"));
        let other = parent.path().join("other");
        for dir in [&dead, &young, &other] {
            std::fs::create_dir_all(dir.join("vm-1")).unwrap();
        }
        std::fs::write(dead.join(LOCK), "").unwrap();
        let next = Run::begin(parent.path()).unwrap();
        assert!(!dead.exists());
        for kept in [living.dir.path(), next.dir.path(), &young, &other] {
            assert!(kept.exists(), "{}", kept.display());
        }
    }
}
