//! When a quorum is lost for good: begin again from one member's data, or from a snapshot.
//!
//! Never done by itself, because only a person knows that the others will not come back with what they know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cluster_store::Tls;

use crate::etcd::engine::{has_data, put_aside};
use crate::etcd::init::{Init, run};
use crate::etcd::launch::{Joining, Launch};
use crate::etcd::members::{self, Silences};
use crate::etcd::memory::Memory;
use crate::ground::Ground;
use crate::snapshot;
use crate::tls::Files;

/// How long etcd may take to answer for itself alone.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(500);

/// What the cluster begins again from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// The data on this machine.
    Member,
    /// A snapshot.
    Snapshot(PathBuf),
}

impl std::str::FromStr for From {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(if text == "member" { Self::Member } else { Self::Snapshot(text.into()) })
    }
}

/// A quorum answers, and so there is nothing to recover.
#[derive(Debug, thiserror::Error)]
#[error("a quorum of members answers: nothing is lost, and beginning again would lose what they know. {next}")]
pub struct QuorumExists {
    next: &'static str,
}

/// What will happen and what is lost, a line each.
#[must_use]
pub fn explain(from: &From, ground: &Ground) -> Vec<String> {
    let data = ground.data.display();
    let mut lines = vec![format!("This machine ({}, {}) becomes the only member of the cluster:", ground.name, ground.address)];
    match from {
        From::Member => lines.extend([
            format!("  - etcd is started once with --force-new-cluster on the data in {data}, and then as always"),
            "Lost is what other members had accepted and this one had not heard of. Choose the member that was last well.".to_owned(),
            "Switch the other old members on one at a time, each when the one before is a member: it puts its data aside and joins this cluster. \
             Two of them together could go on with the old one. Known fault: one that joins may lack keys, so compare, or use a snapshot."
                .to_owned(),
        ]),
        From::Snapshot(file) => lines.extend([
            format!("  - the data in {data} is put aside as {data}.before-restore"),
            format!("  - {} is restored in its place, with a new identity of the cluster", file.display()),
            "Lost is everything that was written after the snapshot was taken, and all leases.".to_owned(),
            "On each other old member: `cluster-agent rejoin --yes`.".to_owned(),
        ]),
    }
    lines.push(
        "If the others still run and have a quorum among themselves, there are two clusters afterwards. Make sure that they do not."
            .to_owned(),
    );
    lines
}

/// Makes sure that no quorum answers.
///
/// # Errors
/// [`QuorumExists`].
pub async fn refuse_with_quorum(ground: &Ground, files: Option<&Files>, next: &'static str) -> Result<()> {
    let mut endpoints: BTreeSet<String> = Memory::read(&ground.state)?.members.into_iter().flat_map(|known| known.client_urls).collect();
    endpoints.insert(format!("{}://{}", Ground::scheme(files.is_some()), ground.local));
    let found = members::look(&endpoints, files.map(Tls::from).as_ref(), &ground.machine_id, &mut Silences::default()).await;
    if found.is_some() { bail!(QuorumExists { next }) } else { Ok(()) }
}

/// Begins again. The daemon must not run meanwhile.
///
/// # Errors
/// A quorum answers; there is no data; the snapshot is damaged; etcd does not come up. What was there is still there, or beside it.
pub async fn recover(from: &From, ground: &Ground, files: Option<&Files>, init: &impl Init, now: jiff::Timestamp) -> Result<()> {
    refuse_with_quorum(ground, files, "See `cluster-agent status`.").await?;
    match from {
        From::Member => alone(ground, files, init).await?,
        From::Snapshot(file) => restore(ground, files, init, file, now).await?,
    }
    // The others are learned anew, and what this machine was is another thing now.
    let size = Memory::read(&ground.state)?.size;
    Memory { size, ..Memory::default() }.write(&ground.state)
}

async fn alone(ground: &Ground, files: Option<&Files>, init: &impl Init) -> Result<()> {
    ensure!(has_data(&ground.data), "there is no data of etcd in {}: choose another machine, or a snapshot", ground.data.display());
    init.stop().await?;
    init.start(&Launch::new(ground, files, &Joining::Alone)).await?;
    let endpoint = format!("{}://{}", Ground::scheme(files.is_some()), ground.local);
    let certificates = files.map(Tls::from);
    let answered = tokio::time::timeout(PATIENCE, async {
        let endpoints = BTreeSet::from([endpoint]);
        while members::look(&endpoints, certificates.as_ref(), &ground.machine_id, &mut Silences::default()).await.is_none() {
            tokio::time::sleep(PAUSE).await;
        }
    });
    let answered = answered.await;
    // Whatever came of it: the next start must not force anything.
    init.stop().await?;
    answered.with_context(|| format!("etcd did not answer within {} s; see `journalctl -u etcd`", PATIENCE.as_secs()))?;
    Ok(())
}

