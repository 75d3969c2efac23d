//! Reading and waiting.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Path, RawQuery, State};
use discovery::wire::{Node, code};

use super::reply::{got, happened, key, node};
use super::{Access, Params, Reply, waiting};
use crate::http::state::App;
use crate::policy::{Span, Time};
use crate::store::discovery::{self as store, FIRST_INDEX, Meeting};

/// A token's end is moved at this granularity, to spare a write per request.
const MOVE_END_BY: Span = Span::hours(1);

/// Whether a request may go on at all.
pub(super) fn admitted(app: &App, peer: SocketAddr) -> Result<(), Reply> {
    if app.settings.discovery.access == Access::Off {
        return Err(Reply::missing("/", FIRST_INDEX));
    }
    if !app.limiter.allow(peer.ip(), app.now()) {
        app.metrics.refused("rate");
        // What etcd asks again after, more slowly each time.
        return Err(Reply::fault(code::INTERNAL, "too many requests from this address; try again later", FIRST_INDEX));
    }
    Ok(())
}

/// Whether a token's time is over.
pub(super) fn over(app: &App, meeting: &Meeting) -> bool {
    meeting.expires_at.is_some_and(|end| end <= app.clock.judged(meeting.read_at))
}

/// `GET /discovery/{token}`: who is there, in order; with `wait`, the next event.
///
/// # Errors
/// There is no such token, the request makes no sense, or the database's.
pub async fn list(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(token): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Reply, Reply> {
    admitted(&app, peer)?;
    let params = Params::parse(query.as_deref(), b"")?;
    if params.wait {
        return wait(&app, &token, None, params.from).await;
    }
    let Some((meeting, entries)) = store::read(&app.db, &token).await?.filter(|(meeting, _)| !over(&app, meeting)) else {
        return Err(Reply::missing(&key(&token, ""), FIRST_INDEX));
    };
    if !entries.is_empty() {
        stay(&app, &token, &meeting).await?;
    }
    let nodes = entries.iter().map(|entry| node(&token, entry)).collect();
    let folder = Node { key: key(&token, ""), dir: true, nodes, modified_index: FIRST_INDEX, created_index: FIRST_INDEX, value: None };
    Ok(Reply::is(got(folder), meeting.index))
}

/// `GET /discovery/{token}/_config/size`
///
/// # Errors
/// There is no such token, or the database's.
pub async fn size(State(app): State<App>, ConnectInfo(peer): ConnectInfo<SocketAddr>, Path(token): Path<String>) -> Result<Reply, Reply> {
    admitted(&app, peer)?;
    let key = key(&token, "_config/size");
    let Some((meeting, _)) = store::read(&app.db, &token).await?.filter(|(meeting, _)| !over(&app, meeting)) else {
        return Err(Reply::missing(&key, FIRST_INDEX));
    };
    let value = Some(meeting.size.to_string());
    let node = Node { key, value, modified_index: FIRST_INDEX, created_index: FIRST_INDEX, ..Node::default() };
    Ok(Reply::is(got(node), meeting.index))
}

/// `GET /discovery/{token}/{member}`: one entry; with `wait`, its next event.
///
/// # Errors
/// There is no such token or entry, the request makes no sense, or the database's.
pub async fn entry(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path((token, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Reply, Reply> {
    admitted(&app, peer)?;
    let params = Params::parse(query.as_deref(), b"")?;
    if params.wait {
        return wait(&app, &token, Some(&id), params.from).await;
    }
    let missing = |index| Reply::missing(&key(&token, &id), index);
    let read = store::read(&app.db, &token).await?.filter(|(meeting, _)| !over(&app, meeting));
    let (meeting, entries) = read.ok_or_else(|| missing(FIRST_INDEX))?;
    let found = entries.iter().find(|entry| entry.id == id).ok_or_else(|| missing(meeting.index))?;
    Ok(Reply::is(got(node(&token, found)), meeting.index))
}

/// The first event from an index on: at once where it has happened, else when it does, or nothing after a while.
async fn wait(app: &App, token: &str, id: Option<&str>, from: Option<u64>) -> Result<Reply, Reply> {
    let Some(mut listener) = app.waiting.listen(token) else {
        return Err(Reply::fault(code::INTERNAL, "too many machines wait here, or the server ends; try again later", FIRST_INDEX));
    };
    if app.waiting.needs_looking() {
        tokio::spawn(waiting::look(app.clone()));
    }
    let end = tokio::time::sleep(app.settings.discovery.idle);
    tokio::pin!(end);
    let mut from = from;
    loop {
        // The listener is older than this question: what is written after it wakes us.
        let found = store::event(&app.db, token, id, from.unwrap_or(u64::MAX)).await?;
        let Some((meeting, event)) = found.filter(|(meeting, _)| !over(app, meeting)) else {
            return Err(Reply::missing(&key(token, id.unwrap_or_default()), FIRST_INDEX));
        };
        if let Some(event) = event {
            return Ok(Reply::is(happened(token, event), meeting.index));
        }
        // Whatever comes next.
        from.get_or_insert(meeting.index + 1);
        tokio::select! {
            alive = listener.changed() => if !alive { return Ok(Reply::nothing(meeting.index)) },
            () = &mut end => return Ok(Reply::nothing(meeting.index)),
        }
    }
}

/// Moves the end of a token that is in use.
async fn stay(app: &App, token: &str, meeting: &Meeting) -> Result<(), Reply> {
    let now = app.clock.judged(meeting.read_at);
    let Some(end) = later(meeting.expires_at, app.settings.discovery.lifetime, now) else { return Ok(()) };
    let mut tx = app.db.begin().await?;
    store::keep_until(&mut tx, token, end).await?;
    tx.commit().await?;
    Ok(())
}

/// The new end of a token that is asked for now, if it is worth a write. An end never comes nearer.
fn later(end: Option<Time>, lifetime: Option<Span>, now: Time) -> Option<Option<Time>> {
    match (end, lifetime) {
        (None, _) => None,
        (Some(_), None) => Some(None),
        (Some(end), Some(lifetime)) => Some(now + lifetime).filter(|new| new.since(end) >= MOVE_END_BY).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_in_use_ends_later_and_never_earlier() {
        let (hours, now) = (|hours: u64| Time(0) + Span::hours(hours), Time(0) + Span::hours(10));
        for (end, lifetime, wanted) in [
            (Some(hours(11)), Some(Span::hours(5)), Some(Some(hours(15)))),
            (Some(hours(15)), Some(Span::hours(5)), None),
            (Some(hours(14)), Some(Span::minutes(290)), None),
            (Some(hours(99)), Some(Span::hours(5)), None),
            (Some(hours(11)), None, Some(None)),
            (None, Some(Span::hours(5)), None),
            (None, None, None),
        ] {
            assert_eq!(later(end, lifetime, now), wanted, "{end:?} {lifetime:?}");
        }
    }
}
