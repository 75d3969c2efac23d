//! Signing in with a token, and out again.

use askama::Template;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::frame::{Frame, Here};
use super::guard::{Visitor, cookie, over_tls, plain_http, same_origin, set_cookie};
use super::problem::{Problem, redirect};
use super::{Page, answer, session};
use crate::store::tokens;

/// Longest way back that is followed after the sign-in, in bytes.
const NEXT_MAX: usize = 512;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct View {
    frame: Frame,
    next: String,
    refused: bool,
    idle: String,
    absolute: String,
}

/// Where the sign-in leads.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Way {
    next: String,
}

/// What the form sends.
#[derive(Deserialize)]
pub struct Input {
    token: String,
    #[serde(default)]
    next: String,
}

/// What the sign-out sends.
#[derive(Debug, Deserialize)]
pub struct Out {
    form_token: String,
}

fn view(next: &str, refused: bool) -> View {
    let frame = Frame::bare("Sign in", Here::Nowhere);
    View { frame, next: local(next).to_owned(), refused, idle: session::IDLE.to_string(), absolute: session::ABSOLUTE.to_string() }
}

/// `GET /sign-in`
///
/// # Errors
/// The page could not be made.
pub async fn get(State(page): State<Page>, Query(way): Query<Way>) -> Result<Response, Problem> {
    answer::page(&view(&way.next, false), page.now())
}

/// `POST /sign-in`: a token for a session. Whatever session the browser brought ends; the new one has a new identifier.
///
/// # Errors
/// The form came from another site, or the database refused.
pub async fn post(State(page): State<Page>, headers: HeaderMap, Form(input): Form<Input>) -> Result<Response, Problem> {
    // Otherwise another site could sign its visitor in as somebody else and wait for what they do there.
    if !same_origin(&headers, page.base_url.as_deref()) {
        return Err(Problem::foreign());
    }
    if page.secure() && plain_http(&headers) {
        return Err(Problem::needs_tls(page.base_url.as_deref().unwrap_or_default()));
    }
    let Some(token) = tokens::authenticate(&page.db, input.token.trim(), page.now()).await? else {
        let body = answer::page(&view(&input.next, true), page.now())?;
        return Ok((StatusCode::UNAUTHORIZED, body).into_response());
    };
    let secure = page.secure() || over_tls(&headers);
    let before = cookie(&headers, page.secure());
    let secret = session::begin(&page.db, &token, before.as_ref(), page.now()).await?;
    tracing::info!(token = %token.name, "signed in");
    Ok(([(header::SET_COOKIE, set_cookie(Some(&secret), secure))], redirect(local(&input.next))).into_response())
}

/// `POST /sign-out`
///
/// # Errors
/// The form came from another site, or the database refused.
pub async fn out(State(page): State<Page>, visitor: Visitor, headers: HeaderMap, Form(input): Form<Out>) -> Result<Response, Problem> {
    if !same_origin(&headers, page.base_url.as_deref()) {
        return Err(Problem::foreign());
    }
    if !visitor.secret.made_form(&input.form_token) {
        return Err(Problem::stale_form());
    }
    session::end(&page.db, &visitor.secret).await?;
    let secure = page.secure() || over_tls(&headers);
    Ok(([(header::SET_COOKIE, set_cookie(None, secure))], redirect("/sign-in")).into_response())
}

/// A way back that leads to ourselves, or the overview.
fn local(next: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~%?=&:+".contains(c);
    let ours = next.starts_with('/') && !next.starts_with("//") && next.len() <= NEXT_MAX && next.chars().all(plain);
    if ours { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_never_leads_away() {
        for ours in ["/", "/machines?group=stable&after=100", "/machines/a:b%20c"] {
            assert_eq!(local(ours), ours);
        }
        for away in
            ["", "https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\r\nSet-Cookie: x", "/a b", "/ä"]
        {
            assert_eq!(local(away), "/", "{away}");
        }
        assert_eq!(local(&format!("/{}", "a".repeat(NEXT_MAX))), "/");
    }
}
