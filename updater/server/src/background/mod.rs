//! What happens by itself, once in a while: silent machines, the brake, the end of rollouts, chart points, and fresh metadata.

pub mod findings;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;

use crate::checkin::batch::note_change;
use crate::clock::Clock;
use crate::http::App;
use crate::http::api::publish::record;
use crate::policy::{Outcome, RolloutId, Span, State, Time};
use crate::publish::{PublishError, online, switch, verify};
use crate::store::{Db, StoreError, catalog, discovery, events, grants, marks, rollouts};

/// How often. A brake that comes half a minute later than it could is not noticed; check-ins judge it as well.
const EVERY: Duration = Duration::from_secs(30);
/// Rounds from one look for what needs somebody to the next: ten minutes, because it counts all machines by their versions.
const LOOK_EVERY: u32 = 20;
/// Least distance of two points in a rollout's chart.
const POINT_EVERY: Span = Span::minutes(5);
/// Grants that one transaction marks as silent or failed, so that check-ins wait only for moments.
const AT_ONCE: usize = 500;
/// How long reports of machines are kept.
const EVENTS_KEPT: Span = Span::hours(90 * 24);

/// Runs until the server stops.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) {
    for turn in (0..LOOK_EVERY).cycle() {
        if let Err(error) = round(&app.db, &app.clock).await {
            app.metrics.database_error();
            tracing::error!(%error, "looking after rollouts failed; it is tried again");
        }
        if let Err(error) = resign(&app).await {
            tracing::error!(%error, "the metadata could not be signed afresh; machines refuse it when it expires");
        }
        if turn == 0 {
            match findings::look(&app).await {
                Ok(found) => app.findings.replace(found),
                Err(error) => tracing::error!(%error, "what needs somebody could not be looked for"),
            }
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One round over all rollouts.
///
/// # Errors
/// The database's; what was done is done, the rest comes with the next round.
pub async fn round(db: &Db, clock: &Clock) -> Result<(), StoreError> {
    let now = clock.of(db).await?;
    let releases = catalog::releases(db).await?;
    for stored in rollouts::list(db).await? {
        let release = releases.iter().find(|known| known.release.id == stored.rollout.release);
        let population = match release {
            Some(known) if stored.rollout.state == State::Running => Some(rollouts::recount(db, &stored, &known.release, now).await?),
            _ => None,
        };
        loop {
            match look_after(db, stored.rollout.id, population, now).await {
                Ok(Rest::Some) => {}
                Ok(Rest::None) => break,
                // Somebody else changed it at this moment: it is looked after again in the next round.
                Err(error) if error.passing() => break,
                Err(error) => return Err(error),
            }
        }
    }
    let mut tx = db.begin().await?;
    events::forget(&mut tx, now - EVENTS_KEPT).await?;
    discovery::forget(&mut tx, now).await?;
    tx.commit().await
}

/// Whether there is more to do than one transaction does.
enum Rest {
    Some,
    None,
}

async fn look_after(db: &Db, id: RolloutId, population: Option<u64>, now: Time) -> Result<Rest, StoreError> {
    let last = rollouts::points(db, id).await?.pop();
    let mut tx = db.begin().await?;
    let Some(mut stored) = rollouts::lock(&mut tx, &[id]).await?.pop() else { return Ok(Rest::None) };
    let before = (stored.rollout.clone(), stored.counts);
    let running = stored.rollout.state == State::Running;
    let mut rest = Rest::None;
    // One that is done still gives the release to newcomers, so the brake watches it as well.
    if stored.rollout.offers(now).is_ok() {
        stored.counts.population = population.unwrap_or(stored.counts.population);
        let brake = stored.rollout.settings.brake;
        // A sign of life takes a silence back: the machine's next check-in books one.
        let overdue = grants::overdue(&mut tx, id, now - brake.silence, AT_ONCE).await?;
        let hopeless = grants::hopeless(&mut tx, id, now - brake.patience, AT_ONCE).await?;
        if overdue.len().max(hopeless.len()) >= AT_ONCE {
            rest = Rest::Some;
        }
        let mut changed = BTreeMap::new();
        for (mut grant, outcome) in
            overdue.into_iter().map(|grant| (grant, Outcome::Silent)).chain(hopeless.into_iter().map(|grant| (grant, Outcome::Failed)))
        {
            // One that is both is silent: nobody knows whether it still fails.
            if !changed.contains_key(&grant.machine) && stored.counts.book(Some(&mut grant.grant), outcome, &brake) {
                changed.insert(grant.machine, grant);
            }
        }
        let changed: Vec<_> = changed.into_values().collect();
        grants::write(&mut tx, &changed).await?;
        for change in stored.rollout.settle(&stored.counts, now) {
            tracing::info!(rollout = id.0, ?change, "a rollout changed by itself");
            note_change(&mut tx, now, id, &change).await?;
        }
    }
    let due = last.is_none_or(|last| now.since(last.at) >= POINT_EVERY && (running || last.counts != stored.counts));
    if due {
        let point = rollouts::Point { at: now, share: stored.rollout.share(now), counts: stored.counts };
        rollouts::add_point(&mut tx, id, &point).await?;
    }
    if before != (stored.rollout.clone(), stored.counts) {
        rollouts::write(&mut tx, &mut stored).await?;
    }
    tx.commit().await?;
    // A rollout that was stopped meanwhile waits for a person, and so does the rest of its silence.
    Ok(if stored.rollout.offers(now).is_ok() { rest } else { Rest::None })
}

/// Signs timestamp and snapshot afresh when it is time, where this server has the online keys.
///
/// # Errors
/// The disk's, or the keys are not those of the root.
pub async fn resign(app: &App) -> Result<(), PublishError> {
    let _one = app.publishing.lock().await;
    let shared = app.clone();
    let now = jiff::Timestamp::from_millisecond(app.now().0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let work = tokio::task::spawn_blocking(move || {
        let published = verify::files(&shared.layout.tuf())?;
        if let Some(fresh) = online::refresh(&published, &shared.keys, now)? {
            switch::metadata(&shared.layout, &fresh)?;
            tracing::info!("signed the metadata afresh");
            return Ok(true);
        }
        Ok(false)
    });
    let fresh =
        work.await.unwrap_or_else(|error| Err(PublishError::Io { path: app.layout.tuf(), source: std::io::Error::other(error) }))?;
    if fresh {
        let mut tx = app.db.begin().await?;
        marks::raise(&mut tx, &marks::served(&app.layout)).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Completes what an earlier run published and did not record, because it was killed between the two.
///
/// # Errors
/// What is published does not verify any more, or the database's.
pub async fn reconcile(app: &App) -> anyhow::Result<()> {
    let shared = app.clone();
    let now = jiff::Timestamp::from_millisecond(app.now().0)?;
    let verified =
        tokio::task::spawn_blocking(
            move || {
                if shared.layout.tuf().exists() { verify::published(&shared.layout, now).map(Some) } else { Ok(None) }
            },
        )
        .await??;
    if let Some(releases) = verified {
        record(app, &releases, "server").await.map_err(|problem| anyhow::anyhow!("{}", problem.message))?;
    }
    Ok(())
}
