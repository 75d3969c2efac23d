//! The whole fleet, and who changed what.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;

use crate::http::body::Asked;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::store::audit::Entry;
use crate::views::{self, Fleet};

/// Entries of the audit log on one page, at most.
const AUDIT_MAX: i64 = 1000;

/// `GET /api/v1/fleet`
///
/// # Errors
/// The database's.
pub async fn fleet(State(app): State<App>) -> Result<Json<Fleet>, Problem> {
    Ok(Json(views::fleet(&app.db, app.now()).await?))
}

/// Which page of the audit log.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Page {
    before: Option<i64>,
    limit: Option<i64>,
}

/// `GET /api/v1/audit`
///
/// # Errors
/// The database's.
pub async fn audit(State(app): State<App>, Asked(page): Asked<Page>) -> Result<Json<Vec<Entry>>, Problem> {
    Ok(Json(views::history(&app.db, page.before, page.limit.unwrap_or(100).clamp(1, AUDIT_MAX)).await?))
}
