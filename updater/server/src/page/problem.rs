//! Pages for what went wrong: what, and what to do next.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::frame::{Frame, Here};
use super::session::Use;
use super::text::tame;
use crate::store::StoreError;
use crate::store::tokens::Role;

/// Something that is shown instead of the page that was asked for.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    title: String,
    message: String,
    /// Where to go from here, and its name.
    next: (String, &'static str),
}

#[derive(Template)]
#[template(path = "problem.html")]
struct View<'a> {
    frame: Frame,
    problem: &'a Problem,
}

impl Problem {
    /// A page that says so.
    #[must_use]
    pub fn new(status: StatusCode, title: &str, message: String, next: (String, &'static str)) -> Self {
        Self { status, title: title.to_owned(), message, next }
    }

    /// There is no such thing.
    #[must_use]
    pub fn missing(message: String, next: (&str, &'static str)) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not here", message, (next.0.to_owned(), next.1))
    }

    /// Nobody is signed in: browsers are led to the sign-in and back, the script is told.
    #[must_use]
    pub fn signed_out(back: &str, used: Use) -> Self {
        let status = if used == Use::Script { StatusCode::UNAUTHORIZED } else { StatusCode::SEE_OTHER };
        let next = if back == "/" { "/sign-in".to_owned() } else { format!("/sign-in?next={}", escape(back)) };
        Self::new(status, "Signed out", "Sign in to see this page.".to_owned(), (next, "Sign in"))
    }

    /// A form of another site.
    #[must_use]
    pub fn foreign() -> Self {
        let message = "This form was not sent from a page of this server, so nothing was changed. If a proxy stands before \
                       the server, it must pass on the Host header, or the server must be started with its public base URL.";
        Self::new(StatusCode::FORBIDDEN, "Not from here", message.to_owned(), ("/".to_owned(), "Overview"))
    }

    /// A token on its way through a network for all to read, or a cookie that the browser would not keep.
    #[must_use]
    pub fn needs_tls(base_url: &str) -> Self {
        let message =
            format!("Sign in over TLS, at {}. The token you just sent crossed the network unencrypted: revoke it.", tame(base_url));
        Self::new(StatusCode::FORBIDDEN, "Not without TLS", message, (base_url.to_owned(), "Go there"))
    }

    /// A form of an earlier session.
    #[must_use]
    pub fn stale_form() -> Self {
        let message = "This form belongs to an earlier session, so nothing was changed. Open the page again and repeat it.";
        Self::new(StatusCode::FORBIDDEN, "Form out of date", message.to_owned(), ("/".to_owned(), "Overview"))
    }

    /// The role does not allow it.
    #[must_use]
    pub fn not_yours(name: &str, role: Role) -> Self {
        let message = format!(
            "Token “{}” has the role {}. Pausing and resuming needs operator or admin; nothing was changed.",
            tame(name),
            role.name()
        );
        Self::new(StatusCode::FORBIDDEN, "Not with this token", message, ("/sign-in".to_owned(), "Sign in with another token"))
    }

    /// Our own fault.
    pub fn broken(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "a page could not be made");
        let message = "The server could not make this page; its log says why. Machines are served all the same where the \
                       database allows it.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "That went wrong", message.to_owned(), ("/".to_owned(), "Try the overview"))
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.passing() {
            let message = "The database was busy and nothing was changed. Try again.".to_owned();
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", message, ("/".to_owned(), "Overview"));
        }
        Self::broken(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if self.status == StatusCode::SEE_OTHER {
            return redirect(&self.next.0);
        }
        let body = View { frame: Frame::bare(&self.title, Here::Nowhere), problem: &self }.render();
        let body = body.unwrap_or_else(|_| self.title.clone());
        (self.status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response()
    }
}

/// Leads a browser to `path`, which is one of ours.
#[must_use]
pub fn redirect(path: &str) -> Response {
    let target = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, target)]).into_response()
}

/// Text as part of a query or a path.
#[must_use]
pub fn escape(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
