//! Uploads, and making them visible.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use serde::Serialize;

use crate::http::auth::Who;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::publish::layout::Name;
use crate::publish::upload::{have, upload};
use crate::publish::{self, Step, switch, verify};
use crate::store::audit::note;
use crate::store::catalog::{self, New};
use crate::store::marks;

/// A release that is visible.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Published {
    app_id: String,
    version: String,
    arch: String,
    folder: String,
}

/// What `POST /api/v1/publish` answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Outcome {
    /// All releases of the metadata, those of before too.
    releases: Vec<Published>,
    /// When the first file of metadata expires.
    expires: String,
}

fn announced(headers: &HeaderMap) -> Result<String, Problem> {
    let value = headers.get("x-content-sha256").and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase();
    if value.len() == 64 && value.chars().all(|c| c.is_ascii_hexdigit()) {
        return Ok(value);
    }
    Err(Problem::invalid(
        "the header X-Content-SHA256 is missing or no SHA-256 in hex",
        "send -H \"X-Content-SHA256: $(sha256sum FILE | cut -d' ' -f1)\"",
    ))
}

/// A task of ours that died.
pub(super) fn joined(error: tokio::task::JoinError) -> Problem {
    tracing::error!(%error, "a task died");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the server failed", "see its log")
}

/// `PUT /api/v1/files/{path}`: takes one file into staging.
///
/// # Errors
/// The name or the content is not what it must be, or the disk refused.
pub async fn put(State(app): State<App>, Path(path): Path<String>, headers: HeaderMap, body: Body) -> Result<StatusCode, Problem> {
    let name = Name::parse(&path)?;
    upload(&app.layout, &name, &announced(&headers)?, body.into_data_stream()).await?;
    Ok(StatusCode::CREATED)
}

/// `HEAD /api/v1/files/{path}`: 200 when the same bytes are here, 404 when they are to be sent.
///
/// # Errors
/// The name is not one, or the disk refused.
pub async fn head(State(app): State<App>, Path(path): Path<String>, headers: HeaderMap) -> Result<StatusCode, Problem> {
    let (name, digest, layout) = (Name::parse(&path)?, announced(&headers)?, app.layout.clone());
    let here = tokio::task::spawn_blocking(move || have(&layout, &name, &digest)).await.map_err(joined)??;
    Ok(if here { StatusCode::OK } else { StatusCode::NOT_FOUND })
}

/// `POST /api/v1/publish`: verifies everything that was uploaded, then makes it visible at once.
///
/// # Errors
/// Whatever a machine would refuse; then nothing changed.
pub async fn publish(State(app): State<App>, Extension(who): Extension<Who>) -> Result<Json<Outcome>, Problem> {
    let now = app.now();
    let stamp = jiff::Timestamp::from_millisecond(now.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let _one = app.publishing.lock().await;
    let shared = app.clone();
    let verified = tokio::task::spawn_blocking(move || {
        let verified = verify::verify(&shared.layout, &shared.keys, stamp)?;
        switch::switch(&shared.layout, &verified)?;
        Ok::<_, publish::PublishError>(verified)
    })
    .await
    .map_err(joined)??;
    // From here on machines can see it; should we die now, the next start records it.
    record(&app, &verified.releases, who.name()).await?;
    let releases = verified.releases.iter().map(|new| Published {
        app_id: new.app.clone(),
        version: new.version.to_string(),
        arch: new.arch.clone(),
        folder: new.offer.folder.clone(),
    });
    let outcome = Outcome { releases: releases.collect(), expires: verified.expires.to_string() };
    switch::clear(&app.layout, &verified);
    Ok(Json(outcome))
}

/// Adds published releases that are not in the database yet, and notes which metadata is served.
///
/// # Errors
/// The database's, or the disk's.
pub async fn record(app: &App, releases: &[New], who: &str) -> Result<(), Problem> {
    app.layout.disk.step(Step::Record).map_err(|source| publish::PublishError::Io { path: app.layout.tuf(), source })?;
    let mut tx = app.db.begin().await?;
    let now = app.clock.within(&mut tx).await?;
    marks::raise(&mut tx, &marks::served(&app.layout)).await?;
    for new in releases {
        if let Some(id) = catalog::add(&mut tx, new, now).await? {
            let stored = catalog::release(&mut tx, id).await?;
            note(&mut tx, now, who, "release.publish", &format!("release/{id}"), None::<&()>, stored.as_ref()).await?;
        }
    }
    // What left the metadata is refused by every machine: it must not be offered.
    for mut gone in catalog::releases_in(&mut tx).await?.into_iter().filter(|stored| withdrawn(stored, releases)) {
        let before = gone.release.clone();
        gone.release.blocked = Some(WITHDRAWN.to_owned());
        catalog::mark(&mut tx, &gone.release).await?;
        note(&mut tx, now, who, "release.withdraw", &format!("release/{}", before.id), Some(&before), Some(&gone.release)).await?;
    }
    // What is there again, e.g. published anew after a restore, may be offered again.
    for mut back in catalog::releases_in(&mut tx).await? {
        let listed = releases.iter().any(|new| new.offer.folder == back.offer.folder);
        if listed && back.release.blocked.as_deref() == Some(WITHDRAWN) {
            let before = back.release.clone();
            back.release.blocked = None;
            catalog::mark(&mut tx, &back.release).await?;
            note(&mut tx, now, who, "release.return", &format!("release/{}", before.id), Some(&before), Some(&back.release)).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Why a release is blocked that left the metadata; it ends by itself when the release comes back.
const WITHDRAWN: &str = "withdrawn: it is not in the signed metadata any more";

fn withdrawn(stored: &catalog::Stored, listed: &[New]) -> bool {
    let signed = stored.offer.source == catalog::Source::Signed && stored.release.blocked.is_none();
    signed && !listed.iter().any(|new| new.offer.folder == stored.offer.folder)
}
