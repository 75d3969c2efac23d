//! Machines.

use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::{Deserialize, Deserializer, Serialize};

use crate::http::auth::Who;
use crate::http::body::{Asked, Input};
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::policy::Version;
use crate::store::audit::note;
use crate::store::machines::{self, Filter, Record};
use crate::views::{self, MachinePage};

/// Tags of one machine, at most.
const TAGS_MAX: usize = 32;

/// One page of machines.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Page {
    machines: Vec<Record>,
    /// To be sent as `after` for the next page; none on the last.
    next: Option<i64>,
}

/// `GET /api/v1/machines`
///
/// # Errors
/// The database's.
pub async fn list(State(app): State<App>, Asked(filter): Asked<Filter>) -> Result<Json<Page>, Problem> {
    let limit = filter.limit.unwrap_or(machines::PAGE).clamp(1, machines::PAGE_MAX);
    let found = views::machine_list(&app.db, &filter).await?;
    let full = i64::try_from(found.len()).is_ok_and(|count| count >= limit);
    let next = found.last().filter(|_| full).map(|record| record.id);
    Ok(Json(Page { machines: found, next }))
}

/// `GET /api/v1/machines/{machine}`: with its history, and why it is on its version.
///
/// # Errors
/// It was never heard of, or the database's.
pub async fn get(State(app): State<App>, Path(machine): Path<String>) -> Result<Json<MachinePage>, Problem> {
    let page = views::machine(&app.db, &machine.to_ascii_lowercase(), app.now()).await?;
    page.map(Json).ok_or_else(|| Problem::missing(format!("machine `{machine}`")))
}

/// What a person sets of a machine. Left out: unchanged; `null`: back to what the machine says, or to nothing.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Set {
    #[serde(default, deserialize_with = "said")]
    group: Option<Option<String>>,
    #[serde(default, deserialize_with = "said")]
    pin: Option<Option<Version>>,
    tags: Option<Vec<String>>,
}

/// Tells `null` from nothing.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// `PATCH /api/v1/machines/{machine}`
///
/// # Errors
/// It was never heard of, the values make no sense, or the database's.
pub async fn patch(
    State(app): State<App>,
    Extension(who): Extension<Who>,
    Path(machine): Path<String>,
    Input(set): Input<Set>,
) -> Result<Json<Record>, Problem> {
    if let Some(Some(group)) = &set.group {
        super::name("group", group)?;
    }
    for tag in set.tags.iter().flatten() {
        super::name("tag", tag)?;
    }
    if set.tags.as_ref().is_some_and(|tags| tags.len() > TAGS_MAX) {
        return Err(Problem::invalid(format!("a machine has at most {TAGS_MAX} tags"), ""));
    }
    let machine = machine.to_ascii_lowercase();
    let missing = || Problem::missing(format!("machine `{machine}`"));
    let known = machines::get(&app.db, &machine).await?.ok_or_else(missing)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let locked = machines::lock(&mut tx, &[(&known.app, &known.machine_id)]).await?;
    let before = locked.into_iter().next().ok_or_else(missing)?;
    let mut after = before.clone();
    match set.group {
        Some(Some(group)) => (after.group, after.facts.group_fixed) = (group, true),
        // What the machine says counts again, from its next check-in on.
        Some(None) => after.facts.group_fixed = false,
        None => {}
    }
    if let Some(pin) = set.pin {
        after.facts.pin = pin;
    }
    if let Some(tags) = set.tags {
        after.facts.tags = tags;
    }
    machines::write(&mut tx, &[&after]).await?;
    note(&mut tx, now, who.name(), "machine.set", &format!("machine/{machine}"), Some(&before), Some(&after)).await?;
    tx.commit().await?;
    Ok(Json(after))
}
