//! The Omaha endpoint.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::state::App;
use crate::checkin::writer::Refused;
use crate::checkin::{CheckIn, Reply, answer};
use crate::policy::Decision;

/// `POST /v1/update`
///
/// # Errors
/// The request cannot be read, comes too often, or cannot be stored.
pub async fn update(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.contains("json") || body.first() == Some(&b'{') {
        app.metrics.refused("json");
        let message = "this server speaks Omaha v3 as XML (text/xml), not as JSON";
        let hint = "Flatcar's update_engine and Slipway's updater send XML; JSON clients (omaha_client) are not served";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", message, hint));
    }
    if !app.limiter.allow(peer.ip(), app.now()) {
        app.metrics.refused("rate");
        let mut response = Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate", "too many check-ins from this address", "").into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        response.headers_mut().insert("x-retry-after", HeaderValue::from_static("60"));
        return Ok(response);
    }
    let request = omaha::Request::parse(&body).map_err(|error| {
        app.metrics.refused("xml");
        Problem::invalid(format!("the request is no Omaha v3 document: {error}"), "")
    })?;
    let (said, replies) = app.writer.check_in(CheckIn::of(&request)).await.map_err(|error| {
        app.metrics.refused(if error == Refused::Full { "full" } else { "not-stored" });
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string(), "the machine tries again by itself")
    })?;
    for reply in &replies {
        app.metrics.answer(kind_of(reply));
    }
    let base = base(&app, &headers);
    let poll = app.settings.poll_secs.unwrap_or(answer::POLL_SECS);
    let document = answer::response(&said, &replies, &base, poll, app.now()).to_xml();
    let mut response = ([(header::CONTENT_TYPE, "text/xml; charset=utf-8"), (header::CACHE_CONTROL, "no-store")], document).into_response();
    if let Ok(value) = HeaderValue::from_str(&poll.to_string()) {
        response.headers_mut().insert("x-retry-after", value);
    }
    Ok(response)
}

/// Where a machine can reach this server: where it just did, unless the operator says otherwise.
fn base(app: &App, headers: &HeaderMap) -> String {
    if let Some(base) = &app.settings.base_url {
        return base.trim_end_matches('/').to_owned();
    }
    format!("http://{}", host(headers).unwrap_or("localhost"))
}

/// The host that was asked, if the header says nothing but that.
pub(super) fn host(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    let plain = host.chars().all(|c| c.is_ascii_alphanumeric() || "-.:[]".contains(c));
    Some(host).filter(|host| plain && !host.is_empty())
}

fn kind_of(reply: &Reply) -> &'static str {
    match reply {
        Reply::UnknownApp => "unknown-app",
        Reply::NoMachineId => "no-machine-id",
        Reply::GroupFull => "group-full",
        Reply::Heard => "heard",
        Reply::Decided(decision, _) if matches!(**decision, Decision::Update(_)) => "update",
        Reply::Decided(..) => "no-update",
    }
}
