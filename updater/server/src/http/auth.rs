//! Who asks, and whether they may.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::problem::Problem;
use super::state::App;
use crate::store::tokens::{self, Role, Token};

/// Who sent a request that was let through.
#[derive(Debug, Clone)]
pub struct Who(pub Token);

impl Who {
    /// For the audit log.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

/// Lets only bearers of a role through.
///
/// # Errors
/// 401 without a token that works, without saying what is wrong with it; 403 when its role is another one.
pub async fn require(State((app, role)): State<(App, Role)>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let who = bearer(&app, request.headers(), role).await?;
    request.extensions_mut().insert(who);
    Ok(next.run(request).await)
}

/// Who sends these headers, if they may do what `role` may.
///
/// # Errors
/// As [`require`].
pub async fn bearer(app: &App, headers: &HeaderMap, role: Role) -> Result<Who, Problem> {
    let header = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let secret = header
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, secret)| secret.trim());
    let token = match secret {
        Some(secret) => tokens::authenticate(&app.db, secret, app.now()).await?,
        None => None,
    };
    let Some(token) = token else {
        app.metrics.refused("unauthorized");
        let hint = "send a token that works: Authorization: Bearer slipway_...; make one with `update-server token create`";
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "no valid token", hint));
    };
    if !token.role.may(role) {
        app.metrics.refused("forbidden");
        let message = format!("the token `{}` has the role {}, this needs {}", token.name, token.role.name(), role.name());
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", message, "ask an admin for a token with that role"));
    }
    Ok(Who(token))
}
