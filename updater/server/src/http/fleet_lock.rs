//! Reboots in turns: the server's side of FleetLock, as Zincati and other clients speak it.
//!
//! `POST /v1/pre-reboot` asks for a turn, and answers 200 also to whoever has one already; `POST /v1/steady-state` gives it back,
//! and answers 200 also to whoever has none. Any other status means no, with `kind` for programs and `value` for people.

use std::net::SocketAddr;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::state::App;
use crate::policy::turns::{GROUP_MAX, GROUPS_MAX, HOLDER_MAX, Turn, is_group, is_holder};
use crate::store::audit::note;
use crate::store::{StoreError, turns};

/// Largest body, in bytes: two short names.
pub const BODY_MAX: usize = 4 * 1024;
/// The header that every request carries, so that no web page can send one by the way.
const HEADER: &str = "fleet-lock-protocol";
/// How often a lost race with another replica is run again.
const TRIES: usize = 5;

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    status: StatusCode,
    kind: &'static str,
    value: String,
}

impl Refusal {
    fn invalid(kind: &'static str, value: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind, value: value.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "kind": self.kind, "value": self.value }))).into_response();
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a turn could not be stored");
        let value = "the server's database did not answer as it should; try again later".to_owned();
        Self { status: StatusCode::SERVICE_UNAVAILABLE, kind: "failed_database", value }
    }
}

#[derive(Debug, Deserialize)]
struct Body {
    client_params: Params,
}

/// Who asks.
#[derive(Debug, Deserialize)]
struct Params {
    id: String,
    group: String,
}

type Asked = Result<Bytes, BytesRejection>;

/// `POST /v1/pre-reboot`
///
/// # Errors
/// It is somebody else's turn, the request makes no sense, or the database's.
pub async fn pre_reboot(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Asked,
) -> Result<StatusCode, Refusal> {
    let who = asked(&app, peer, &headers, body)?;
    let mut tries = 1;
    let turn = loop {
        match take(&app, &who).await {
            Err(error) if error.passing() && tries < TRIES => tries += 1,
            done => break done?,
        }
    };
    match turn {
        Turn::Granted { dead } => {
            app.metrics.turn("granted");
            dead.iter().for_each(|_| app.metrics.turn("counted-as-dead"));
            Ok(StatusCode::OK)
        }
        Turn::Again => {
            app.metrics.turn("again");
            Ok(StatusCode::OK)
        }
        Turn::Refused(value) => {
            app.metrics.turn("refused");
            Err(Refusal { status: StatusCode::CONFLICT, kind: "all_slots_taken", value })
        }
    }
}

/// `POST /v1/steady-state`
///
/// # Errors
/// The request makes no sense, or the database's.
pub async fn steady_state(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Asked,
) -> Result<StatusCode, Refusal> {
    let who = asked(&app, peer, &headers, body)?;
    let mut tries = 1;
    let had = loop {
        match give_back(&app, &who).await {
            Err(error) if error.passing() && tries < TRIES => tries += 1,
            done => break done?,
        }
    };
    app.metrics.turn(if had { "released" } else { "had-none" });
    Ok(StatusCode::OK)
}

/// Ends a machine's turn; says whether it had one.
async fn give_back(app: &App, who: &Params) -> Result<bool, StoreError> {
    let mut tx = app.db.begin().await?;
    let had = turns::lock(&mut tx, &who.group).await?.is_some() && turns::release(&mut tx, &who.group, &who.id).await?;
    tx.commit().await?;
    Ok(had)
}

/// Reads, decides and writes in one transaction that holds the group's lock.
async fn take(app: &App, who: &Params) -> Result<Turn, StoreError> {
    let mut tx = app.db.begin().await?;
    let now = app.clock.within(&mut tx).await?;
    if !turns::ensure(&mut tx, &who.group).await? {
        return Ok(Turn::Refused(format!("there are {GROUPS_MAX} groups already; an operator has to remove some")));
    }
    // Forgotten by another replica at this moment.
    let group = turns::lock(&mut tx, &who.group).await?.ok_or_else(|| StoreError::Conflict(format!("group {}", who.group)))?;
    let turn = group.ask(&who.id, now);
    if let Turn::Granted { dead } = &turn {
        for id in dead {
            turns::end(&mut tx, &who.group, id).await?;
            let before = group.holders.iter().find(|holder| holder.id == *id);
            note(&mut tx, now, "server", "turn.dead", &format!("turns/{}/{id}", who.group), before, None::<&()>).await?;
        }
    }
    match turn {
        Turn::Refused(_) => {
            // A group that was only asked about leaves nothing behind.
            turns::tidy(&mut tx, &who.group).await?;
        }
        Turn::Granted { .. } | Turn::Again => turns::take(&mut tx, &who.group, &who.id, now).await?,
    }
    tx.commit().await?;
    Ok(turn)
}

fn asked(app: &App, peer: SocketAddr, headers: &HeaderMap, body: Asked) -> Result<Params, Refusal> {
    if !app.limiter.allow(peer.ip(), app.now()) {
        app.metrics.refused("rate");
        let value = "too many requests from this address; try again later".to_owned();
        return Err(Refusal { status: StatusCode::TOO_MANY_REQUESTS, kind: "too_many_requests", value });
    }
    if headers.get(HEADER).is_none_or(|value| value != "true") {
        return Err(Refusal::invalid("missing_header", format!("send the header {HEADER}: true")));
    }
    let body = body.map_err(|_| Refusal::invalid("invalid_body", format!("the body cannot be read; it has at most {BODY_MAX} bytes")))?;
    parse(&body)
}

fn parse(body: &[u8]) -> Result<Params, Refusal> {
    let body: Body = serde_json::from_slice(body).map_err(|error| {
        Refusal::invalid("invalid_body", format!("the body is not {{\"client_params\":{{\"id\":..,\"group\":..}}}}: {error}"))
    })?;
    let params = body.client_params;
    if !is_group(&params.group) {
        return Err(Refusal::invalid("invalid_group", format!("a group is 1 to {GROUP_MAX} letters, digits, dots and dashes")));
    }
    if !is_holder(&params.id) {
        return Err(Refusal::invalid("invalid_id", format!("an id is 1 to {HOLDER_MAX} printable ASCII characters without spaces")));
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_names_a_machine_and_its_group() {
        let named = |id: &str, group: &str| json!({ "client_params": { "id": id, "group": group } }).to_string();
        for (body, kind) in [
            (named("4f3b", "default"), ""),
            (r#"{"client_params":{"id":"a","group":"b","later":1},"more":2}"#.to_owned(), ""),
            (String::new(), "invalid_body"),
            ("{}".to_owned(), "invalid_body"),
            ("[]".to_owned(), "invalid_body"),
            (r#"{"client_params":{"id":"a"}}"#.to_owned(), "invalid_body"),
            (r#"{"client_params":{"id":1,"group":"b"}}"#.to_owned(), "invalid_body"),
            (named("a", ""), "invalid_group"),
            (named("a", "b/c"), "invalid_group"),
            (named("a", "b_c"), "invalid_group"),
            (named("", "b"), "invalid_id"),
            (named("a\n", "b"), "invalid_id"),
            (named(&"a".repeat(HOLDER_MAX + 1), "b"), "invalid_id"),
        ] {
            assert_eq!(parse(body.as_bytes()).map_err(|refusal| refusal.kind).err().unwrap_or_default(), kind, "{body}");
        }
    }
}
