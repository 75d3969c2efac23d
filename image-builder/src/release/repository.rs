//! A repository on disk: `targets/` with the releases, `tuf/` with the metadata that vouches for them.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::{SignedDuration, Timestamp};
use payload::Release;
use serde::Serialize;
use serde_json::json;
use trust::repository::{self, TargetsDraft};
use trust::{Role, Root, Signer, Target};

use super::pack;
use super::root::{root_name, roots};
use super::signers::signers;

/// Folder of the metadata.
pub const METADATA: &str = "tuf";
/// Folder of the releases.
pub const TARGETS: &str = "targets";

/// How long signed metadata is good, in days.
#[derive(Debug, Clone, Copy)]
pub struct Validity {
    /// The list of releases: long enough for a publisher's holidays.
    pub targets_days: i64,
    /// Snapshot and timestamp: for so long can a thief of the online place hide newer releases.
    pub online_days: i64,
}

impl Default for Validity {
    fn default() -> Self {
        Self { targets_days: 365, online_days: 30 }
    }
}

/// What was signed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Signed {
    /// Version of the root that it stands on.
    pub root: u64,
    /// Version of `targets.json`.
    pub targets: u64,
    /// Version of `timestamp.json`; nothing when the online keys are elsewhere.
    pub timestamp: Option<u64>,
    /// Files of releases on the list.
    pub files: usize,
}

/// Puts `releases` on the list and signs everything anew; without releases only the dates change.
///
/// `now` is the time from which the validity counts. A power cut leaves the old metadata or the new: `timestamp.json` comes last.
pub fn sign(dir: &Path, keys: &Path, releases: &[Release], validity: Validity, now: Timestamp) -> anyhow::Result<Signed> {
    let tuf = dir.join(METADATA);
    fs::create_dir_all(&tuf).with_context(|| format!("creating {}", tuf.display()))?;
    let chain = roots(keys)?;
    let (_, newest) = chain.last().context("there is no root.json")?;
    let root = Root::open(newest)?;
    let mut draft = draft(&tuf, &chain, expires(now, validity.targets_days)?)?;
    for release in releases {
        for (name, path) in pack::target_files(&dir.join(TARGETS), release) {
            draft.add(&name, &target(&path, release)?)?;
        }
    }
    let files = draft.names().count();
    let targets = draft.sign(&root, &by(keys, Role::Targets)?.refs())?;
    for (version, bytes) in &chain {
        write(&tuf.join(root_name(*version)), bytes)?;
    }
    write(&tuf.join("root.json"), newest)?;
    write(&tuf.join("targets.json"), &targets)?;
    let timestamp = online(&tuf, keys, &root, &targets, expires(now, validity.online_days)?)?;
    Ok(Signed { root: root.version, targets: draft.version(), timestamp, files })
}

/// Snapshot and timestamp; nothing when their keys are not here, but with the server.
fn online(tuf: &Path, keys: &Path, root: &Root, targets: &[u8], expires: Timestamp) -> anyhow::Result<Option<u64>> {
    let (snapshot_by, timestamp_by) = (by(keys, Role::Snapshot)?, by(keys, Role::Timestamp)?);
    if snapshot_by.0.is_empty() || timestamp_by.0.is_empty() {
        return Ok(None);
    }
    let previous = |role: Role| read(&tuf.join(role.file_name()));
    let version = repository::next_version(Role::Snapshot, previous(Role::Snapshot)?.as_deref())?;
    let snapshot = repository::snapshot(root, targets, version, expires, &snapshot_by.refs())?;
    let version = repository::next_version(Role::Timestamp, previous(Role::Timestamp)?.as_deref())?;
    let timestamp = repository::timestamp(root, &snapshot, version, expires, &timestamp_by.refs())?;
    write(&tuf.join("snapshot.json"), &snapshot)?;
    write(&tuf.join("timestamp.json"), &timestamp)?;
    Ok(Some(version))
}

/// The list that is there, to be continued; it may have been signed under an older root whose targets key was rotated since.
fn draft(tuf: &Path, chain: &[(u64, Vec<u8>)], expires: Timestamp) -> anyhow::Result<TargetsDraft> {
    let Some(previous) = read(&tuf.join("targets.json"))? else { return Ok(TargetsDraft::new(expires)) };
    let mut refused = None;
    for (_, bytes) in chain.iter().rev() {
        match TargetsDraft::after(&previous, &Root::open(bytes)?, expires) {
            Ok(draft) => return Ok(draft),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(error) => {
            Err(error).with_context(|| format!("{} was not signed with these keys; is it another owner's repository?", tuf.display()))
        }
        None => bail!("there is no root.json"),
    }
}

fn target(path: &Path, release: &Release) -> anyhow::Result<Target> {
    let (length, sha256) = super::digest_of(path)?;
    let custom = if path.ends_with(pack::DESCRIPTION) {
        json!({ "app-id": release.app_id, "version": release.version, "arch": release.arch })
    } else {
        serde_json::Value::Null
    };
    Ok(Target { length, sha256, custom })
}

/// Everyone here who signs for a role.
struct By(Vec<Box<dyn Signer>>);

impl By {
    fn refs(&self) -> Vec<&dyn Signer> {
        self.0.iter().map(|signer| &**signer).collect()
    }
}

fn by(keys: &Path, role: Role) -> anyhow::Result<By> {
    signers(keys, role).map(By)
}

/// The moment `days` after `now`.
pub(super) fn expires(now: Timestamp, days: i64) -> anyhow::Result<Timestamp> {
    let hours = days.checked_mul(24).context("so many days cannot be counted")?;
    // Whole seconds: the specification's dates have no fractions.
    let now = Timestamp::from_second(now.as_second()).context("the time is out of range")?;
    now.checked_add(SignedDuration::from_hours(hours)).with_context(|| format!("{days} days from now is beyond the calendar"))
}

fn read(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.with_context(|| format!("opening {}", path.display()))?,
    };
    let mut bytes = Vec::new();
    file.take(trust::limits::MAX_TARGETS_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?;
    Ok(Some(bytes))
}

/// Replaces a file as a whole.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let dir = path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let mut file = tempfile::NamedTempFile::new_in(&dir).with_context(|| format!("making a file in {}", dir.display()))?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).with_context(|| format!("writing {}", path.display()))?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644)).with_context(|| format!("opening {} to readers", path.display()))?;
    file.persist(path).with_context(|| format!("replacing {}", path.display()))?;
    Ok(())
}

#[cfg(test)]
#[path = "repository_tests.rs"]
mod tests;
