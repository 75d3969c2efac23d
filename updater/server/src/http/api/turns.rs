//! Whose turn it is to reboot.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;

use crate::http::auth::Who;
use crate::http::body::Input;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::policy::Span;
use crate::policy::turns::{GROUP_MAX, GROUPS_MAX, HOLD_LEAST, SLOTS_MAX, Turns, is_group};
use crate::store::audit::note;
use crate::store::turns;

/// What a person sets of a group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Set {
    slots: u64,
    hold_max: Option<Span>,
}

/// `GET /api/v1/turns`
///
/// # Errors
/// The database's.
pub async fn list(State(app): State<App>) -> Result<Json<Vec<Turns>>, Problem> {
    Ok(Json(turns::list(&app.db).await?))
}

/// `PUT /api/v1/turns/{group}`: whoever has a turn keeps it, also where there are fewer slots now.
///
/// # Errors
/// The values make no sense, there are too many groups, or the database's.
pub async fn put(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(group): Path<String>,
    Input(set): Input<Set>,
) -> Result<Json<Turns>, Problem> {
    if !is_group(&group) {
        return Err(Problem::invalid("that is no name for a group", format!("use 1 to {GROUP_MAX} letters, digits, dots and dashes")));
    }
    if set.slots > SLOTS_MAX {
        return Err(Problem::invalid(format!("a group has at most {SLOTS_MAX} slots"), "0 holds back all reboots"));
    }
    if set.hold_max.is_some_and(|hold| hold < HOLD_LEAST) {
        return Err(Problem::invalid(format!("hold-max is at least {HOLD_LEAST}"), "leave it out where no holder ever counts as dead"));
    }
    let now = app.now();
    let mut tx = app.db.begin().await?;
    if !turns::ensure(&mut tx, &group).await? {
        return Err(Problem::conflict(format!("there are {GROUPS_MAX} groups already"), "remove some with DELETE /api/v1/turns/{group}"));
    }
    let before = turns::lock(&mut tx, &group).await?.ok_or_else(|| Problem::conflict("the group was just removed", "try again"))?;
    turns::set(&mut tx, &group, set.slots, set.hold_max).await?;
    let after = Turns { slots: set.slots, hold_max: set.hold_max, ..before.clone() };
    note(&mut tx, now, who.name(), "turns.set", &format!("turns/{group}"), Some(&before), Some(&after)).await?;
    tx.commit().await?;
    Ok(Json(after))
}

/// `DELETE /api/v1/turns/{group}`: back to what groups have that nobody set.
///
/// # Errors
/// There is no such group, somebody has a turn, or the database's.
pub async fn remove(State(app): State<App>, Extension(who): Extension<Who>, Path(group): Path<String>) -> Result<StatusCode, Problem> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let before = turns::lock(&mut tx, &group).await?.ok_or_else(|| Problem::missing(format!("group `{group}` of turns")))?;
    if let Some(holder) = before.holders.first() {
        let hint = "let it come back, or end its turn with DELETE /api/v1/turns/{group}/holders/{holder}";
        return Err(Problem::conflict(format!("it is the turn of `{}` in group `{group}`", holder.id), hint));
    }
    turns::remove(&mut tx, &group).await?;
    note(&mut tx, now, who.name(), "turns.delete", &format!("turns/{group}"), Some(&before), None::<&()>).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/v1/turns/{group}/holders/{holder}`: ends the turn of a machine that will not come back.
///
/// # Errors
/// It is not its turn, or the database's.
pub async fn release(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path((group, holder)): Path<(String, String)>,
) -> Result<StatusCode, Problem> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let before = turns::lock(&mut tx, &group).await?.and_then(|turns| turns.holders.into_iter().find(|known| known.id == holder));
    let before = before.ok_or_else(|| Problem::missing(format!("turn of `{holder}` in group `{group}`")))?;
    turns::release(&mut tx, &group, &holder).await?;
    note(&mut tx, now, who.name(), "turn.release", &format!("turns/{group}/{holder}"), Some(&before), None::<&()>).await?;
    tx.commit().await?;
    app.metrics.turn("released-by-operator");
    Ok(StatusCode::NO_CONTENT)
}
