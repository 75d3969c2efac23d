//! When a quorum is lost for good: begin again from one member's data, or from a snapshot.
//!
//! Never done by itself, because only a person knows that the others will not come back with what they know.
//!
//! Both ways end in a cluster with a new identity. With the old one, a member of the cluster that was could still take this one for its
//! own: it would send it its log, or be sent ours and lack what came before.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cluster_store::Tls;

use crate::etcd::engine::{has_data, put_aside};
use crate::etcd::init::{Init, run};
use crate::etcd::launch::{Joining, Launch};
use crate::etcd::members::Lookout;
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
            format!("  - what is in {data} is read by an etcd of its own, from a copy, and restored with a new identity of the cluster"),
            format!("  - the data itself is put aside as {data}.before-restore"),
            "Lost is what other members had accepted and this one had not heard of. Choose the member that was last well.".to_owned(),
        ]),
        From::Snapshot(file) => lines.extend([
            format!("  - the data in {data} is put aside as {data}.before-restore"),
            format!("  - {} is restored in its place, with a new identity of the cluster", file.display()),
            "Lost is everything that was written after the snapshot was taken.".to_owned(),
        ]),
    }
    lines.push("Each other old member waits when it sees this cluster, and joins it after `cluster-agent rejoin --yes` there.".to_owned());
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
    endpoints.insert(ground.local_url(files.is_some()));
    let found = Lookout::before_recovery().look(&endpoints, files.map(Tls::from).as_ref(), &ground.machine_id).await;
    if found.is_some() { bail!(QuorumExists { next }) } else { Ok(()) }
}

/// Begins again. The daemon must not run meanwhile.
///
/// # Errors
/// A quorum answers; there is no data; the snapshot is damaged; etcd does not come up. What was there is still there, or beside it.
pub async fn recover(from: &From, ground: &Ground, files: Option<&Files>, init: &impl Init, now: jiff::Timestamp) -> Result<()> {
    refuse_with_quorum(ground, files, "See `cluster-agent status`.").await?;
    match from {
        From::Member => {
            let copies = Copies::beside(&ground.data);
            let file = snapshot_of_data(ground, files, init, &copies, now).await?;
            restore(ground, files, init, &file, now).await?;
            copies.remove()?;
        }
        From::Snapshot(file) => restore(ground, files, init, file, now).await?,
    }
    // The others are learned anew, and what this machine was is another thing now.
    let size = Memory::read(&ground.state)?.size;
    Memory { size, ..Memory::default() }.write(&ground.state)
}

/// What is made on the way from a member's data to a snapshot of it; an interrupted recovery leaves them to the next one.
struct Copies {
    data: PathBuf,
    snapshots: PathBuf,
}

impl Copies {
    fn beside(data: &Path) -> Self {
        let beside = |ending: &str| {
            let mut path = data.as_os_str().to_owned();
            path.push(ending);
            PathBuf::from(path)
        };
        Self { data: beside(".copy"), snapshots: beside(".copy-snapshot") }
    }

    fn remove(&self) -> Result<()> {
        for folder in [&self.data, &self.snapshots] {
            if folder.exists() {
                std::fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
            }
        }
        Ok(())
    }
}

