//! Releases and channels.

use serde::{Deserialize, Serialize};

use super::db::Row;
use super::{Db, StoreError, Tx};
use crate::args;
use crate::policy::{Channel, Floor, Release, ReleaseId, Time, Version};

/// One file of a release, as an answer names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Package {
    /// File name inside the release's folder.
    pub name: String,
    /// Length in bytes.
    pub size: u64,
    /// SHA-256 in hex.
    pub sha256: String,
    /// SHA-1 in base64, for clients of old; left out where nobody computed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1_base64: Option<String>,
}

/// Where the files of a release are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Offer {
    /// Folder below `/targets/`.
    pub folder: String,
    /// Its files; the first is the one whose hash the action carries.
    pub packages: Vec<Package>,
    /// How it came here.
    pub source: Source,
}

/// How a release came to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Published under signed metadata.
    Signed,
    /// Registered by hand for clients that bring their own trust (stock update engines).
    Registered,
}

/// A release with its files and its age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stored {
    /// What decisions are made with.
    #[serde(flatten)]
    pub release: Release,
    /// What answers are made of.
    pub offer: Offer,
    /// When it came.
    pub created_at: Time,
}

const COLUMNS: &str = "id, app, arch, version, floor, blocked, rollback_index, offer, created_at";

fn stored(row: &Row) -> Result<Stored, StoreError> {
    let release = Release {
        id: ReleaseId(row.int(0)?),
        app: row.text(1)?.to_owned(),
        arch: row.text(2)?.to_owned(),
        version: Version::parse(row.text(3)?)?,
        floor: row.maybe_text(4)?.map(|reason| Floor { reason }),
        blocked: row.maybe_text(5)?,
        rollback_index: row.count(6)?,
    };
    Ok(Stored { release, offer: row.document(7)?, created_at: Time(row.int(8)?) })
}

/// All releases, newest first.
///
/// # Errors
/// The database's.
pub async fn releases(db: &Db) -> Result<Vec<Stored>, StoreError> {
    db.rows(format!("SELECT {COLUMNS} FROM releases ORDER BY id DESC"), &[]).await?.iter().map(stored).collect()
}

/// All releases, inside a transaction.
///
/// # Errors
/// The database's.
pub async fn releases_in(tx: &mut Tx) -> Result<Vec<Stored>, StoreError> {
    tx.rows(format!("SELECT {COLUMNS} FROM releases ORDER BY id DESC"), &[]).await?.iter().map(stored).collect()
}

/// One release.
///
/// # Errors
/// The database's.
pub async fn release(tx: &mut Tx, id: ReleaseId) -> Result<Option<Stored>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM releases WHERE id = $1{}", tx.for_update());
    tx.row(sql, args![id.0]).await?.as_ref().map(stored).transpose()
}

/// What is written of a new release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// Application id, normalised.
    pub app: String,
    /// Architecture.
    pub arch: String,
    /// Version.
    pub version: Version,
    /// The signed rollback index.
    pub rollback_index: u64,
    /// Its files.
    pub offer: Offer,
}

/// Adds a release unless it is there; the same version with other files is not replaced (a release never changes).
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, new: &New, now: Time) -> Result<Option<ReleaseId>, StoreError> {
    let sql = "INSERT INTO releases (app, arch, version, rollback_index, offer, created_at) VALUES ($1, $2, $3, $4, $5, $6) \
               ON CONFLICT (app, arch, version) DO NOTHING RETURNING id";
    let index = i64::try_from(new.rollback_index).unwrap_or(i64::MAX);
    let offer = serde_json::to_string(&new.offer)?;
    let values = args![new.app.as_str(), new.arch.as_str(), new.version.to_string(), index, offer, now.0];
    let id = tx.row(sql, values).await?.map(|row| row.int(0)).transpose()?.map(ReleaseId);
    if id.is_some() {
        super::touch_generation(tx).await?;
    }
    Ok(id)
}

/// Sets or clears the floor and the block of a release.
///
/// # Errors
/// The database's.
pub async fn mark(tx: &mut Tx, release: &Release) -> Result<(), StoreError> {
    let floor = release.floor.as_ref().map(|floor| floor.reason.clone());
    tx.run("UPDATE releases SET floor = $2, blocked = $3 WHERE id = $1", args![release.id.0, floor, release.blocked.clone()]).await?;
    super::touch_generation(tx).await
}

fn channel(row: &Row) -> Result<Channel, StoreError> {
    Ok(Channel { name: row.text(0)?.to_owned(), release: ReleaseId(row.int(1)?) })
}

/// All channels.
///
/// # Errors
/// The database's.
pub async fn channels(db: &Db) -> Result<Vec<Channel>, StoreError> {
    db.rows("SELECT name, release_id FROM channels ORDER BY name, app, arch", &[]).await?.iter().map(channel).collect()
}

/// All channels, inside a transaction.
///
/// # Errors
/// The database's.
pub async fn channels_in(tx: &mut Tx) -> Result<Vec<Channel>, StoreError> {
    tx.rows("SELECT name, release_id FROM channels ORDER BY name, app, arch", &[]).await?.iter().map(channel).collect()
}

/// Points a channel at a release, for that release's application and architecture. Says what it pointed at before.
///
/// # Errors
/// The database's.
pub async fn point(tx: &mut Tx, name: &str, release: &Release) -> Result<Option<ReleaseId>, StoreError> {
    let (app, arch) = (release.app.as_str(), release.arch.as_str());
    let before = tx.row("SELECT release_id FROM channels WHERE name = $1 AND app = $2 AND arch = $3", args![name, app, arch]).await?;
    let sql = "INSERT INTO channels (name, app, arch, release_id) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (name, app, arch) DO UPDATE SET release_id = excluded.release_id";
    tx.run(sql, args![name, app, arch, release.id.0]).await?;
    super::touch_generation(tx).await?;
    before.map(|row| row.int(0).map(ReleaseId)).transpose()
}
