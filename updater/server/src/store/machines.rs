//! Machines: what each one said of itself, and what an operator said of it.

use serde::{Deserialize, Serialize};

use super::db::Row;
use super::{Db, Items, StoreError, Tx};
use crate::args;
use crate::policy::{Machine, Phase, Progress, RolloutId, Time, Version};

/// Where a machine stands, in one word for lists and counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// Nothing under way.
    Idle,
    /// It was given a release and has not begun.
    Granted,
    /// It fetches the release.
    Downloading,
    /// It has all bytes.
    Downloaded,
    /// It waits for its reboot.
    Staged,
    /// The last update failed.
    Failed,
    /// It came back from the last update.
    RolledBack,
}

impl Standing {
    /// All of them, in the order of an update.
    pub const ALL: [Self; 7] =
        [Self::Idle, Self::Granted, Self::Downloading, Self::Downloaded, Self::Staged, Self::Failed, Self::RolledBack];

    /// As stored and shown.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Granted => "granted",
            Self::Downloading => "downloading",
            Self::Downloaded => "downloaded",
            Self::Staged => "staged",
            Self::Failed => "failed",
            Self::RolledBack => "rolled-back",
        }
    }
}

/// Why the last update of a machine failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    /// When it said so.
    pub at: Time,
    /// The error code, without flag bits.
    pub code: i64,
    /// What the machine says was the cause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The release that failed, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Whether the machine had booted it and came back.
    pub rolled_back: bool,
}

/// What is kept of a machine beside the columns that lists filter by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Facts {
    /// Version of the platform's tools.
    pub oem_version: String,
    /// Board, e.g. `amd64-usr`.
    pub board: String,
    /// A name its owner gave it.
    pub alias: String,
    /// The version it was first installed with.
    pub aleph: String,
    /// Version of its update client.
    pub client: String,
    /// The boot it is in.
    pub boot_id: String,
    /// Boots before that, newest first: one that comes back belongs to another machine with the same id.
    pub earlier_boots: Vec<String>,
    /// How often an earlier boot came back; a cloned disk shows itself by this.
    pub duplicates: u32,
    /// The group was set by an operator; what the machine says of its track is ignored.
    pub group_fixed: bool,
    /// Tags that an operator gave it.
    pub tags: Vec<String>,
    /// The version an operator holds it at.
    pub pin: Option<Version>,
    /// Versions it will never try again.
    pub quarantined: Vec<Version>,
    /// The update it is busy with.
    pub progress: Option<Progress>,
    /// Why the last update failed; forgotten at the next success.
    pub failure: Option<Failure>,
    /// The rollout that gave it a release whose outcome may still change.
    pub open: Option<RolloutId>,
}

/// A machine as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// The storage's number.
    #[serde(skip)]
    pub id: i64,
    /// Application id, normalised.
    pub app: String,
    /// What it calls itself.
    pub machine_id: String,
    /// Its group.
    pub group: String,
    /// The version it runs, as it says.
    pub version: String,
    /// Architecture.
    pub arch: String,
    /// Platform.
    pub oem: String,
    /// Where it stands.
    pub state: Standing,
    /// When it was first heard of.
    pub first_seen: Time,
    /// When it was last heard of.
    pub last_seen: Time,
    /// The rest.
    #[serde(flatten)]
    pub facts: Facts,
}

impl Record {
    /// The facts that decide.
    #[must_use]
    pub fn policy(&self) -> Machine {
        Machine {
            id: self.machine_id.clone(),
            app: self.app.clone(),
            arch: self.arch.clone(),
            version: lenient_version(&self.version),
            group: self.group.clone(),
            oem: self.oem.clone(),
            tags: self.facts.tags.clone(),
            pin: self.facts.pin.clone(),
            quarantined: self.facts.quarantined.clone(),
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            progress: self.facts.progress.clone(),
        }
    }

    /// The word for where it stands, from its facts.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match (&self.facts.progress, &self.facts.failure, self.facts.open) {
            (Some(Progress { phase: Phase::Downloading, .. }), _, _) => Standing::Downloading,
            (Some(Progress { phase: Phase::Downloaded, .. }), _, _) => Standing::Downloaded,
            (Some(Progress { phase: Phase::Staged, .. }), _, _) => Standing::Staged,
            (None, Some(failure), _) if failure.rolled_back => Standing::RolledBack,
            (None, Some(_), _) => Standing::Failed,
            (None, None, Some(_)) => Standing::Granted,
            (None, None, None) => Standing::Idle,
        }
    }
}

/// A machine's version for comparisons. What cannot be read counts as older than everything, so that the machine is helped
/// out of it; a missing part is zero.
#[must_use]
pub fn lenient_version(text: &str) -> Version {
    let padded = || Version::parse(&format!("{text}.0")).or_else(|_| Version::parse(&format!("{text}.0.0")));
    Version::parse(text).or_else(|_| padded()).unwrap_or(Version::new(0, 0, 0))
}

