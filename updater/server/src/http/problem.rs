//! What went wrong, as JSON: `kind` for programs, `message` for people, `hint` for what to do next.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::publish::PublishError;
use crate::store::StoreError;

/// An error of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// One of few words.
    pub kind: &'static str,
    /// What, on which object.
    pub message: String,
    /// What to do.
    pub hint: String,
}

#[derive(Serialize)]
struct Body<'a> {
    kind: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    hint: &'a str,
}

impl Problem {
    /// Any.
    #[must_use]
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), hint: hint.into() }
    }

    /// The request makes no sense.
    #[must_use]
    pub fn invalid(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", message, hint)
    }

    /// There is no such thing.
    #[must_use]
    pub fn missing(what: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", format!("there is no {what}"), "")
    }

    /// It makes no sense in the present state.
    #[must_use]
    pub fn conflict(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", message, hint)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body { kind: self.kind, message: &self.message, hint: &self.hint };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"slipway\""));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.passing() {
            return Self::conflict(error.to_string(), "somebody changed the same thing at the same moment; try again");
        }
        // The database's own words may hold what is none of the caller's business; they are in the log.
        tracing::error!(%error, "a request could not be stored");
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "database",
            "the database did not answer as it should",
            "see the server's log; try again later",
        )
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        let message = error.to_string();
        match error {
            PublishError::Name(_) | PublishError::Digest { .. } | PublishError::BrokenOff { .. } => Self::invalid(message, ""),
            PublishError::Large { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", message, ""),
            PublishError::Published(_) => Self::conflict(message, ""),
            PublishError::Trust(_)
            | PublishError::Pinned(_)
            | PublishError::Missing(_)
            | PublishError::Differs { .. }
            | PublishError::Release { .. }
            | PublishError::NoMetadata(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", message, "nothing was published; what was there is still served")
            }
            PublishError::Store(error) => error.into(),
            PublishError::Io { .. } | PublishError::Key { .. } => {
                tracing::error!(error = %message, "publishing failed");
                Self::new(
                    StatusCode::INSUFFICIENT_STORAGE,
                    "disk",
                    message,
                    "nothing was published; free space on the server's disk and try again",
                )
            }
        }
    }
}
