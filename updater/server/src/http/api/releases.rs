//! Releases and channels.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use crate::checkin::facts::{normal_app, normal_arch};
use crate::http::auth::Who;
use crate::http::body::Input;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::policy::{Channel, Floor, Release, ReleaseId, Version};
use crate::publish::register::register;
use crate::store::audit::note;
use crate::store::catalog::{self, New, Stored};

/// Files of one registered release, at most: the system, and its extensions.
const FILES_MAX: usize = 64;

/// Which release, by what people know of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Pick {
    /// Its version.
    pub version: Version,
    /// Its application; may be left out where there is only one.
    pub app: Option<String>,
    /// Its architecture; left out, all there are.
    pub arch: Option<String>,
}

/// The releases of a version: one per architecture.
pub(super) fn picked(releases: &[Stored], pick: &Pick) -> Result<Vec<Release>, Problem> {
    let (app, arch) = (pick.app.as_deref().map(normal_app), pick.arch.as_deref().map(normal_arch));
    let fits = |release: &&Release| {
        release.version == pick.version
            && app.as_ref().is_none_or(|app| *app == release.app)
            && arch.as_ref().is_none_or(|arch| *arch == release.arch)
    };
    let found: Vec<Release> = releases.iter().map(|stored| &stored.release).filter(fits).cloned().collect();
    let Some(first) = found.first() else {
        let versions: Vec<String> = releases.iter().take(5).map(|stored| stored.release.version.to_string()).collect();
        let mut problem = Problem::missing(format!("release {} for that application and architecture", pick.version));
        problem.hint = if versions.is_empty() { "publish one first".into() } else { format!("the newest here: {}", versions.join(", ")) };
        return Err(problem);
    };
    if found.iter().any(|release| release.app != first.app) {
        let hint = format!("say `app`, e.g. {}", first.app);
        return Err(Problem::conflict(format!("several applications have a release {}", pick.version), hint));
    }
    Ok(found)
}

/// `GET /api/v1/releases`
///
/// # Errors
/// The database's.
pub async fn list(State(app): State<App>) -> Result<Json<Vec<Stored>>, Problem> {
    Ok(Json(catalog::releases(&app.db).await?))
}

/// A release for clients that bring their own trust.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Register {
    app: String,
    version: Version,
    arch: Option<String>,
    folder: String,
    files: Vec<String>,
}

/// `POST /api/v1/releases`: registers uploaded files as a release of any application.
///
/// # Errors
/// A file is missing, the version is there already, or the database's.
pub async fn create(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Input(new): Input<Register>,
) -> Result<(StatusCode, Json<Release>), Problem> {
    let application = normal_app(&new.app);
    if application.is_empty() || new.files.is_empty() || new.files.len() > FILES_MAX {
        return Err(Problem::invalid(format!("a release has an application id and 1 to {FILES_MAX} files"), ""));
    }
    let arch = normal_arch(new.arch.as_deref().unwrap_or_default());
    let _one = app.publishing.lock().await;
    let taken = catalog::releases(&app.db)
        .await?
        .into_iter()
        .any(|stored| stored.release.app == application && stored.release.arch == arch && stored.release.version == new.version);
    if taken {
        return Err(Problem::conflict(
            format!("release {} is here already", new.version),
            "what is published never changes; take another version",
        ));
    }
    let (layout, folder, files) = (app.layout.clone(), new.folder, new.files);
    let offer = tokio::task::spawn_blocking(move || register(&layout, &folder, &files)).await.map_err(super::publish::joined)??;
    let new = New { app: application, arch, version: new.version, rollback_index: 0, offer };
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let id = catalog::add(&mut tx, &new, now).await?.ok_or_else(|| Problem::conflict("the release is here already", ""))?;
    let stored = catalog::release(&mut tx, id).await?.ok_or_else(|| Problem::missing("release"))?;
    note(&mut tx, now, who.name(), "release.register", &format!("release/{id}"), None::<&()>, Some(&stored)).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(stored.release)))
}

/// A reason.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Why {
    /// For people.
    pub why: String,
}

/// `PUT /api/v1/releases/{id}/floor`: no machine may jump over it.
///
/// # Errors
/// There is no such release, or the database's.
pub async fn set_floor(app: State<App>, who: Extension<Who>, id: Path<i64>, Input(why): Input<Why>) -> Result<Json<Release>, Problem> {
    let reason = super::line("reason", &why.why)?;
    mark(app, who, id, "release.floor", move |release| release.floor = Some(Floor { reason })).await
}

/// `DELETE /api/v1/releases/{id}/floor`
///
/// # Errors
/// There is no such release, or the database's.
pub async fn clear_floor(app: State<App>, who: Extension<Who>, id: Path<i64>) -> Result<Json<Release>, Problem> {
    mark(app, who, id, "release.no-floor", |release| release.floor = None).await
}

/// `PUT /api/v1/releases/{id}/block`: nobody gets it any more.
///
/// # Errors
/// There is no such release, or the database's.
pub async fn set_block(app: State<App>, who: Extension<Who>, id: Path<i64>, Input(why): Input<Why>) -> Result<Json<Release>, Problem> {
    let reason = super::line("reason", &why.why)?;
    mark(app, who, id, "release.block", move |release| release.blocked = Some(reason)).await
}

/// `DELETE /api/v1/releases/{id}/block`
///
/// # Errors
/// There is no such release, or the database's.
pub async fn clear_block(app: State<App>, who: Extension<Who>, id: Path<i64>) -> Result<Json<Release>, Problem> {
    mark(app, who, id, "release.unblock", |release| release.blocked = None).await
}

async fn mark(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(id): Path<i64>,
    action: &str,
    change: impl FnOnce(&mut Release),
) -> Result<Json<Release>, Problem> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let before = catalog::release(&mut tx, ReleaseId(id)).await?.ok_or_else(|| Problem::missing(format!("release {id}")))?.release;
    let mut after = before.clone();
    change(&mut after);
    catalog::mark(&mut tx, &after).await?;
    note(&mut tx, now, who.name(), action, &format!("release/{id}"), Some(&before), Some(&after)).await?;
    tx.commit().await?;
    Ok(Json(after))
}

/// `GET /api/v1/channels`
///
/// # Errors
/// The database's.
pub async fn channels(State(app): State<App>) -> Result<Json<Vec<Channel>>, Problem> {
    Ok(Json(catalog::channels(&app.db).await?))
}

/// What a channel pointed at and points at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moved {
    channel: String,
    arch: String,
    before: Option<ReleaseId>,
    release: ReleaseId,
}

/// `PUT /api/v1/channels/{channel}`: points it at a release, for all architectures there are of it.
///
/// # Errors
/// There is no such release, or the database's.
pub async fn point(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(channel): Path<String>,
    Input(pick): Input<Pick>,
) -> Result<Json<Vec<Moved>>, Problem> {
    super::name("channel", &channel)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let releases = picked(&catalog::releases_in(&mut tx).await?, &pick)?;
    let mut moved = Vec::new();
    for release in releases {
        let before = catalog::point(&mut tx, &channel, &release).await?;
        let object = format!("channel/{channel}/{}/{}", release.app, release.arch);
        note(&mut tx, now, who.name(), "channel.point", &object, before.as_ref(), Some(&release.id)).await?;
        moved.push(Moved { channel: channel.clone(), arch: release.arch, before, release: release.id });
    }
    tx.commit().await?;
    Ok(Json(moved))
}