const COLUMNS: &str = "m.id, m.app, m.machine_id, m.group_name, m.version, m.arch, m.oem, m.state, m.first_seen, m.doc, s.at";
/// What is read from: when a machine was last heard of is written at every check-in, and the rest hardly ever. Apart, a check-in
/// writes a few bytes of a small table instead of a whole row of a large one.
const TABLES: &str = "machines m JOIN seen s ON s.machine = m.id";

fn record(mut row: Row) -> Result<Record, StoreError> {
    let state = row.text(7)?;
    Ok(Record {
        id: row.int(0)?,
        state: Standing::ALL.into_iter().find(|standing| standing.name() == state).unwrap_or(Standing::Idle),
        first_seen: Time(row.int(8)?),
        last_seen: Time(row.int(10)?),
        facts: row.document(9)?,
        app: row.take(1)?,
        machine_id: row.take(2)?,
        group: row.take(3)?,
        version: row.take(4)?,
        arch: row.take(5)?,
        oem: row.take(6)?,
    })
}

/// Notes that machines were heard of, which locks them, and reads them; those that are not known yet are left out.
///
/// Locked is the row in `seen`: whoever changes a machine has gone through here, or through [`lock`]. Only then it is read, so
/// that what another replica wrote meanwhile is seen.
///
/// # Errors
/// The database's.
pub async fn hear(tx: &mut Tx, names: &[(&str, &str)], now: Time) -> Result<Vec<Record>, StoreError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut args = args![now.0].to_vec();
    let columns = vec![Items::texts("app", names.iter().map(|(app, _)| *app)), Items::texts("machine_id", names.iter().map(|(_, id)| *id))];
    let items = tx.items(&mut args, columns);
    // CROSS JOIN keeps SQLite from walking all machines and looking each up in the list.
    let sql = format!(
        "UPDATE seen SET at = $1 WHERE machine IN (SELECT m.id FROM {items} CROSS JOIN machines m \
         WHERE m.app = item.app AND m.machine_id = item.machine_id ORDER BY m.id) RETURNING machine"
    );
    let heard = tx.rows(sql, &args).await?;
    let ids = heard.iter().map(|row| row.int(0)).collect::<Result<Vec<i64>, _>>()?;
    read(tx, ids).await
}

async fn read(tx: &mut Tx, ids: Vec<i64>) -> Result<Vec<Record>, StoreError> {
    let mut args = Vec::new();
    let items = tx.items(&mut args, vec![Items::ints("wanted", ids)]);
    let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE m.id IN (SELECT wanted FROM {items}) ORDER BY m.id");
    tx.rows(sql, &args).await?.into_iter().map(record).collect()
}

/// Reads and locks machines by application and id, in the order of their numbers.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, names: &[(&str, &str)]) -> Result<Vec<Record>, StoreError> {
    let mut args = Vec::new();
    let columns = vec![Items::texts("app", names.iter().map(|(app, _)| *app)), Items::texts("machine_id", names.iter().map(|(_, id)| *id))];
    let (items, lock) = (tx.items(&mut args, columns), if tx.for_update().is_empty() { "" } else { " FOR UPDATE OF s" });
    let sql = format!(
        "SELECT s.machine FROM {items} CROSS JOIN machines m JOIN seen s ON s.machine = m.id \
         WHERE m.app = item.app AND m.machine_id = item.machine_id ORDER BY s.machine{lock}"
    );
    let locked = tx.rows(sql, &args).await?;
    let ids = locked.iter().map(|row| row.int(0)).collect::<Result<Vec<i64>, _>>()?;
    read(tx, ids).await
}

/// Adds machines that are new; those that another replica added meanwhile are left alone.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, records: &[&Record]) -> Result<(), StoreError> {
    let now = records.first().map_or(0, |record| record.first_seen.0);
    let columns = vec![
        Items::texts("app", records.iter().map(|record| record.app.as_str())),
        Items::texts("machine_id", records.iter().map(|record| record.machine_id.as_str())),
        Items::texts("group_name", records.iter().map(|record| record.group.as_str())),
        Items::texts("version", records.iter().map(|record| record.version.as_str())),
        Items::texts("arch", records.iter().map(|record| record.arch.as_str())),
    ];
    let mut args = args![now].to_vec();
    let items = tx.items(&mut args, columns);
    let sql = format!(
        "INSERT INTO machines (app, machine_id, group_name, version, arch, oem, state, first_seen, doc) \
         SELECT app, machine_id, group_name, version, arch, '', 'idle', $1, '{{}}' \
         FROM {items} WHERE true ON CONFLICT (app, machine_id) DO NOTHING RETURNING id"
    );
    let added = tx.rows(sql, &args).await?;
    let ids = added.iter().map(|row| row.int(0)).collect::<Result<Vec<i64>, _>>()?;
    let mut args = args![now].to_vec();
    let items = tx.items(&mut args, vec![Items::ints("machine", ids)]);
    tx.run(format!("INSERT INTO seen (machine, at) SELECT machine, $1 FROM {items}"), &args).await?;
    Ok(())
}

