//! The web page: the read models of [`crate::views`] as HTML, made on the server.
//!
//! - [`text`], [`bar`], [`chart`]: words, numbers and pictures, pure
//! - [`session`], [`guard`], [`sign_in`]: who looks, and whether a form is theirs
//! - [`overview`], [`rollouts`], [`rollout`], [`machines`], [`machine`], [`history`]: one module and one template per page
//! - [`steer`]: pause and resume
//! - [`answer`], [`problem`], [`assets`]: headers, pages for what went wrong, style and script
//!
//! Every page reads and every form works without JavaScript. The one script fetches the page again every few seconds and
//! swaps what changed; it is told `304 Not Modified` while nothing did.
//!
//! # What must never happen
//! - Text of a machine becomes markup or moves the text around it: templates escape, [`text::tame`] takes the rest.
//! - A form of another site is obeyed: [`guard::Visitor::check`] asks for the session's own token and for our own origin.
//! - Somebody who may only read changes something: the server decides, missing buttons are a courtesy.

pub mod answer;
pub mod assets;
pub mod bar;
pub mod chart;
pub mod frame;
pub mod guard;
pub mod history;
pub mod machine;
pub mod machines;
pub mod overview;
pub mod problem;
pub mod rollout;
pub mod rollouts;
pub mod session;
pub mod sign_in;
pub mod steer;
pub mod text;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, map_response};
use axum::routing::{get, post};

use crate::background::findings::Findings;
use crate::clock::Clock;
use crate::policy::Time;
use crate::store::Db;

/// Largest form, in bytes: a token, or a sentence that says why a rollout is paused.
const FORM_MAX: usize = 8 * 1024;

/// What every page may use.
#[derive(Debug, Clone)]
pub struct Page {
    db: Db,
    clock: Clock,
    base_url: Option<String>,
    findings: Findings,
}

impl Page {
    /// Pages on `db`. `base_url` is how browsers reach this server, where that is known.
    #[must_use]
    pub fn new(db: Db, clock: Clock, base_url: Option<String>) -> Self {
        Self { db, clock, base_url, findings: Findings::default() }
    }

    /// The same, with what the background task finds.
    #[must_use]
    pub fn with(self, findings: Findings) -> Self {
        Self { findings, ..self }
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    /// Whether browsers are known to come over TLS.
    fn secure(&self) -> bool {
        self.base_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}

/// All pages, to be merged into the server's routes.
pub fn router(page: Page) -> Router {
    Router::new()
        .route("/", get(overview::get))
        .route("/rollouts", get(rollouts::get))
        .route("/rollouts/{id}", get(rollout::get))
        .route("/rollouts/{id}/pause", post(steer::pause))
        .route("/rollouts/{id}/resume", post(steer::resume))
        .route("/machines", get(machines::get))
        .route("/machines/{id}", get(machine::get))
        .route("/history", get(history::get))
        .route("/sign-in", get(sign_in::get).post(sign_in::post))
        .route("/sign-out", post(sign_in::out))
        .route("/assets/{name}", get(assets::get))
        .layer(DefaultBodyLimit::max(FORM_MAX))
        .layer(from_fn(answer::unchanged))
        .layer(map_response(answer::headers))
        .with_state(page)
}
