//! Copies of what is in etcd, as files.
//!
//! Every member takes its own, so that each machine that is left has one. A file counts only when it is whole: it is written under
//! another name, its checksum is compared, `etcdutl` looks into it, and then it gets its name.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster_store::{Access, Report};
use etcd_client::Client;
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;

use crate::config;
use crate::etcd::init::run as run_program;

/// What a snapshot's name begins and ends with.
const NAME: (&str, &str) = ("etcd-", ".db");
/// The time in a name, in UTC.
const TIME: &str = "%Y%m%dT%H%M%SZ";
/// What is still being written.
const UNFINISHED: &str = ".unfinished";
/// etcd puts a SHA-256 of all that comes before at the end.
const HASH_BYTES: usize = 32;
/// Largest snapshot, in bytes: beyond etcd's largest recommended quota of 8 GiB something is wrong.
const SNAPSHOT_MAX: u64 = 10 << 30;
/// How much of a file is read at a time, in bytes.
const BUFFER: usize = 64 << 10;
/// How often it is looked whether one is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A snapshot on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Its file.
    pub file: PathBuf,
    /// When it was taken.
    pub taken: Timestamp,
    /// Its size.
    pub size_bytes: u64,
}

/// Takes a snapshot through `client` into `folder`, checks it and gives its name.
///
/// # Errors
/// etcd does not answer, the disk is full, or what arrived is not whole; no file of that name is left then.
pub async fn take(mut client: Client, folder: &Path, now: Timestamp, etcdutl: &Path) -> Result<PathBuf> {
    make_folder(folder)?;
    let file = folder.join(format!("{}{}{}", NAME.0, now.strftime(TIME), NAME.1));
    let temporary = file.with_extension("db.unfinished");
    debug_assert!(temporary.to_string_lossy().ends_with(UNFINISHED));
    let received = receive(&mut client, &temporary).await;
    let checked = match received {
        Ok(()) => check(&temporary, etcdutl).await,
        Err(error) => Err(error),
    };
    if let Err(error) = checked {
        let _ = std::fs::remove_file(&temporary);
        return Err(error).with_context(|| format!("taking a snapshot to {}", file.display()));
    }
    std::fs::rename(&temporary, &file).with_context(|| format!("naming {}", file.display()))?;
    std::fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| format!("writing {}", folder.display()))?;
    Ok(file)
}

fn make_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.with_context(|| format!("making {}", folder.display()))
}

async fn receive(client: &mut Client, path: &Path) -> Result<()> {
    let mut stream = client.snapshot().await?;
    let mut file = tokio::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).await?;
    let mut size = 0;
    let mut hash = Sha256::new();
    // The last bytes are the hash of the others.
    let mut held: Vec<u8> = Vec::new();
    while let Some(part) = stream.message().await? {
        size += part.blob().len() as u64;
        ensure!(size <= SNAPSHOT_MAX, "it is larger than {SNAPSHOT_MAX} bytes");
        file.write_all(part.blob()).await?;
        held.extend_from_slice(part.blob());
        let ready = held.len().saturating_sub(HASH_BYTES);
        hash.update(&held[..ready]);
        held.drain(..ready);
    }
    ensure!(held.len() == HASH_BYTES && hash.finalize().as_slice() == held, "it did not arrive whole ({size} bytes)");
    file.sync_all().await?;
    Ok(())
}

/// Looks into a snapshot: whether it is one, and whole.
///
/// # Errors
/// It is not.
pub async fn check(file: &Path, etcdutl: &Path) -> Result<()> {
    let path = file.to_owned();
    tokio::task::spawn_blocking(move || check_hash(&path)).await??;
    let name = file.to_str().context("a file name that is no text")?;
    run_program(etcdutl, &["snapshot", "status", name]).await.map(drop)
}

fn check_hash(path: &Path) -> Result<()> {
    use std::io::Read as _;
    let failed = || format!("reading {}", path.display());
    let mut file = std::fs::File::open(path).with_context(failed)?;
    let size = file.metadata().with_context(failed)?.len();
    let content = size.checked_sub(HASH_BYTES as u64).with_context(|| format!("{} is too small for a snapshot", path.display()))?;
    let mut hash = Sha256::new();
    let mut left = content;
    let mut buffer = vec![0; BUFFER];
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
        file.read_exact(&mut buffer[..want]).with_context(failed)?;
        hash.update(&buffer[..want]);
        left -= want as u64;
    }
    let mut told = Vec::new();
    file.read_to_end(&mut told).with_context(failed)?;
    ensure!(hash.finalize().as_slice() == told, "{} is damaged, or no snapshot: its checksum is wrong", path.display());
    Ok(())
}

