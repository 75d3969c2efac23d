//! JSON bodies and queries that are refused with the nearest valid name.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Largest JSON body, in bytes: a group with a list of a few thousand canaries.
pub const JSON_MAX: usize = 256 * 1024;

/// A JSON body; unknown keys are refused.
#[derive(Debug)]
pub struct Input<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        // Asked for so that no web page can make a browser send it across sites without asking first.
        if !kind.starts_with("application/json") {
            let hint = "send it with Content-Type: application/json";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", "the body must be JSON", hint));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(|error| {
            Problem::new(error.status(), "body", error.body_text(), format!("a JSON body has at most {JSON_MAX} bytes"))
        })?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| Problem::invalid(format!("the body does not fit: {error}"), nearest(&error.to_string())))
    }
}

/// A query string; unknown keys are refused.
#[derive(Debug)]
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(query)| Self(query)).map_err(|error| {
            let text = error.body_text();
            let hint = nearest(&text);
            Problem::invalid(text, hint)
        })
    }
}

/// The nearest of the names that an "unknown field" error lists.
fn nearest(error: &str) -> String {
    let mut quoted = error.split('`').skip(1).step_by(2);
    let Some(wrong) = quoted.next().filter(|_| error.contains("unknown field") || error.contains("unknown variant")) else {
        return String::new();
    };
    let best = quoted.map(|name| (distance(wrong, name), name)).min();
    // Further off than half of the word is another word.
    best.filter(|(off, name)| *off <= name.len().max(wrong.len()) / 2)
        .map(|(_, name)| format!("did you mean `{name}`?"))
        .unwrap_or_default()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.iter().enumerate() {
            let change = corner + usize::from(from != *to);
            corner = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(corner + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_nearest_valid_name() {
        for (error, hint) in [
            ("unknown field `chanel`, expected one of `channel`, `pin`, `parallel` at line 1", "did you mean `channel`?"),
            ("unknown field `zzzzzzzz`, expected `channel`", ""),
            ("invalid type: integer `3`, expected a string", ""),
        ] {
            assert_eq!(nearest(error), hint, "{error}");
        }
    }
}
