//! Rollouts.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;

use super::releases::{Pick, picked};
use crate::http::auth::Who;
use crate::http::body::Input;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::policy::{Brake, Canaries, Control, Follow, Group, Ramp, Release, Rollout, RolloutId, Salt, Settings, Time, Version};
use crate::steer::{SteerError, steer};
use crate::store::audit::note;
use crate::store::{Tx, catalog, groups, rollouts};
use crate::views::{self, Progress, RolloutPage};

/// Bytes of salt: enough that no two rollouts order machines alike.
const SALT_BYTES: usize = 16;

/// A new rollout. What is left out is taken from the group.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct New {
    version: Version,
    app: Option<String>,
    arch: Option<String>,
    ramp: Option<Ramp>,
    canaries: Option<Canaries>,
    brake: Option<Brake>,
    /// When it begins, in unix milliseconds; now, when left out.
    starts: Option<Time>,
    /// Points the group's channel at the release first.
    #[serde(default)]
    move_channel: bool,
}

/// `GET /api/v1/rollouts`
///
/// # Errors
/// The database's.
pub async fn list(State(app): State<App>) -> Result<Json<Vec<Progress>>, Problem> {
    Ok(Json(views::rollout_list(&app.db, app.now()).await?))
}

/// `GET /api/v1/groups/{group}/rollouts`
///
/// # Errors
/// The database's.
pub async fn of_group(State(app): State<App>, Path(group): Path<String>) -> Result<Json<Vec<Progress>>, Problem> {
    let all = views::rollout_list(&app.db, app.now()).await?;
    Ok(Json(all.into_iter().filter(|progress| progress.group == group).collect()))
}

/// `GET /api/v1/rollouts/{id}`: with the points of its chart and the machines it went wrong on.
///
/// # Errors
/// There is no such rollout, or the database's.
pub async fn get(State(app): State<App>, Path(id): Path<i64>) -> Result<Json<RolloutPage>, Problem> {
    let page = views::rollout(&app.db, RolloutId(id), app.now()).await?;
    page.map(Json).ok_or_else(|| Problem::missing(format!("rollout {id}")))
}

/// `POST /api/v1/groups/{group}/rollouts`: lets a release spread through the group, one rollout per architecture.
///
/// # Errors
/// There is no such group or release, or it spreads there already.
pub async fn create(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(group): Path<String>,
    Input(new): Input<New>,
) -> Result<(StatusCode, Json<Vec<Progress>>), Problem> {
    let mut tx = app.db.begin().await?;
    let now = app.clock.within(&mut tx).await?;
    let group = groups::get(&mut tx, &group).await?.ok_or_else(|| Problem::missing(format!("group `{group}`")))?;
    let pick = Pick { version: new.version.clone(), app: new.app.clone(), arch: new.arch.clone() };
    let releases = picked(&catalog::releases_in(&mut tx).await?, &pick)?;
    let mut made = Vec::new();
    for release in &releases {
        lead_to(&mut tx, &group, release, &new, who.name(), now).await?;
        made.push(start(&mut tx, &group, release, &new, who.name(), now).await?);
    }
    tx.commit().await?;
    let all = views::rollout_list(&app.db, now).await?;
    Ok((StatusCode::CREATED, Json(all.into_iter().filter(|progress| made.contains(&progress.id)).collect())))
}

/// A rollout of a release that the group is not headed for would reach nobody.
async fn lead_to(tx: &mut Tx, group: &Group, release: &Release, new: &New, who: &str, now: Time) -> Result<(), Problem> {
    match &group.follow {
        Follow::Pinned(pin) if *pin == release.version => Ok(()),
        Follow::Pinned(pin) => Err(Problem::conflict(
            format!("group `{}` is pinned to {pin}", group.name),
            "set the group's pin to this version, or to a channel",
        )),
        Follow::Channel(channel) => {
            let points = catalog::channels_in(tx).await?.iter().any(|known| known.name == *channel && known.release == release.id);
            if points {
                return Ok(());
            }
            if !new.move_channel {
                let message = format!("group `{}` follows channel `{channel}`, which does not point at {}", group.name, release.version);
                let hint =
                    format!("PUT /api/v1/channels/{channel} {{\"version\":\"{}\"}} first, or send \"move-channel\": true", release.version);
                return Err(Problem::conflict(message, hint));
            }
            let before = catalog::point(tx, channel, release).await?;
            let object = format!("channel/{channel}/{}/{}", release.app, release.arch);
            Ok(note(tx, now, who, "channel.point", &object, before.as_ref(), Some(&release.id)).await?)
        }
    }
}

