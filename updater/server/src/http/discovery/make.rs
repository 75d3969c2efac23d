//! A new address.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use discovery::limits::{SIZE_DEFAULT, SIZE_MAX};
use serde_json::json;
use url::form_urlencoded;

use super::Access;
use crate::http::problem::Problem;
use crate::http::state::App;
use crate::http::{auth, update};
use crate::policy::discovery::TOKENS_MAX;
use crate::store::audit::note;
use crate::store::discovery as store;
use crate::store::tokens::Role;

/// Random bytes of a token, as etcd's own service has them: whoever knows the token may join.
const TOKEN_BYTES: usize = 16;

/// `GET|POST|PUT /discovery/new?size=N`: the new address as text.
///
/// # Errors
/// The size is none, too many are asked for, there is no room, or the database's.
pub async fn new(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    method: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Response, Problem> {
    if method == Method::HEAD {
        return Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "each request makes a new address", "ask with GET"));
    }
    let settings = &app.settings.discovery;
    let who = match settings.access {
        Access::Off => return Err(Problem::missing("discovery service on this server")),
        Access::Token => Some(auth::bearer(&app, &headers, Role::Operator).await?),
        Access::Open => None,
    };
    if who.is_none() && !app.new_tokens.allow(peer.ip(), app.now()) {
        app.metrics.refused("rate");
        let problem =
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate", "too many new addresses for this source", "come again in a minute");
        return Ok(([(header::RETRY_AFTER, HeaderValue::from_static("60"))], problem).into_response());
    }
    let size = wanted(query.as_deref(), &body)?;
    let base = base(&app, &headers)?;
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the system gives no random numbers");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "internal", "the server failed", "see its log")
    })?;
    let token = hex::encode(bytes);
    let mut tx = app.db.begin().await?;
    let now = app.clock.within(&mut tx).await?;
    let end = settings.lifetime.map(|lifetime| now + lifetime);
    if !store::create(&mut tx, &token, size as u64, now, end, TOKENS_MAX).await? {
        app.metrics.discovery("no-room");
        let hint = "addresses that nobody uses end by themselves; with `serve --discovery token` strangers cannot make any";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "full", format!("there are {TOKENS_MAX} addresses already"), hint));
    }
    if let Some(who) = &who {
        // The token lets its bearer join: the log shows only how it begins.
        let object = format!("discovery/{}", token.get(..8).unwrap_or_default());
        note(&mut tx, now, who.name(), "discovery.new", &object, None::<&()>, Some(&json!({ "size": size }))).await?;
    }
    tx.commit().await?;
    app.metrics.discovery("new");
    let plain = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    Ok((plain, format!("{base}/{token}")).into_response())
}

/// The size that is asked for, in the query or in a form.
fn wanted(query: Option<&str>, body: &[u8]) -> Result<usize, Problem> {
    let query = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let Some((_, text)) = query.chain(form_urlencoded::parse(body)).find(|(name, _)| name == "size") else { return Ok(SIZE_DEFAULT) };
    text.parse().ok().filter(|size| (1..=SIZE_MAX).contains(size)).ok_or_else(|| {
        Problem::invalid("size is how many members the cluster is to have", format!("a whole number from 1 to {SIZE_MAX}, e.g. ?size=3"))
    })
}

/// What the new address begins with.
fn base(app: &App, headers: &HeaderMap) -> Result<String, Problem> {
    if let Some(url) = &app.settings.discovery.url {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    if let Some(url) = &app.settings.base_url {
        return Ok(format!("{}/discovery", url.trim_end_matches('/')));
    }
    // Machines will go where this says, so that nothing is made up where the header makes no sense.
    let host = update::host(headers).filter(|host| url::Url::parse(&format!("http://{host}")).is_ok());
    host.map(|host| format!("http://{host}/discovery")).ok_or_else(|| {
        Problem::invalid("the Host header names no host", "set this server's address with `serve --base-url` or `--discovery-url`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_a_small_number() {
        for (query, body, size) in [
            (None, "", Some(3)),
            (Some(""), "", Some(3)),
            (Some("other=1"), "", Some(3)),
            (Some("size=1"), "", Some(1)),
            (Some("size=31"), "", Some(31)),
            (None, "size=5", Some(5)),
            (Some("size=5"), "size=7", Some(5)),
            (Some("size="), "", None),
            (Some("size=0"), "", None),
            (Some("size=32"), "", None),
            (Some("size=-1"), "", None),
            (Some("size=three"), "", None),
            (Some("size=3.0"), "", None),
            (Some("size=99999999999999999999999"), "", None),
        ] {
            assert_eq!(wanted(query, body.as_bytes()).ok(), size, "{query:?} {body}");
        }
    }
}
