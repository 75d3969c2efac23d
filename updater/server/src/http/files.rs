//! Metadata and targets: plain files, streamed, with ranges.

use std::path::Path as FilePath;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::problem::Problem;
use super::state::App;
use crate::publish::layout::Name;

/// Piece that is read and sent at once, in bytes: what bounds the memory of a download.
const PIECE: usize = 128 * 1024;
/// What is published under a release's name never changes.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// Metadata does change; caches must ask.
const REVALIDATE: &str = "no-cache";

/// `GET` and `HEAD` `/tuf/NAME`
///
/// # Errors
/// There is no such file.
pub async fn tuf(State(app): State<App>, Path(name): Path<String>, method: Method, headers: HeaderMap) -> Result<Response, Problem> {
    let path = format!("tuf/{name}");
    send(&app, &path, REVALIDATE, &method, &headers).await
}

/// `GET` and `HEAD` `/targets/FOLDER/FILE`
///
/// # Errors
/// There is no such file.
pub async fn targets(
    State(app): State<App>,
    Path((folder, file)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path = format!("targets/{folder}/{file}");
    send(&app, &path, FOREVER, &method, &headers).await
}

async fn send(app: &App, path: &str, cache: &'static str, method: &Method, headers: &HeaderMap) -> Result<Response, Problem> {
    let missing = || Problem::missing(format!("file /{path}"));
    let name = Name::parse(path).map_err(|_| missing())?;
    file(&app.layout.repository.join(name.path()), cache, method, headers).await.map_err(|_| missing())
}

async fn file(path: &FilePath, cache: &'static str, method: &Method, headers: &HeaderMap) -> std::io::Result<Response> {
    let mut file = tokio::fs::File::open(path).await?;
    let meta = file.metadata().await?;
    if !meta.is_file() {
        return Err(std::io::ErrorKind::NotFound.into());
    }
    let (length, tag) = (meta.len(), tag(&meta));
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|known| known == "*" || known.split(',').any(|known| weak(known) == tag)) {
        return Ok(common(StatusCode::NOT_MODIFIED, &tag, cache).into_response());
    }
    // A range of another version than the client has would be glued to the wrong beginning: then send all of it.
    let same = text(header::IF_RANGE).is_none_or(|known| known == tag);
    let range = text(header::RANGE).filter(|_| same && method == Method::GET).map_or(Range::All, |range| range_of(range, length));
    let (status, start, size) = match range {
        Range::All => (StatusCode::OK, 0, length),
        Range::Part(start, end) => (StatusCode::PARTIAL_CONTENT, start, end - start + 1),
        Range::Unsatisfiable => {
            let mut response = common(StatusCode::RANGE_NOT_SATISFIABLE, &tag, cache).into_response();
            set(&mut response, header::CONTENT_RANGE, format!("bytes */{length}"));
            return Ok(response);
        }
    };
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        file.seek(std::io::SeekFrom::Start(start)).await?;
        Body::from_stream(ReaderStream::with_capacity(file.take(size), PIECE))
    };
    let (status, headers) = common(status, &tag, cache);
    let mut response = (status, headers, body).into_response();
    set(&mut response, header::CONTENT_LENGTH, size.to_string());
    set(&mut response, header::ACCEPT_RANGES, "bytes".to_owned());
    let json = path.extension().is_some_and(|extension| extension == "json");
    set(&mut response, header::CONTENT_TYPE, if json { "application/json" } else { "application/octet-stream" }.to_owned());
    if status == StatusCode::PARTIAL_CONTENT {
        set(&mut response, header::CONTENT_RANGE, format!("bytes {start}-{}/{length}", start + size - 1));
    }
    Ok(response)
}

fn common(status: StatusCode, tag: &str, cache: &'static str) -> (StatusCode, [(header::HeaderName, String); 2]) {
    (status, [(header::ETAG, tag.to_owned()), (header::CACHE_CONTROL, cache.to_owned())])
}

fn set(response: &mut Response, name: header::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

/// A file is replaced by another inode, never written in place, so inode, length and time name its content.
fn tag(meta: &std::fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;
    format!("\"{:x}-{:x}-{:x}\"", meta.ino(), meta.len(), meta.mtime_nsec().unsigned_abs() ^ meta.mtime().unsigned_abs() << 30)
}

fn weak(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[derive(Debug, PartialEq, Eq)]
enum Range {
    All,
    Part(u64, u64),
    Unsatisfiable,
}

/// One range of bytes. Several at once, other units and nonsense are answered with the whole file, as RFC 9110 allows.
fn range_of(text: &str, length: u64) -> Range {
    let Some((first, last)) = text.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else { return Range::All };
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if !digits(first) || !digits(last) || (first.is_empty() && last.is_empty()) {
        return Range::All;
    }
    // More digits than a length can have reach behind any end.
    let number = |text: &str| text.parse::<u64>().unwrap_or(u64::MAX);
    let (start, end) = if first.is_empty() {
        if number(last) == 0 {
            return Range::Unsatisfiable;
        }
        (length.saturating_sub(number(last)), length.saturating_sub(1))
    } else {
        (number(first), if last.is_empty() { length.saturating_sub(1) } else { number(last).min(length.saturating_sub(1)) })
    };
    if !first.is_empty() && !last.is_empty() && number(last) < number(first) {
        return Range::All;
    }
    if start >= length { Range::Unsatisfiable } else { Range::Part(start, end) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_the_rules() {
        for (text, length, wanted) in [
            ("bytes=0-0", 10, Range::Part(0, 0)),
            ("bytes=3-", 10, Range::Part(3, 9)),
            ("bytes=3-100", 10, Range::Part(3, 9)),
            ("bytes=-4", 10, Range::Part(6, 9)),
            ("bytes=-100", 10, Range::Part(0, 9)),
            ("bytes=10-", 10, Range::Unsatisfiable),
            ("bytes=-0", 10, Range::Unsatisfiable),
            ("bytes=0-", 0, Range::Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Range::Unsatisfiable),
            ("bytes=5-2", 10, Range::All),
            ("bytes=0-1,3-4", 10, Range::All),
            ("bytes=-", 10, Range::All),
            ("bytes=--3", 10, Range::All),
            ("bytes=+1-3", 10, Range::All),
            ("lines=1-2", 10, Range::All),
            ("", 10, Range::All),
        ] {
            assert_eq!(range_of(text, length), wanted, "{text} of {length}");
        }
    }
}
