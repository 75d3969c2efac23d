//! What needs somebody though the server runs: traces of a restored backup, files that are gone, a wrong clock.
//!
//! No host is rolled back by any of it, because hosts refuse metadata older than what they have seen; but nothing new reaches them
//! either, and nobody would know. So it is looked for every ten minutes, logged when it appears and when it ends, and shown on the page.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::http::App;
use crate::policy::{Span, Time, Version};
use crate::publish::{PublishError, verify};
use crate::store::catalog::{self, Stored};
use crate::store::{Db, StoreError, marks};

/// How far this machine's clock may be from the database's: metadata lives for days, and nobody reads logs to the second.
const CLOCK_TOLERANCE: Span = Span::seconds(60);

/// What kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The served metadata is older than what was served before: files of an older backup.
    FilesRestored,
    /// Machines run releases newer than any here: everything of an older backup, or a release that was never published here.
    MachinesAhead,
    /// The files of a release are gone.
    FilesMissing,
    /// What is served does not verify, mostly because it expired.
    MetadataInvalid,
    /// This machine's clock is not the database's.
    ClockOff,
}

impl Kind {
    /// For programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FilesRestored => "files-restored",
            Self::MachinesAhead => "machines-ahead",
            Self::FilesMissing => "files-missing",
            Self::MetadataInvalid => "metadata-invalid",
            Self::ClockOff => "clock-off",
        }
    }
}

/// One thing that needs somebody: what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// For people.
    pub text: String,
}

/// What was found in the last round. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Findings(Arc<Mutex<Vec<Finding>>>);

impl Findings {
    /// All of it.
    #[must_use]
    pub fn all(&self) -> Vec<Finding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces what is known, and logs what appeared and what ended.
    pub fn replace(&self, new: Vec<Finding>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for finding in new.iter().filter(|finding| !known.iter().any(|known| known.kind == finding.kind)) {
            tracing::warn!(finding = finding.kind.name(), "{}", finding.text);
        }
        for gone in known.iter().filter(|known| !new.iter().any(|finding| finding.kind == known.kind)) {
            tracing::info!(finding = gone.kind.name(), "this is over: {}", gone.text);
        }
        *known = new;
    }
}

