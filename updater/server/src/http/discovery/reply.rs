//! Answers as etcd writes them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use discovery::wire::{Action, Answer, Fault, INDEX_HEADER, Node, REGISTRY, code};

use crate::store::StoreError;
use crate::store::discovery::{Entry, Event, FIRST_INDEX};

/// An answer with the newest index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    index: u64,
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Made(Box<Answer>),
    Is(Box<Answer>),
    Fault(Fault),
    /// Ends an idle wait.
    Nothing,
}

impl Reply {
    /// Something was made: 201.
    #[must_use]
    pub fn made(answer: Answer, index: u64) -> Self {
        Self { index, content: Content::Made(Box::new(answer)) }
    }

    /// Something is so: 200.
    #[must_use]
    pub fn is(answer: Answer, index: u64) -> Self {
        Self { index, content: Content::Is(Box::new(answer)) }
    }

    /// Nothing happened while somebody waited.
    #[must_use]
    pub fn nothing(index: u64) -> Self {
        Self { index, content: Content::Nothing }
    }

    /// No.
    #[must_use]
    pub fn fault(error_code: u32, cause: impl Into<String>, index: u64) -> Self {
        Fault::new(error_code, cause, index).into()
    }

    /// There is no such key.
    #[must_use]
    pub fn missing(path: &str, index: u64) -> Self {
        Self::fault(code::NOT_FOUND, path, index)
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        Self { index: fault.index.max(FIRST_INDEX), content: Content::Fault(fault) }
    }
}

impl From<StoreError> for Reply {
    fn from(error: StoreError) -> Self {
        // The database's own words are none of the caller's business.
        tracing::error!(%error, "a discovery request could not be stored");
        Self::fault(code::INTERNAL, "the server's database did not answer as it should; try again later", FIRST_INDEX)
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = match self.content {
            Content::Made(answer) => (StatusCode::CREATED, Json(answer)).into_response(),
            Content::Is(answer) => Json(answer).into_response(),
            Content::Fault(fault) => {
                let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, Json(fault)).into_response()
            }
            Content::Nothing => ([(header::CONTENT_TYPE, "application/json")], "").into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(INDEX_HEADER, HeaderValue::from(self.index));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if response.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

/// The key of something below a token.
pub(super) fn key(token: &str, below: &str) -> String {
    if below.is_empty() { format!("{REGISTRY}/{token}") } else { format!("{REGISTRY}/{token}/{below}") }
}

/// An entry as a node.
pub(super) fn node(token: &str, entry: &Entry) -> Node {
    Node {
        key: key(token, &entry.id),
        value: Some(entry.value.clone()),
        modified_index: entry.modified,
        created_index: entry.created,
        ..Node::default()
    }
}

/// An answer that something was read.
pub(super) fn got(node: Node) -> Answer {
    Answer { action: Action::Get, node, prev_node: None }
}

/// What happened, as those hear who wait for it.
pub(super) fn happened(token: &str, event: Event) -> Answer {
    let key = key(token, &event.id);
    let node = Node { key, value: event.value, modified_index: event.index, created_index: event.created, ..Node::default() };
    Answer { action: event.action, node, prev_node: None }
}