async fn start(tx: &mut Tx, group: &Group, release: &Release, new: &New, who: &str, now: Time) -> Result<RolloutId, Problem> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "random", format!("the system gives no random numbers: {error}"), "")
    })?;
    let started_at = new.starts.unwrap_or(now).max(now);
    let defaults = group.defaults.clone();
    let settings = Settings {
        ramp: new.ramp.clone().unwrap_or(defaults.ramp),
        canaries: new.canaries.clone().unwrap_or(defaults.canaries),
        brake: new.brake.unwrap_or(defaults.brake),
    };
    let rollout = Rollout::new(RolloutId(0), release.id, Salt(hex::encode(salt)), settings, started_at);
    let population = rollouts::population(tx, &group.name, release, started_at, now).await?;
    let id = rollouts::add(tx, &group.name, &rollout, population, now).await.map_err(|error| {
        if error.duplicate() {
            let message = format!("release {} spreads through group `{}` already", release.version, group.name);
            Problem::conflict(
                message,
                "pause, resume or look at that rollout; a release that was bad is blocked and followed by a new version",
            )
        } else {
            error.into()
        }
    })?;
    let object = format!("group/{}/rollout/{}", group.name, id.0);
    note(tx, now, who, "rollout.start", &object, None::<&()>, Some(&Rollout { id, ..rollout })).await?;
    Ok(id)
}

/// Why a person holds a rollout.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Hold {
    #[serde(default)]
    why: String,
}

/// `POST /api/v1/rollouts/{id}/pause`: from the next check-in on nobody is given the release.
///
/// # Errors
/// There is no such rollout, or it is not running.
pub async fn pause(app: State<App>, who: Extension<Who>, id: Path<i64>, Input(hold): Input<Hold>) -> Result<Json<Progress>, Problem> {
    let control = Control::Pause { by: who.name().to_owned(), why: super::line("reason", &hold.why)? };
    change(app, who, id, "rollout.pause", control).await
}

/// `POST /api/v1/rollouts/{id}/stop`: as pause, and noted as meant for good.
///
/// # Errors
/// There is no such rollout, or it is not running.
pub async fn stop(app: State<App>, who: Extension<Who>, id: Path<i64>, Input(hold): Input<Hold>) -> Result<Json<Progress>, Problem> {
    let why = super::line("reason", &hold.why)?;
    let why = if why.is_empty() { "stopped".to_owned() } else { format!("stopped: {why}") };
    change(app, Extension(who.0.clone()), id, "rollout.stop", Control::Pause { by: who.name().to_owned(), why }).await
}

/// `POST /api/v1/rollouts/{id}/resume`: goes on where it stood, also after the brake.
///
/// # Errors
/// There is no such rollout, or it is not held.
pub async fn resume(app: State<App>, who: Extension<Who>, id: Path<i64>) -> Result<Json<Progress>, Problem> {
    change(app, who, id, "rollout.resume", Control::Resume).await
}

async fn change(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(id): Path<i64>,
    action: &str,
    control: Control,
) -> Result<Json<Progress>, Problem> {
    steer(&app.db, RolloutId(id), action, who.name(), &control, &app.clock).await.map_err(|error| match error {
        SteerError::Missing(_) => Problem::missing(format!("rollout {id}")),
        SteerError::Refused(why) => Problem::conflict(why.to_string(), ""),
        SteerError::Store(error) => error.into(),
    })?;
    let page = views::rollout(&app.db, RolloutId(id), app.now()).await?;
    page.map(|page| Json(page.progress)).ok_or_else(|| Problem::missing(format!("rollout {id}")))
}