/// Looks for all of it.
///
/// # Errors
/// The database's.
pub async fn look(app: &App) -> Result<Vec<Finding>, StoreError> {
    let releases = catalog::releases(&app.db).await?;
    let known = marks::read(&app.db).await?;
    let (layout, files) = (app.layout.clone(), releases.clone());
    let stamp = jiff::Timestamp::from_millisecond(app.now().0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let on_disk = tokio::task::spawn_blocking(move || {
        let invalid = layout.tuf().exists().then(|| verify::published(&layout, stamp).err()).flatten();
        (marks::served(&layout), missing(&layout.repository, &files), invalid)
    });
    let Ok((served, missing, invalid)) = on_disk.await else { return Ok(Vec::new()) };
    let found = [
        restored(&known, &served),
        ahead(&app.db, &releases).await?,
        files_missing(&missing),
        invalid.as_ref().and_then(metadata_invalid),
        clock_off(app.now(), app.clock.of(&app.db).await?),
    ];
    Ok(found.into_iter().flatten().collect())
}

fn restored(known: &marks::Marks, served: &marks::Marks) -> Option<Finding> {
    let older: Vec<String> = known
        .iter()
        .filter(|(role, version)| served.get(*role).is_none_or(|served| served < *version))
        .map(|(role, version)| match served.get(role) {
            Some(served) => format!("{role} {served} instead of {version}"),
            None => format!("no {role} instead of {version}"),
        })
        .collect();
    let text = format!(
        "The served metadata is older than what was served before ({}): the data folder was restored from an older backup. Hosts refuse \
         it, so none is rolled back, and none gets anything new. Publish the repository again.",
        older.join(", ")
    );
    (!older.is_empty()).then_some(Finding { kind: Kind::FilesRestored, text })
}

async fn ahead(db: &Db, releases: &[Stored]) -> Result<Option<Finding>, StoreError> {
    let mut newest: BTreeMap<(&str, &str), &Version> = BTreeMap::new();
    for release in releases.iter().map(|stored| &stored.release) {
        let best = newest.entry((&release.app, &release.arch)).or_insert(&release.version);
        *best = (*best).max(&release.version);
    }
    let (mut machines, mut versions) = (0, BTreeSet::new());
    for row in db.rows("SELECT app, arch, version, COUNT(*) FROM machines GROUP BY app, arch, version", &[]).await? {
        // What cannot be read is no version of ours.
        let (best, Ok(version)) = (newest.get(&(row.text(0)?, row.text(1)?)), Version::parse(row.text(2)?)) else { continue };
        if best.is_some_and(|best| version.cmp_precedence(best).is_gt()) {
            machines += row.count(3)?;
            versions.insert(version);
        }
    }
    let text = |version: &Version| {
        format!(
            "{machines} machines run a release that is newer than any here (up to {version}). If this server was restored from a backup, \
             publish the repository again; until then they get nothing, and nothing older."
        )
    };
    Ok(versions.last().map(|version| Finding { kind: Kind::MachinesAhead, text: text(version) }))
}

/// The first missing file of each release that is offered.
fn missing(repository: &std::path::Path, releases: &[Stored]) -> Vec<String> {
    let offered = releases.iter().filter(|stored| stored.release.blocked.is_none());
    offered
        .filter_map(|stored| {
            let folder = repository.join("targets").join(&stored.offer.folder);
            let gone = stored.offer.packages.iter().find(|package| !folder.join(&package.name).is_file())?;
            Some(format!("{}/{}", stored.offer.folder, gone.name))
        })
        .collect()
}

fn files_missing(missing: &[String]) -> Option<Finding> {
    let first = missing.first()?;
    let text = format!(
        "Files of {} releases that are offered are not here (first: {first}). Restore the repository folder, or block those releases: \
         machines that are given one cannot fetch it.",
        missing.len()
    );
    Some(Finding { kind: Kind::FilesMissing, text })
}

fn metadata_invalid(error: &PublishError) -> Option<Finding> {
    // Said by another finding already.
    if matches!(error, PublishError::Missing(_)) {
        return None;
    }
    let text = format!("The served metadata does not verify, so hosts refuse it: {error}. Publish the repository again.");
    Some(Finding { kind: Kind::MetadataInvalid, text })
}

fn clock_off(own: Time, database: Time) -> Option<Finding> {
    let (fast, slow) = (own.since(database), database.since(own));
    let text = |span: Span, way: &str| {
        format!(
            "The clock of this machine is {} {way} the database's. Rollouts follow the database's; what is signed and what expires follows \
             this one. Set it.",
            Span::seconds(span.0 / 1000)
        )
    };
    let text = if fast > CLOCK_TOLERANCE { text(fast, "ahead of") } else { text(slow, "behind") };
    (fast.0.max(slow.0) > CLOCK_TOLERANCE.0).then_some(Finding { kind: Kind::ClockOff, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_metadata_than_ever_is_found() {
        let marks = |timestamp, targets| marks::Marks::from([("timestamp", timestamp), ("targets", targets)]);
        for (known, served, found) in [
            (marks(5, 3), marks(5, 3), false),
            (marks(5, 3), marks(6, 3), false),
            (marks::Marks::new(), marks(1, 1), false),
            (marks::Marks::new(), marks::Marks::new(), false),
            (marks(5, 3), marks(4, 3), true),
            (marks(5, 3), marks(6, 2), true),
            (marks(5, 3), marks::Marks::new(), true),
        ] {
            assert_eq!(restored(&known, &served).is_some(), found, "{known:?} {served:?}");
        }
    }

    #[test]
    fn a_clock_may_be_a_minute_off() {
        for (own, database, found) in [(0, 0, false), (60_000, 0, false), (0, 60_000, false), (60_001, 0, true), (0, 7_200_000, true)] {
            assert_eq!(clock_off(Time(own), Time(database)).is_some(), found, "{own} {database}");
        }
        assert!(clock_off(Time(7_200_000), Time(0)).unwrap().text.contains("2h ahead of"));
    }
}
