//! Tokens.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use crate::http::auth::Who;
use crate::http::body::Input;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::policy::Span;
use crate::store::audit::note;
use crate::store::tokens::{self, Role, Token};

/// A new token.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct New {
    name: String,
    role: Role,
    expires_in: Option<Span>,
}

/// A token with its secret, which is shown this once.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Made {
    #[serde(flatten)]
    token: Token,
    secret: String,
}

/// `GET /api/v1/tokens`
///
/// # Errors
/// The database's.
pub async fn list(State(app): State<App>) -> Result<Json<Vec<Token>>, Problem> {
    Ok(Json(tokens::list(&app.db).await?))
}

/// `POST /api/v1/tokens`
///
/// # Errors
/// The name is none, or the database's.
pub async fn create(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Input(new): Input<New>,
) -> Result<(StatusCode, Json<Made>), Problem> {
    super::name("token", &new.name)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let (token, secret) = tokens::create(&mut tx, &new.name, new.role, new.expires_in.map(|span| now + span), now).await?;
    note(&mut tx, now, who.name(), "token.create", &format!("token/{}", token.id), None::<&()>, Some(&token)).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(Made { token, secret })))
}

/// `DELETE /api/v1/tokens/{id}`
///
/// # Errors
/// There is no such token, or the database's.
pub async fn revoke(State(app): State<App>, Extension(who): Extension<Who>, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let token = tokens::revoke(&mut tx, id, now).await?.ok_or_else(|| Problem::missing(format!("working token {id}")))?;
    note(&mut tx, now, who.name(), "token.revoke", &format!("token/{id}"), Some(&token), None::<&()>).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