async fn restore(ground: &Ground, files: Option<&Files>, init: &impl Init, file: &Path, now: jiff::Timestamp) -> Result<()> {
    snapshot::check(file, &ground.etcdutl).await?;
    init.stop().await?;
    let mut made = ground.data.as_os_str().to_owned();
    made.push(".restored");
    let made = PathBuf::from(made);
    if made.exists() {
        std::fs::remove_dir_all(&made).with_context(|| format!("removing {}", made.display()))?;
    }
    let seat = ground.seat(files.is_some());
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a file name that is no text");
    let arguments = [
        "snapshot",
        "restore",
        &text(file)?,
        "--data-dir",
        &text(&made)?,
        "--name",
        &seat.name,
        "--initial-cluster",
        &format!("{}={}", seat.name, seat.peer_url),
        "--initial-advertise-peer-urls",
        &seat.peer_url,
        // Another identity: old members must never take this cluster for theirs.
        "--initial-cluster-token",
        &format!("restored-{}", now.as_second()),
    ];
    run(&ground.etcdutl, &arguments).await?;
    give_to_owner_of(ground.data.parent().unwrap_or(Path::new("/")), &made)?;
    put_aside(&ground.data, "before-restore")?;
    std::fs::rename(&made, &ground.data).with_context(|| format!("putting {} in place", made.display()))
}

/// etcd runs as its own user, and the folder above its data is that user's.
fn give_to_owner_of(model: &Path, path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let owner = std::fs::metadata(model).with_context(|| format!("reading {}", model.display()))?;
    let mut left = vec![path.to_owned()];
    while let Some(path) = left.pop() {
        let failed = || format!("giving {} to etcd", path.display());
        std::os::unix::fs::lchown(&path, Some(owner.uid()), Some(owner.gid())).with_context(failed)?;
        if std::fs::symlink_metadata(&path).with_context(failed)?.is_dir() {
            for entry in std::fs::read_dir(&path).with_context(failed)? {
                left.push(entry.with_context(failed)?.path());
            }
        }
    }
    Ok(())
}

/// Puts this machine's data aside, so that it joins the cluster that the others have.
///
/// # Errors
/// etcd cannot be stopped, or the data not be renamed.
pub async fn rejoin(ground: &Ground, init: &impl Init) -> Result<()> {
    init.stop().await?;
    put_aside(&ground.data, "before-rejoin")?;
    let memory = Memory::read(&ground.state)?;
    Memory { member: None, cluster: None, ..memory }.write(&ground.state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::tests_support::ground;

    #[test]
    fn what_is_lost_is_said_before() {
        insta::assert_snapshot!(explain(&"member".parse().unwrap(), &ground()).join("\n"), @r"
        This machine (n1, 10.0.0.1) becomes the only member of the cluster:
          - etcd is started once with --force-new-cluster on the data in /var/lib/etcd/default, and then as always
        Lost is what other members had accepted and this one had not heard of. Choose the member that was last well.
        Switch the other old members on one at a time, each when the one before is a member: it puts its data aside and joins this cluster. Two of them together could go on with the old one. Known fault: one that joins may lack keys, so compare, or use a snapshot.
        If the others still run and have a quorum among themselves, there are two clusters afterwards. Make sure that they do not.
        ");
        insta::assert_snapshot!(explain(&"/a/b.db".parse().unwrap(), &ground()).join("\n"), @r"
        This machine (n1, 10.0.0.1) becomes the only member of the cluster:
          - the data in /var/lib/etcd/default is put aside as /var/lib/etcd/default.before-restore
          - /a/b.db is restored in its place, with a new identity of the cluster
        Lost is everything that was written after the snapshot was taken, and all leases.
        On each other old member: `cluster-agent rejoin --yes`.
        If the others still run and have a quorum among themselves, there are two clusters afterwards. Make sure that they do not.
        ");
    }
}