/// The snapshots in a folder, newest first.
///
/// # Errors
/// The folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<Found>> {
    let failed = || format!("reading {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(failed),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.with_context(failed)?;
        if let Some(taken) = taken(&entry.file_name().to_string_lossy()) {
            found.push(Found { file: entry.path(), taken, size_bytes: entry.metadata().with_context(failed)?.len() });
        }
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.taken));
    Ok(found)
}

fn taken(name: &str) -> Option<Timestamp> {
    let text = name.strip_prefix(NAME.0)?.strip_suffix(NAME.1)?.strip_suffix('Z')?;
    let time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", text).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp())
}

/// Removes all but the newest `keep` snapshots, and what was never finished.
///
/// # Errors
/// A file cannot be removed.
pub fn prune(folder: &Path, keep: usize) -> Result<()> {
    let remove = |path: &Path| std::fs::remove_file(path).with_context(|| format!("removing {}", path.display()));
    for old in list(folder)?.iter().skip(keep.max(1)) {
        remove(&old.file)?;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(NAME.0) && name.ends_with(UNFINISHED) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Whether one is due. A newest one from the future (the clock was wrong) does not stop them for ever.
#[must_use]
pub fn due(found: &[Found], every: Duration, now: Timestamp) -> bool {
    let Some(newest) = found.iter().map(|found| found.taken).filter(|taken| *taken <= now).max() else { return true };
    now.duration_since(newest).unsigned_abs() >= every
}

/// Takes them for ever, on machines that are members.
pub async fn keep(
    plan: config::Snapshot,
    etcdutl: PathBuf,
    access: watch::Receiver<Option<Access>>,
    member: impl Fn() -> bool,
    report: Report,
) {
    let Some(every) = plan.every else {
        report.say("off", "[snapshot] every = \"never\"");
        return;
    };
    loop {
        let current = access.borrow().clone();
        if let (Some(current), true) = (current, member()) {
            match one(&plan, every, &etcdutl, &current).await {
                Ok(Some(newest)) => report.say("kept", format!("the newest was taken at {}", newest.taken)),
                Ok(None) => {}
                Err(error) => report.say("failed", format!("{error:#}; it is tried again")),
            }
        } else {
            report.say("waiting", "members take snapshots, and this machine is none");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn one(plan: &config::Snapshot, every: Duration, etcdutl: &Path, access: &Access) -> Result<Option<Found>> {
    let now = Timestamp::now();
    if due(&list(&plan.directory)?, every, now) {
        take(access.connect().await?, &plan.directory, now, etcdutl).await?;
        prune(&plan.directory, plan.keep)?;
    }
    Ok(list(&plan.directory)?.into_iter().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn names_tell_when() {
        assert_eq!(taken("etcd-20261121T212434Z.db"), Some(at("2026-11-21T21:24:34Z")));
        for other in ["etcd-.db", "etcd-20261121T212434Z.db.unfinished", "backup.db", "etcd-20269921T212434Z.db", ""] {
            assert_eq!(taken(other), None, "{other}");
        }
    }

    #[test]
    fn the_newest_stay_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["etcd-20260101T000000Z.db", "etcd-20260103T000000Z.db", "etcd-20260102T000000Z.db", "mine.db", "etcd-x.db.unfinished"];
        for name in names {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        prune(dir.path(), 2).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["etcd-20260102T000000Z.db", "etcd-20260103T000000Z.db", "mine.db"]);
        prune(dir.path(), 0).unwrap();
        assert_eq!(list(dir.path()).unwrap().len(), 1, "one always stays");
        assert_eq!(list(&dir.path().join("absent")).unwrap(), []);
    }

    #[test]
    fn one_is_due_when_the_newest_is_old_enough() {
        let hour = Duration::from_secs(3600);
        let now = at("2026-01-01T12:00:00Z");
        let found = |times: &[&str]| -> Vec<Found> {
            times.iter().map(|time| Found { file: PathBuf::new(), taken: at(time), size_bytes: 0 }).collect()
        };
        for (times, expected) in [
            (vec![], true),
            (vec!["2026-01-01T11:00:00Z"], true),
            (vec!["2026-01-01T11:00:01Z"], false),
            (vec!["2026-01-01T09:00:00Z", "2026-01-01T11:30:00Z"], false),
            (vec!["2030-01-01T00:00:00Z"], true),
        ] {
            assert_eq!(due(&found(&times), hour, now), expected, "{times:?}");
        }
    }

    #[test]
    fn a_damaged_file_is_no_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.db");
        let content = b"content of a database";
        let whole = [content.as_slice(), &Sha256::digest(content)].concat();
        std::fs::write(&file, &whole).unwrap();
        check_hash(&file).unwrap();
        for damaged in [&whole[..whole.len() - 1], &whole[1..], b"short", b""] {
            std::fs::write(&file, damaged).unwrap();
            assert!(check_hash(&file).is_err());
        }
    }
}
