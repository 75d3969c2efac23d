//! What people look at, read from the store, without HTTP: the API, the metrics and the page show the same.

use serde::Serialize;

use crate::policy::{
    Ask, Catalog, Counts, Decision, Group, Live, ReleaseId, RolloutId, Share, State, Step, Time, Version, View, decide, explain, target,
};
use crate::store::{Db, StoreError, audit, catalog, events, grants, groups, machines, rollouts};

/// Reports shown of one machine.
const EVENTS: i64 = 200;
/// Machines shown that a rollout went wrong on.
const CASUALTIES: i64 = 200;

/// A rollout on one line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Progress {
    /// Its number.
    pub id: RolloutId,
    /// In which group.
    pub group: String,
    /// What spreads.
    pub release: ReleaseId,
    /// Its application.
    pub app: String,
    /// Its architecture.
    pub arch: String,
    /// Its version.
    pub version: Version,
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
    /// The share the ramp allows now.
    pub share: Share,
    /// When it began.
    pub started_at: Time,
    /// What has become of it.
    pub counts: Counts,
}

/// A rollout in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RolloutPage {
    /// The line of the list.
    pub progress: Progress,
    /// How it spreads.
    pub settings: crate::policy::Settings,
    /// For the chart, oldest first; the last one is now.
    pub points: Vec<rollouts::Point>,
    /// Machines it went wrong on, with cause.
    pub casualties: Vec<grants::Casualty>,
}

/// The whole fleet on one page.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fleet {
    /// Groups by name.
    pub groups: Vec<Group>,
    /// Machines by group, version and standing.
    pub machines: Vec<machines::Tally>,
    /// Rollouts, newest first.
    pub rollouts: Vec<Progress>,
}

/// A machine in full.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct MachinePage {
    /// What is known of it.
    pub machine: machines::Record,
    /// What it would be answered now.
    pub decision: Decision,
    /// Why: the rules in their order, up to the one that decided.
    pub why: Vec<Step>,
    /// The releases it was given and what became of them, newest first.
    pub grants: Vec<grants::Stored>,
    /// What it reported, newest first.
    pub events: Vec<events::Event>,
}

fn progress(stored: rollouts::Stored, releases: &[catalog::Stored], now: Time) -> Option<(Progress, crate::policy::Settings)> {
    let release = &releases.iter().find(|release| release.release.id == stored.rollout.release)?.release;
    // As the policy that grants it says: none while the canaries go first.
    let share = stored.rollout.share(now);
    let progress = Progress {
        id: stored.rollout.id,
        group: stored.group,
        release: release.id,
        app: release.app.clone(),
        arch: release.arch.clone(),
        version: release.version.clone(),
        state: stored.rollout.state,
        share,
        started_at: stored.rollout.started_at,
        counts: stored.counts,
    };
    Some((progress, stored.rollout.settings))
}

/// All rollouts, newest first.
///
/// # Errors
/// The database's.
pub async fn rollout_list(db: &Db, now: Time) -> Result<Vec<Progress>, StoreError> {
    let releases = catalog::releases(db).await?;
    Ok(rollouts::list(db).await?.into_iter().filter_map(|stored| progress(stored, &releases, now)).map(|(progress, _)| progress).collect())
}

/// One rollout; `None` when there is none of that number.
///
/// # Errors
/// The database's.
pub async fn rollout(db: &Db, id: RolloutId, now: Time) -> Result<Option<RolloutPage>, StoreError> {
    let Some(stored) = rollouts::get(db, id).await? else { return Ok(None) };
    let Some((progress, settings)) = progress(stored, &catalog::releases(db).await?, now) else { return Ok(None) };
    let mut points = rollouts::points(db, id).await?;
    points.push(rollouts::Point { at: now, share: progress.share, counts: progress.counts });
    Ok(Some(RolloutPage { progress, settings, points, casualties: grants::casualties(db, id, CASUALTIES).await? }))
}

/// The whole fleet.
///
/// # Errors
/// The database's.
pub async fn fleet(db: &Db, now: Time) -> Result<Fleet, StoreError> {
    Ok(Fleet { groups: groups::list(db).await?, machines: machines::tallies(db).await?, rollouts: rollout_list(db, now).await? })
}

/// One page of machines.
///
/// # Errors
/// The database's.
pub async fn machine_list(db: &Db, filter: &machines::Filter) -> Result<Vec<machines::Record>, StoreError> {
    machines::list(db, filter).await
}

/// One machine with its history and the policy's own explanation; `None` when it was never heard of.
///
/// # Errors
/// The database's.
pub async fn machine(db: &Db, machine_id: &str, now: Time) -> Result<Option<MachinePage>, StoreError> {
    let Some(record) = machines::get(db, machine_id).await? else { return Ok(None) };
    let group = groups::list(db).await?.into_iter().find(|group| group.name == record.group);
    let releases = catalog::releases(db).await?.into_iter().map(|stored| stored.release).collect();
    let catalog = Catalog { releases, channels: catalog::channels(db).await? };
    let facts = record.policy();
    let release = group.as_ref().and_then(|group| target(&facts, group, &catalog).ok());
    let live = match release {
        Some(release) => {
            rollouts::list(db).await?.into_iter().find(|stored| stored.group == record.group && stored.rollout.release == release.id)
        }
        None => None,
    };
    let grants = grants::of(db, record.id).await?;
    let grant = live.as_ref().and_then(|live| grants.iter().find(|grant| grant.rollout == live.rollout.id)).map(|stored| stored.grant);
    let live = live.as_ref().map(|stored| Live { rollout: &stored.rollout, counts: &stored.counts, grant: grant.as_ref() });
    let view = View { group: group.as_ref(), catalog: &catalog, live };
    let ask = Ask { now, machine: &facts, position: None };
    let (decision, why) = (decide(&ask, &view), explain(&ask, &view));
    let events = events::of(db, record.id, EVENTS).await?;
    Ok(Some(MachinePage { machine: record, decision, why, grants, events }))
}

/// The newest changes that people made, newest first.
///
/// # Errors
/// The database's.
pub async fn history(db: &Db, before: Option<i64>, limit: i64) -> Result<Vec<audit::Entry>, StoreError> {
    audit::list(db, before.unwrap_or(i64::MAX), limit).await
}
