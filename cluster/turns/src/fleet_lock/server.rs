//! FleetLock for the programs of this machine.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::{Asked, BODY_MAX, Failure, HEADER, PRE_REBOOT, STEADY_STATE, parse};
use crate::coordinator::{Coordinator, World};
use crate::{Group, Kind, Refusal, group};

/// Whom the server serves.
struct Machine<W> {
    coordinator: Arc<Coordinator<W>>,
    id: String,
    group: Group,
}

impl<W> Clone for Machine<W> {
    fn clone(&self) -> Self {
        Self { coordinator: Arc::clone(&self.coordinator), id: self.id.clone(), group: self.group.clone() }
    }
}

/// The two questions, answered for the machine `id` of `group`.
pub(crate) fn router<W: World>(coordinator: Arc<Coordinator<W>>, id: &str, group: &Group) -> Router {
    let machine = Machine { coordinator, id: id.to_owned(), group: group.clone() };
    Router::new()
        .route(PRE_REBOOT, post(pre_reboot::<W>))
        .route(STEADY_STATE, post(steady_state::<W>))
        .fallback(|| async { answer(StatusCode::NOT_FOUND, Kind::BadRequest, "FleetLock has /v1/pre-reboot and /v1/steady-state") })
        .method_not_allowed_fallback(|| async { answer(StatusCode::METHOD_NOT_ALLOWED, Kind::BadRequest, "FleetLock is asked with POST") })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .with_state(machine)
}

async fn pre_reboot<W: World>(State(machine): State<Machine<W>>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    let release = match machine.meant(&headers, body) {
        Ok(release) => release,
        Err(refused) => return *refused,
    };
    // A caller that goes away must not leave half of it undone.
    let coordinator = Arc::clone(&machine.coordinator);
    finish(tokio::spawn(async move { coordinator.pre_reboot(release.as_deref()).await }).await)
}

async fn steady_state<W: World>(State(machine): State<Machine<W>>, headers: HeaderMap, body: Result<Bytes, BytesRejection>) -> Response {
    if let Err(refused) = machine.meant(&headers, body) {
        return *refused;
    }
    let coordinator = Arc::clone(&machine.coordinator);
    finish(tokio::spawn(async move { coordinator.steady_state().await }).await)
}

impl<W> Machine<W> {
    /// Whether a request is FleetLock's, and for this machine. The group is the machine's own; a program that was not told any says
    /// `default`. Answers with the release that the reboot is for.
    fn meant(&self, headers: &HeaderMap, body: Result<Bytes, BytesRejection>) -> Result<Option<String>, Box<Response>> {
        let body = body.map_err(|rejection| Box::new(answer(rejection.status(), Kind::BadRequest, &rejection.body_text())))?;
        let marked = headers.get(HEADER).and_then(|value| value.to_str().ok());
        let bad = |refusal: Refusal| Box::new(answer(StatusCode::BAD_REQUEST, refusal.kind, &refusal.to_string()));
        let Asked { id, group, release } = parse(marked, &body).map_err(bad)?;
        let foreign = |text: String| Box::new(answer(StatusCode::FORBIDDEN, Kind::NotForThisMachine, &text));
        if id != self.id {
            return Err(foreign(format!("this machine is {}, not {id}", self.id)));
        }
        if group != self.group && group.name() != group::DEFAULT {
            return Err(foreign(format!("this machine takes turns in group {}, not {group}", self.group)));
        }
        Ok(release)
    }
}

fn finish(result: Result<Result<(), Refusal>, tokio::task::JoinError>) -> Response {
    match result {
        Ok(Ok(())) => StatusCode::OK.into_response(),
        Ok(Err(refusal)) => {
            let status = if refusal.kind == Kind::Unreachable { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::CONFLICT };
            answer(status, refusal.kind, &refusal.to_string())
        }
        Err(error) => answer(StatusCode::INTERNAL_SERVER_ERROR, Kind::NotReady, &error.to_string()),
    }
}

fn answer(status: StatusCode, kind: Kind, text: &str) -> Response {
    let failure = Failure { kind: kind.name().to_owned(), value: text.to_owned() };
    (status, [(header::CONTENT_TYPE, "application/json")], serde_json::to_string(&failure).unwrap_or_default()).into_response()
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
