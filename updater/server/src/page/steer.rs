//! Pause and resume.

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::guard::Visitor;
use super::problem::{Problem, redirect};
use super::{Page, rollout};
use crate::policy::{Control, ControlError, RolloutId, Time};
use crate::store::{Db, StoreError, audit, rollouts};

/// Longest reason for a pause, in characters: a sentence and a link to what happened.
pub const WHY_MAX: usize = 300;
/// How often a lost race is run again.
const TRIES: usize = 5;

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
    match control_with_retries(&page.db, id, action, &visitor.name, control, page.now()).await? {
        None => Err(rollout::missing(id)),
        Some(Ok(())) => Ok(redirect(&back(id).0)),
        Some(Err(refused)) => Err(Problem::new(StatusCode::CONFLICT, "Nothing was changed", format!("{refused}."), back(id))),
    }
}

/// Machines write the same row all the time; whoever loses the race reads again.
async fn control_with_retries(
    db: &Db,
    id: RolloutId,
    action: &str,
    who: &str,
    control: &Control,
    now: Time,
) -> Result<Option<Result<(), ControlError>>, StoreError> {
    let mut tries = 1;
    loop {
        match control_once(db, id, action, who, control, now).await {
            Err(error) if error.passing() && tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

/// Reads, asks the policy, writes and notes it, all in one transaction. `None` when there is no such rollout.
async fn control_once(
    db: &Db,
    id: RolloutId,
    action: &str,
    who: &str,
    control: &Control,
    now: Time,
) -> Result<Option<Result<(), ControlError>>, StoreError> {
    let mut tx = db.begin().await?;
    let Some(mut stored) = rollouts::lock(&mut tx, &[id]).await?.into_iter().next() else { return Ok(None) };
    let before = json!(stored.rollout.state);
    if let Err(refused) = stored.rollout.control(control.clone(), &stored.counts, now) {
        return Ok(Some(Err(refused)));
    }
    rollouts::write(&mut tx, &mut stored).await?;
    let object = format!("group/{}/rollout/{}", stored.group, id.0);
    audit::note(&mut tx, now, who, action, &object, Some(&before), Some(&json!(stored.rollout.state))).await?;
    tx.commit().await?;
    Ok(Some(Ok(())))
}
