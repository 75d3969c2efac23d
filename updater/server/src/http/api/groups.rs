//! Groups.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;

use crate::http::auth::Who;
use crate::http::body::Input;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::policy::{Brake, Canaries, Follow, Group, Ramp, Settings, Version, Windows};
use crate::store::audit::note;
use crate::store::groups;

/// What a person sets of a group. Everything but `channel` or `pin` may be left out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Set {
    channel: Option<String>,
    pin: Option<Version>,
    enabled: Option<bool>,
    windows: Option<Windows>,
    parallel: Option<u64>,
    ramp: Option<Ramp>,
    canaries: Option<Canaries>,
    brake: Option<Brake>,
}

/// `GET /api/v1/groups`
///
/// # Errors
/// The database's.
pub async fn list(State(app): State<App>) -> Result<Json<Vec<Group>>, Problem> {
    Ok(Json(groups::list(&app.db).await?))
}

/// `GET /api/v1/groups/{group}`
///
/// # Errors
/// There is no such group, or the database's.
pub async fn get(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Group>, Problem> {
    let group = groups::list(&app.db).await?.into_iter().find(|group| group.name == name);
    group.map(Json).ok_or_else(|| Problem::missing(format!("group `{name}`")))
}

/// `PUT /api/v1/groups/{group}`: makes the group, or replaces its settings. Running rollouts keep theirs.
///
/// # Errors
/// The settings make no sense, or the database's.
pub async fn put(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(group): Path<String>,
    Input(set): Input<Set>,
) -> Result<(StatusCode, Json<Group>), Problem> {
    super::name("group", &group)?;
    let follow = match (set.channel, set.pin) {
        (Some(channel), None) => {
            super::name("channel", &channel)?;
            Follow::Channel(channel)
        }
        (None, Some(pin)) => Follow::Pinned(pin),
        _ => return Err(Problem::invalid("a group follows a channel or is pinned to a version", "send either `channel` or `pin`")),
    };
    let defaults =
        Settings { ramp: set.ramp.unwrap_or_default(), canaries: set.canaries.unwrap_or_default(), brake: set.brake.unwrap_or_default() };
    let group = Group {
        name: group,
        follow,
        enabled: set.enabled.unwrap_or(true),
        windows: set.windows.unwrap_or_default(),
        parallel: set.parallel,
        defaults,
    };
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let before = groups::get(&mut tx, &group.name).await?;
    groups::put(&mut tx, &group, now).await?;
    note(&mut tx, now, who.name(), "group.set", &format!("group/{}", group.name), before.as_ref(), Some(&group)).await?;
    tx.commit().await?;
    Ok((if before.is_some() { StatusCode::OK } else { StatusCode::CREATED }, Json(group)))
}

/// `DELETE /api/v1/groups/{group}`
///
/// # Errors
/// There is no such group, or the database's.
pub async fn delete(State(app): State<App>, Extension(who): Extension<Who>, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let before = groups::get(&mut tx, &name).await?.ok_or_else(|| Problem::missing(format!("group `{name}`")))?;
    groups::remove(&mut tx, &name).await?;
    note(&mut tx, now, who.name(), "group.delete", &format!("group/{name}"), Some(&before), None::<&()>).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
