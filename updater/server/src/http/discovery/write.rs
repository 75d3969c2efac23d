//! Writing and removing entries.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Path, RawQuery, State};
use axum::http::{HeaderMap, header};
use discovery::wire::{Action, Answer, Fault, SECRET_HEADER, code};
use discovery::{Member, Secret};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::read::{admitted, over};
use super::reply::{got, key, node};
use super::{FORM_MAX, Params, Reply};
use crate::http::auth;
use crate::http::state::App;
use crate::policy::discovery::{Existing, Proof, Put, Remover, may_remove, put as decide};
use crate::store::audit::note;
use crate::store::discovery::{self as store, Entry, FIRST_INDEX};
use crate::store::tokens::Role;

/// `PUT /discovery/{token}/{member}`: writes an entry once, and again for the machine that wrote it with a secret.
///
/// # Errors
/// There is no such token, the entry makes no sense or is there already, there is no room, or the database's.
pub async fn put(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((token, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Reply, Reply> {
    admitted(&app, peer)?;
    let body = body.map_err(|_| Fault::new(code::FORM, format!("the form cannot be read; it has at most {FORM_MAX} bytes"), 0))?;
    let params = Params::parse(query.as_deref(), &body)?;
    let value = params.value.clone().unwrap_or_default();
    Member::parse(&id, &value).map_err(|wrong| Fault::new(code::FIELD, wrong.to_string(), 0))?;
    let secret = secret(&headers)?;
    let key = key(&token, &id);
    let mut tx = app.db.begin().await?;
    let meeting = store::lock(&mut tx, &token).await?.filter(|meeting| !over(&app, meeting));
    let meeting = meeting.ok_or_else(|| Reply::missing(&key, FIRST_INDEX))?;
    let (before, members) = store::entry(&mut tx, &token, &id).await?;
    let existing = before.as_ref().map(|entry| Existing { value: &entry.value, proof: proof(entry, secret.as_deref()) });
    let next = meeting.index + 1;
    let (outcome, reply) = match (decide(existing, params.wish(), &value, members, meeting.index), before) {
        (Put::Replace, Some(before)) => {
            let entry = Entry { value, modified: next, ..before.clone() };
            store::write(&mut tx, &token, Action::Update, &entry).await?;
            let answer = Answer { action: Action::Update, node: node(&token, &entry), prev_node: Some(node(&token, &before)) };
            ("replaced", Ok(Reply::is(answer, next)))
        }
        (Put::Keep, Some(before)) => ("kept", Ok(Reply::is(got(node(&token, &before)), meeting.index))),
        (Put::Create, _) => {
            let entry = Entry { id, value, created: next, modified: next, secret };
            store::write(&mut tx, &token, Action::Create, &entry).await?;
            ("registered", Ok(Reply::made(Answer { action: Action::Create, node: node(&token, &entry), prev_node: None }, next)))
        }
        (Put::Missing, _) => ("missing", Err(Reply::missing(&key, meeting.index))),
        (Put::Full, _) => ("full", Err(Reply::fault(code::FULL, key, meeting.index))),
        (Put::Exists | Put::Replace | Put::Keep, _) => ("exists", Err(Reply::fault(code::EXISTS, key, meeting.index))),
    };
    tx.commit().await?;
    app.metrics.discovery(outcome);
    if reply.is_ok() {
        app.waiting.ring(&token, next);
    }
    reply
}

/// `DELETE /discovery/{token}/{member}`
///
/// # Errors
/// There is no such token or entry, it was written with a secret that is not sent, or the database's.
pub async fn remove(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((token, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Reply, Reply> {
    admitted(&app, peer)?;
    let secret = secret(&headers)?;
    // Asked before the lock is taken, because it may write; somebody who is none may still remove what is open or their own.
    let operator = match headers.contains_key(header::AUTHORIZATION) {
        true => auth::bearer(&app, &headers, Role::Operator).await.ok(),
        false => None,
    };
    let key = key(&token, &id);
    let mut tx = app.db.begin().await?;
    let meeting = store::lock(&mut tx, &token).await?.filter(|meeting| !over(&app, meeting));
    let meeting = meeting.ok_or_else(|| Reply::missing(&key, FIRST_INDEX))?;
    let (before, _) = store::entry(&mut tx, &token, &id).await?;
    let before = before.ok_or_else(|| Reply::missing(&key, meeting.index))?;
    let remover = if operator.is_some() { Remover::Operator } else { Remover::Anybody };
    if !may_remove(proof(&before, secret.as_deref()), remover) {
        app.metrics.discovery("not-removed");
        let cause = format!("{key} was written with a secret; send the same one in {SECRET_HEADER}, or an operator's token");
        return Err(Reply::fault(code::UNAUTHORIZED, cause, meeting.index));
    }
    let entry = Entry { modified: meeting.index + 1, ..before.clone() };
    store::write(&mut tx, &token, Action::Delete, &entry).await?;
    if let Some(who) = operator {
        let now = app.clock.judged(meeting.read_at);
        let object = format!("discovery/{}/{id}", token.get(..8).unwrap_or_default());
        note(&mut tx, now, who.name(), "discovery.remove", &object, Some(&json!({ "value": before.value })), None::<&()>).await?;
    }
    tx.commit().await?;
    app.metrics.discovery("removed");
    app.waiting.ring(&token, entry.modified);
    let mut gone = node(&token, &entry);
    gone.value = None;
    Ok(Reply::is(Answer { action: Action::Delete, node: gone, prev_node: Some(node(&token, &before)) }, entry.modified))
}

/// The hash of the secret that is sent, if any.
fn secret(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let Some(value) = headers.get(SECRET_HEADER) else { return Ok(None) };
    let wrong = |text: String| Fault::new(code::FIELD, format!("{SECRET_HEADER}: {text}"), 0);
    let text = value.to_str().map_err(|_| wrong("not text".to_owned()))?;
    let secret = Secret::new(text).map_err(|error| wrong(error.to_string()))?;
    // At least 128 bits that nobody guesses: a plain hash protects them as well as a slow one would.
    Ok(Some(hex::encode(Sha256::digest(secret.reveal().as_bytes()))))
}

/// How the bearer of a secret stands to an entry.
fn proof(entry: &Entry, secret: Option<&str>) -> Proof {
    match (&entry.secret, secret) {
        (None, _) => Proof::Open,
        (Some(kept), Some(sent)) if kept.as_bytes().ct_eq(sent.as_bytes()).into() => Proof::Same,
        (Some(_), _) => Proof::Other,
    }
}
