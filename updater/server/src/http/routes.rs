//! The one table of routes.

use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode};
use axum::routing::{MethodRouter, delete, get, head, patch, post, put};
use axum::{Router, middleware};

use super::api::{access, fleet, groups, machines, publish, releases, rollouts, turns};
use super::problem::Problem;
use super::state::App;
use super::{auth, body, discovery, files, fleet_lock, openapi, system, update};
use crate::store::tokens::Role;

/// One method of one path.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Method.
    pub method: Method2,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// Who may; `None` is everybody.
    pub role: Option<Role>,
    /// For the API description.
    pub summary: &'static str,
    /// An example of the JSON body, where there is one.
    pub body: Option<&'static str>,
    /// Names of query parameters.
    pub query: &'static [&'static str],
    /// What handles it.
    pub handler: fn() -> MethodRouter<App>,
}

/// A method, as a constant can hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are HTTP's")]
pub enum Method2 {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method2 {
    /// As HTTP has it.
    #[must_use]
    pub const fn http(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Patch => Method::PATCH,
            Self::Delete => Method::DELETE,
        }
    }
}

const fn route(
    method: Method2,
    path: &'static str,
    role: Option<Role>,
    summary: &'static str,
    handler: fn() -> MethodRouter<App>,
) -> Route {
    Route { method, path, role, summary, body: None, query: &[], handler }
}

impl Route {
    const fn body(mut self, example: &'static str) -> Self {
        self.body = Some(example);
        self
    }

    const fn query(mut self, names: &'static [&'static str]) -> Self {
        self.query = names;
        self
    }
}

use Method2::{Delete, Get, Head, Patch, Post, Put};

const VIEWER: Option<Role> = Some(Role::Viewer);
const OPERATOR: Option<Role> = Some(Role::Operator);
const PUBLISHER: Option<Role> = Some(Role::Publisher);
const ADMIN: Option<Role> = Some(Role::Admin);

