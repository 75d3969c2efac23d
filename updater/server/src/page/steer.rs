//! Pause and resume.

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::guard::Visitor;
use super::problem::{Problem, redirect};
use super::{Page, rollout};
use crate::policy::{Control, RolloutId};
use crate::steer::{SteerError, steer};

/// Longest reason for a pause, in characters: a sentence and a link to what happened.
pub const WHY_MAX: usize = 300;

/// What the forms send.
#[derive(Debug, Deserialize)]
pub struct Input {
    form_token: String,
    #[serde(default)]
    why: String,
}

/// `POST /rollouts/ID/pause`
///
/// # Errors
/// Not theirs to pause, no reason given, or it is held already.
pub async fn pause(
    State(page): State<Page>,
    visitor: Visitor,
    id: Path<String>,
    headers: HeaderMap,
    Form(input): Form<Input>,
) -> Result<Response, Problem> {
    visitor.check(&page, &headers, &input.form_token)?;
    let id = rollout::number(&id)?;
    // One line: machines are told it, too, in XML that allows no control characters.
    let why: String = input.why.trim().chars().take(WHY_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if why.is_empty() {
        let message = "Say in a few words why: whoever comes after you has to know. Nothing was changed.".to_owned();
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "No reason given", message, back(id)));
    }
    let control = Control::Pause { by: visitor.name.clone(), why };
    apply(&page, &visitor, id, "rollout.pause", &control).await
}

/// `POST /rollouts/ID/resume`
///
/// # Errors
/// Not theirs to resume, or it is not held.
pub async fn resume(
    State(page): State<Page>,
    visitor: Visitor,
    id: Path<String>,
    headers: HeaderMap,
    Form(input): Form<Input>,
) -> Result<Response, Problem> {
    visitor.check(&page, &headers, &input.form_token)?;
    apply(&page, &visitor, rollout::number(&id)?, "rollout.resume", &Control::Resume).await
}

fn back(id: RolloutId) -> (String, &'static str) {
    (format!("/rollouts/{}", id.0), "Back to the rollout")
}

async fn apply(page: &Page, visitor: &Visitor, id: RolloutId, action: &str, control: &Control) -> Result<Response, Problem> {
    match steer(&page.db, id, action, &visitor.name, control, &page.clock).await {
        Ok(()) => Ok(redirect(&back(id).0)),
        Err(SteerError::Missing(id)) => Err(rollout::missing(id)),
        Err(SteerError::Refused(why)) => Err(Problem::new(StatusCode::CONFLICT, "Nothing was changed", format!("{why}."), back(id))),
        Err(SteerError::Store(error)) => Err(error.into()),
    }
}