/// Writes machines back that [`hear`] or [`lock`] read.
///
/// # Errors
/// The database's.
pub async fn write(tx: &mut Tx, records: &[&Record]) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let docs = records.iter().map(|record| serde_json::to_string(&record.facts)).collect::<Result<Vec<_>, _>>()?;
    let columns = vec![
        Items::ints("id", records.iter().map(|record| record.id)),
        Items::texts("group_name", records.iter().map(|record| record.group.as_str())),
        Items::texts("version", records.iter().map(|record| record.version.as_str())),
        Items::texts("arch", records.iter().map(|record| record.arch.as_str())),
        Items::texts("oem", records.iter().map(|record| record.oem.as_str())),
        Items::texts("state", records.iter().map(|record| record.standing().name())),
        Items::texts("doc", docs.iter().map(String::as_str)),
    ];
    let mut args = Vec::new();
    let items = tx.items(&mut args, columns);
    let sql = format!(
        "UPDATE machines SET group_name = item.group_name, version = item.version, arch = item.arch, oem = item.oem, \
         state = item.state, doc = item.doc FROM {items} WHERE machines.id = item.id"
    );
    tx.run(sql, &args).await?;
    Ok(())
}

/// How many machines say they are in a group.
///
/// # Errors
/// The database's.
pub async fn count_in(tx: &mut Tx, group: &str) -> Result<u64, StoreError> {
    tx.row("SELECT COUNT(*) FROM machines WHERE group_name = $1", args![group]).await?.map_or(Ok(0), |row| row.count(0))
}

/// One machine by its id; of several applications, the one heard of last.
///
/// # Errors
/// The database's.
pub async fn get(db: &Db, machine_id: &str) -> Result<Option<Record>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM {TABLES} WHERE m.machine_id = $1 ORDER BY s.at DESC LIMIT 1");
    db.row(sql, args![machine_id]).await?.map(record).transpose()
}

/// What a list of machines is narrowed to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Filter {
    /// Of this group.
    pub group: Option<String>,
    /// Running this version.
    pub version: Option<String>,
    /// Standing so.
    pub state: Option<String>,
    /// Whose id or alias contains this.
    pub search: Option<String>,
    /// Behind this number (of the page before).
    pub after: Option<i64>,
    /// At most so many.
    pub limit: Option<i64>,
}

/// Machines on one page.
pub const PAGE: i64 = 100;
/// Machines on one page at most.
pub const PAGE_MAX: i64 = 1000;

/// One page of machines, in the order in which they were first seen; the last one's number leads to the next page.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db, filter: &Filter) -> Result<Vec<Record>, StoreError> {
    let limit = filter.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let pattern = filter.search.as_ref().map(|text| format!("%{}%", text.replace(['%', '_'], "")));
    let sql = format!(
        "SELECT {COLUMNS} FROM {TABLES} WHERE m.id > $1 AND (CAST($2 AS TEXT) IS NULL OR m.group_name = $2) \
         AND (CAST($3 AS TEXT) IS NULL OR m.version = $3) AND (CAST($4 AS TEXT) IS NULL OR m.state = $4) \
         AND (CAST($5 AS TEXT) IS NULL OR m.machine_id LIKE $5 OR m.doc LIKE $5) ORDER BY m.id LIMIT $6"
    );
    let values = args![filter.after.unwrap_or(0), filter.group.clone(), filter.version.clone(), filter.state.clone(), pattern, limit];
    db.rows(sql, values).await?.into_iter().map(record).collect()
}

/// How many machines of a group run a version and stand so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tally {
    /// Group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Where they stand.
    pub state: String,
    /// How many.
    pub machines: u64,
}

/// Machines by group, version and standing.
///
/// # Errors
/// The database's.
pub async fn tallies(db: &Db) -> Result<Vec<Tally>, StoreError> {
    let sql = "SELECT group_name, version, state, COUNT(*) FROM machines GROUP BY group_name, version, state ORDER BY 1, 2, 3";
    let tally = |row: &Row| {
        Ok(Tally {
            group: row.text(0)?.to_owned(),
            version: row.text(1)?.to_owned(),
            state: row.text(2)?.to_owned(),
            machines: row.count(3)?,
        })
    };
    db.rows(sql, &[]).await?.iter().map(tally).collect()
}

/// How many machines name a group that is none of `groups`.
///
/// # Errors
/// The database's.
pub async fn count_outside(tx: &mut Tx, groups: &[&String]) -> Result<u64, StoreError> {
    let mut args = Vec::new();
    let items = tx.items(&mut args, vec![Items::texts("name", groups.iter().map(|group| group.as_str()))]);
    let sql = format!("SELECT COUNT(*) FROM machines WHERE group_name NOT IN (SELECT name FROM {items})");
    tx.row(sql, &args).await?.map_or(Ok(0), |row| row.count(0))
}