/// Every route there is.
pub const ROUTES: &[Route] = &[
    route(Post, "/v1/update", None, "Omaha v3 check-in of a machine (XML)", || post(update::update)),
    route(Post, "/v1/update/", None, "The same, with the slash that some clients send", || post(update::update)),
    route(Get, "/tuf/{name}", None, "Signed metadata (TUF)", || get(files::tuf)),
    route(Get, "/targets/{folder}/{file}", None, "A file of a release; ranges and validators are served", || get(files::targets)),
    route(Get, "/discovery/new", None, "A new discovery address for a cluster of so many members (text)", || get(discovery::new)).query(&["size"]),
    route(Post, "/discovery/new", None, "The same", || post(discovery::new)).query(&["size"]),
    route(Put, "/discovery/new", None, "The same", || put(discovery::new)).query(&["size"]),
    route(Get, "/discovery/{token}", None, "Who is there, in order; with wait, the next event (etcd's v2 discovery)", || get(discovery::list))
        .query(&["wait", "waitIndex"]),
    route(Get, "/discovery/{token}/_config/size", None, "How many members the cluster has", || get(discovery::size)),
    route(Get, "/discovery/{token}/{member}", None, "One entry; with wait, its next event", || get(discovery::entry))
        .query(&["wait", "waitIndex"]),
    route(Put, "/discovery/{token}/{member}", None, "Writes an entry once (form: value=NAME=URL); again with the same X-Slipway-Secret", || put(discovery::put))
        .query(&["prevExist"]),
    route(Delete, "/discovery/{token}/{member}", None, "Removes an entry; one with a secret takes that, or an operator's token", || delete(discovery::remove)),
    route(Post, "/v1/pre-reboot", None, "May this machine reboot now? (FleetLock)", || post(fleet_lock::pre_reboot))
        .body(r#"{"client_params":{"id":"4f3b2a1c","group":"default"}}"#),
    route(Post, "/v1/steady-state", None, "This machine is well again (FleetLock)", || post(fleet_lock::steady_state))
        .body(r#"{"client_params":{"id":"4f3b2a1c","group":"default"}}"#),
    route(Get, "/health", None, "200 when database and disk are well, else 503", || get(system::health)),
    route(Get, "/metrics", None, "Prometheus metrics", || get(system::metrics)),
    route(Get, "/api/v1/openapi.json", None, "This description", || get(openapi::serve)),
    route(Get, "/api/v1/fleet", VIEWER, "Groups, machines by version and standing, rollouts", || get(fleet::fleet)),
    route(Get, "/api/v1/audit", VIEWER, "Who changed what, newest first", || get(fleet::audit)).query(&["before", "limit"]),
    route(Get, "/api/v1/groups", VIEWER, "All groups", || get(groups::list)),
    route(Get, "/api/v1/groups/{group}", VIEWER, "One group", || get(groups::get)),
    route(Put, "/api/v1/groups/{group}", OPERATOR, "Make a group, or replace its settings. What is left out: no ramp (everybody at once), no canaries, no limit, any time; the brake watches always", || put(groups::put))
        .body(r#"{"channel":"stable","enabled":true,"parallel":50,"ramp":"0h:1,1h:10,24h:100","canaries":{"tags":["canary"]},"brake":{"max-failures":5,"sample":20,"silence":"3h"}}"#),
    route(Delete, "/api/v1/groups/{group}", OPERATOR, "Remove a group; its machines stay", || delete(groups::delete)),
    route(Get, "/api/v1/groups/{group}/rollouts", VIEWER, "The rollouts of a group", || get(rollouts::of_group)),
    route(Post, "/api/v1/groups/{group}/rollouts", OPERATOR, "Let a release spread through a group. What is left out is taken from the group", || post(rollouts::create))
        .body(r#"{"version":"1.2.3","move-channel":true,"ramp":"0s:100"}"#),
    route(Get, "/api/v1/rollouts", VIEWER, "All rollouts, newest first", || get(rollouts::list)),
    route(Get, "/api/v1/rollouts/{id}", VIEWER, "One rollout, its progress over time, and what it went wrong on", || get(rollouts::get)),
    route(Post, "/api/v1/rollouts/{id}/pause", OPERATOR, "Hold a rollout, from the next check-in on", || post(rollouts::pause)).body(r#"{"why":"looking at a report"}"#),
    route(Post, "/api/v1/rollouts/{id}/resume", OPERATOR, "Let a held or braked rollout go on", || post(rollouts::resume)),
    route(Post, "/api/v1/rollouts/{id}/stop", OPERATOR, "Hold a rollout for good", || post(rollouts::stop)).body(r#"{"why":"superseded"}"#),
    route(Get, "/api/v1/channels", VIEWER, "What each channel points at", || get(releases::channels)),
    route(Put, "/api/v1/channels/{channel}", OPERATOR, "Point a channel at a release", || put(releases::point)).body(r#"{"version":"1.2.3"}"#),
    route(Get, "/api/v1/releases", VIEWER, "All releases, newest first", || get(releases::list)),
    route(Post, "/api/v1/releases", PUBLISHER, "Register uploaded files as a release for stock clients", || post(releases::create))
        .body(r#"{"app":"{e96281a6-d1af-4bde-9a0a-97b76e56dc57}","version":"4081.2.0","arch":"amd64","folder":"flatcar-4081.2.0","files":["update.gz"]}"#),
    route(Put, "/api/v1/releases/{id}/floor", OPERATOR, "No machine may jump over this release", || put(releases::set_floor)).body(r#"{"why":"moves /etc"}"#),
    route(Delete, "/api/v1/releases/{id}/floor", OPERATOR, "Machines may jump over it again", || delete(releases::clear_floor)),
    route(Put, "/api/v1/releases/{id}/block", OPERATOR, "Nobody gets this release any more", || put(releases::set_block)).body(r#"{"why":"loses data"}"#),
    route(Delete, "/api/v1/releases/{id}/block", OPERATOR, "It may be handed out again", || delete(releases::clear_block)),
    route(Get, "/api/v1/machines", VIEWER, "Machines, page by page", || get(machines::list))
        .query(&["group", "version", "state", "search", "after", "limit"]),
    route(Get, "/api/v1/machines/{machine}", VIEWER, "One machine, its history, and why it is on its version", || get(machines::get)),
    route(Patch, "/api/v1/machines/{machine}", OPERATOR, "Pin a machine, move it to a group, tag it", || patch(machines::patch))
        .body(r#"{"pin":"1.2.3","group":"stable","tags":["canary"]}"#),
    route(Get, "/api/v1/turns", VIEWER, "Whose turn it is to reboot, by group", || get(turns::list)),
    route(Put, "/api/v1/turns/{group}", OPERATOR, "How many machines of a group may reboot at one time (0: none), and after how long a holder counts as dead (left out: never)", || put(turns::put))
        .body(r#"{"slots":2,"hold-max":"6h"}"#),
    route(Delete, "/api/v1/turns/{group}", OPERATOR, "Forget what was set of a group that nobody has a turn of", || delete(turns::remove)),
    route(Delete, "/api/v1/turns/{group}/holders/{holder}", OPERATOR, "End the turn of a machine that will not come back", || delete(turns::release)),
    route(Put, "/api/v1/files/{*path}", PUBLISHER, "Upload tuf/NAME or targets/FOLDER/FILE into staging (X-Content-SHA256)", || put(publish::put)),
    route(Head, "/api/v1/files/{*path}", PUBLISHER, "Whether the same bytes are here already", || head(publish::head)),
    route(Post, "/api/v1/publish", PUBLISHER, "Verify what was uploaded and make it visible at once", || post(publish::publish)),
    route(Get, "/api/v1/tokens", ADMIN, "Tokens, without their secrets", || get(access::list)),
    route(Post, "/api/v1/tokens", ADMIN, "Make a token; its secret is shown this once", || post(access::create))
        .body(r#"{"name":"ci","role":"publisher","expires-in":"90d"}"#),
    route(Delete, "/api/v1/tokens/{id}", ADMIN, "End a token now", || delete(access::revoke)),
];

/// The router of the whole table.
pub fn router(app: App) -> Router {
    let page = crate::page::router(
        crate::page::Page::new(app.db.clone(), app.clock.clone(), app.settings.base_url.clone()).with(app.findings.clone()),
    );
    let mut router = Router::new();
    for route in ROUTES {
        let mut handler = (route.handler)();
        handler = match route.path {
            // Streamed to disk with a limit of its own.
            "/api/v1/files/{*path}" => handler.layer(DefaultBodyLimit::disable()),
            path if path.starts_with("/v1/update") => handler.layer(DefaultBodyLimit::max(omaha::limits::MAX_BYTES)),
            path if path.starts_with("/discovery/") => handler.layer(DefaultBodyLimit::max(discovery::FORM_MAX)),
            "/v1/pre-reboot" | "/v1/steady-state" => handler.layer(DefaultBodyLimit::max(fleet_lock::BODY_MAX)),
            _ => handler.layer(DefaultBodyLimit::max(body::JSON_MAX)),
        };
        if let Some(role) = route.role {
            handler = handler.layer(middleware::from_fn_with_state((app.clone(), role), auth::require));
        }
        router = router.route(route.path, handler);
    }
    router.fallback(nowhere).method_not_allowed_fallback(wrong_method).with_state(app).merge(page)
}

async fn nowhere() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing here", "see /api/v1/openapi.json")
}

async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this path does not take that method", "see /api/v1/openapi.json")
}
