//! Health and metrics.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::problem::Problem;
use super::state::App;
use crate::store::turns;
use crate::views;

/// Below this many free bytes the disk counts as full: a release, and the database's log.
const DISK_LOW: u64 = 256 << 20;

/// `GET /health`: 200 when the database answers and the disk has room, else 503; the body says which. What needs somebody though
/// machines are served is in `findings`, by its kind alone: everybody may ask here, and the rest is on the page and in the log.
pub async fn health(State(app): State<App>) -> Response {
    let database = app.db.row("SELECT value FROM meta WHERE name = 'generation'", &[]).await.is_ok_and(|row| row.is_some());
    let free = rustix::fs::statvfs(&app.settings.data).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)).unwrap_or(0);
    let well = database && free >= DISK_LOW;
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({ "status": if well { "ok" } else { "failing" }, "database": database, "disk-free-bytes": free, "disk-needed-bytes": DISK_LOW,
        "findings": app.findings.all().iter().map(|finding| finding.kind.name()).collect::<Vec<_>>() });
    (status, axum::Json(body)).into_response()
}

/// `GET /metrics`
///
/// # Errors
/// The database's.
pub async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    app.metrics.fleet(&views::fleet(&app.db, app.now()).await?);
    app.metrics.cluster(app.waiting.count(), &turns::list(&app.db).await?);
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], app.metrics.render()).into_response())
}