/// A snapshot of all that this member knows, its log included, which its database may be behind of.
///
/// An etcd runs for it on a copy, as the only member: whatever goes wrong, the data is as it was.
async fn snapshot_of_data(
    ground: &Ground,
    files: Option<&Files>,
    init: &impl Init,
    copies: &Copies,
    now: jiff::Timestamp,
) -> Result<PathBuf> {
    ensure!(has_data(&ground.data), "there is no data of etcd in {}: choose another machine, or a snapshot", ground.data.display());
    init.stop().await?;
    copies.remove()?;
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a file name that is no text");
    run(Path::new("cp"), &["--archive", "--reflink=auto", &text(&ground.data)?, &text(&copies.data)?]).await?;
    let aside = Ground { data: copies.data.clone(), ..ground.clone() };
    init.start(&Launch::new(&aside, files, &Joining::Alone)).await?;
    let endpoint = ground.local_url(files.is_some());
    let certificates = files.map(Tls::from);
    let taken = tokio::time::timeout(PATIENCE, async {
        let endpoints = BTreeSet::from([endpoint]);
        let mut lookout = Lookout::default();
        loop {
            if let Some((client, _)) = lookout.look(&endpoints, certificates.as_ref(), &ground.machine_id).await {
                return snapshot::take(client, &copies.snapshots, now, &ground.etcdutl).await;
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
    let taken = taken.await;
    // Whatever came of it: the next start must not force anything.
    init.stop().await?;
    taken.with_context(|| format!("etcd did not answer within {} s; see `journalctl -u etcd`", PATIENCE.as_secs()))?
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

/// Why this machine's data is not put aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stays {
    /// There is none.
    #[error("there is no data of etcd on this machine: it joins by itself; `cluster-agent status` says what it waits for")]
    NoData,
    /// What is here is part of a cluster that works.
    #[error(
        "etcd on this machine answers for a quorum: putting its data aside would take a good member from a cluster. If another cluster is \
         the right one, end this one here first: `systemctl stop cluster-agent etcd`"
    )]
    Works,
    /// There is nothing to join, and what is here may be all that is left.
    #[error(
        "no other member answers for a quorum: there is nothing to join, and the data here may be all that is left. \
         `cluster-agent recover --from member` begins again from it"
    )]
    Alone,
}

/// Makes sure that this machine's data is not needed: its own etcd is no part of a quorum, and there is one without it.
///
/// # Errors
/// [`Stays`].
pub async fn refuse_to_rejoin(ground: &Ground, files: Option<&Files>) -> Result<()> {
    ensure!(has_data(&ground.data), Stays::NoData);
    let own = BTreeSet::from([ground.local_url(files.is_some())]);
    let mut lookout = Lookout::before_recovery();
    let certificates = files.map(Tls::from);
    let answers = lookout.look(&own, certificates.as_ref(), &ground.machine_id).await;
    ensure!(answers.is_none(), Stays::Works);
    let others = Memory::read(&ground.state)?.members.into_iter().flat_map(|known| known.client_urls).collect();
    let answers = lookout.look(&others, certificates.as_ref(), &ground.machine_id).await;
    ensure!(answers.is_some(), Stays::Alone);
    Ok(())
}

/// Puts this machine's data aside, so that it joins the cluster that the others have. The daemon must not run meanwhile.
///
/// # Errors
/// The data is needed, see [`Stays`]; etcd cannot be stopped, or the data not be renamed.
pub async fn rejoin(ground: &Ground, files: Option<&Files>, init: &impl Init) -> Result<()> {
    refuse_to_rejoin(ground, files).await?;
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
          - what is in /var/lib/etcd/default is read by an etcd of its own, from a copy, and restored with a new identity of the cluster
          - the data itself is put aside as /var/lib/etcd/default.before-restore
        Lost is what other members had accepted and this one had not heard of. Choose the member that was last well.
        Each other old member waits when it sees this cluster, and joins it after `cluster-agent rejoin --yes` there.
        If the others still run and have a quorum among themselves, there are two clusters afterwards. Make sure that they do not.
        ");
        insta::assert_snapshot!(explain(&"/a/b.db".parse().unwrap(), &ground()).join("\n"), @r"
        This machine (n1, 10.0.0.1) becomes the only member of the cluster:
          - the data in /var/lib/etcd/default is put aside as /var/lib/etcd/default.before-restore
          - /a/b.db is restored in its place, with a new identity of the cluster
        Lost is everything that was written after the snapshot was taken.
        Each other old member waits when it sees this cluster, and joins it after `cluster-agent rejoin --yes` there.
        If the others still run and have a quorum among themselves, there are two clusters afterwards. Make sure that they do not.
        ");
    }
}
