//! Machines: what each one said of itself, and what an operator said of it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::db::Row;
use super::{Db, StoreError, Tx};
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

const COLUMNS: &str = "m.id, m.app, m.machine_id, m.group_name, m.version, m.arch, m.oem, m.state, m.first_seen, m.last_seen, m.doc";

fn record(row: &Row) -> Result<Record, StoreError> {
    let state = row.text(7)?;
    Ok(Record {
        id: row.int(0)?,
        app: row.text(1)?.to_owned(),
        machine_id: row.text(2)?.to_owned(),
        group: row.text(3)?.to_owned(),
        version: row.text(4)?.to_owned(),
        arch: row.text(5)?.to_owned(),
        oem: row.text(6)?.to_owned(),
        state: Standing::ALL.into_iter().find(|standing| standing.name() == state).unwrap_or(Standing::Idle),
        first_seen: Time(row.int(8)?),
        last_seen: Time(row.int(9)?),
        facts: row.document(10)?,
    })
}

/// Reads and locks machines by application and id, in the order of their numbers.
///
/// # Errors
/// The database's.
pub async fn lock(tx: &mut Tx, names: &[(&str, &str)]) -> Result<Vec<Record>, StoreError> {
    let (items, lock) = (tx.list("$1"), if tx.for_update().is_empty() { "" } else { " FOR UPDATE OF m" });
    // CROSS JOIN keeps SQLite from walking all machines and looking each up in the list.
    let sql = format!(
        "SELECT {COLUMNS} FROM {items} CROSS JOIN machines m WHERE m.app = item.value->>0 AND m.machine_id = item.value->>1 ORDER BY m.id{lock}"
    );
    tx.rows(sql, args![serde_json::to_string(names)?]).await?.iter().map(record).collect()
}

/// Adds machines that are new; those that another replica added meanwhile are left alone.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, records: &[&Record]) -> Result<(), StoreError> {
    let list: Vec<_> =
        records.iter().map(|record| json!([record.app, record.machine_id, record.group, record.version, record.arch])).collect();
    let items = tx.list("$1");
    let sql = format!(
        "INSERT INTO machines (app, machine_id, group_name, version, arch, oem, state, first_seen, last_seen, doc) \
         SELECT item.value->>0, item.value->>1, item.value->>2, item.value->>3, item.value->>4, '', 'idle', $2, $2, '{{}}' \
         FROM {items} WHERE true ON CONFLICT (app, machine_id) DO NOTHING"
    );
    let now = records.first().map_or(0, |record| record.first_seen.0);
    tx.run(sql, args![serde_json::to_string(&list)?, now]).await?;
    Ok(())
}

/// Writes machines back.
///
/// # Errors
/// The database's.
pub async fn write(tx: &mut Tx, records: &[&Record]) -> Result<(), StoreError> {
    if records.is_empty() {
        return Ok(());
    }
    let mut list = Vec::with_capacity(records.len());
    for r in records {
        let doc = serde_json::to_string(&r.facts)?;
        list.push(json!([r.id, r.group, r.version, r.arch, r.oem, r.standing().name(), r.last_seen.0, doc]));
    }
    let items = tx.list("$1");
    let sql = format!(
        "UPDATE machines SET group_name = item.value->>1, version = item.value->>2, arch = item.value->>3, oem = item.value->>4, \
         state = item.value->>5, last_seen = CAST(item.value->>6 AS BIGINT), doc = item.value->>7 \
         FROM {items} WHERE machines.id = CAST(item.value->>0 AS BIGINT)"
    );
    tx.run(sql, args![serde_json::to_string(&list)?]).await?;
    Ok(())
}

/// Notes that machines were heard of and nothing else.
///
/// # Errors
/// The database's.
pub async fn touch(tx: &mut Tx, ids: &[i64], now: Time) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let (items, number) = (tx.list("$1"), tx.item_number());
    let sql = format!("UPDATE machines SET last_seen = $2 WHERE id IN (SELECT {number} FROM {items})");
    tx.run(sql, args![serde_json::to_string(ids)?, now.0]).await?;
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
    let sql = format!("SELECT {COLUMNS} FROM machines m WHERE m.machine_id = $1 ORDER BY m.last_seen DESC LIMIT 1");
    db.row(sql, args![machine_id]).await?.as_ref().map(record).transpose()
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
        "SELECT {COLUMNS} FROM machines m WHERE m.id > $1 AND (CAST($2 AS TEXT) IS NULL OR m.group_name = $2) \
         AND (CAST($3 AS TEXT) IS NULL OR m.version = $3) AND (CAST($4 AS TEXT) IS NULL OR m.state = $4) \
         AND (CAST($5 AS TEXT) IS NULL OR m.machine_id LIKE $5 OR m.doc LIKE $5) ORDER BY m.id LIMIT $6"
    );
    let values = args![filter.after.unwrap_or(0), filter.group.clone(), filter.version.clone(), filter.state.clone(), pattern, limit];
    db.rows(sql, values).await?.iter().map(record).collect()
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
    let items = tx.list("$1");
    // `->> 0` of a one-element list is text in both dialects.
    let list: Vec<_> = groups.iter().map(|group| json!([group])).collect();
    let sql = format!("SELECT COUNT(*) FROM machines WHERE group_name NOT IN (SELECT item.value->>0 FROM {items})");
    tx.row(sql, args![serde_json::to_string(&list)?]).await?.map_or(Ok(0), |row| row.count(0))
}
