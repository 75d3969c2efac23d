//! S01: every route with every role, from the one table.

use serde_json::json;
use update_server::http::openapi::document;
use update_server::http::routes::{Method2, ROUTES};
use update_server::policy::Span;
use update_server::store::tokens::Role;

use crate::fixture::Server;

fn path(route: &str) -> String {
    let mut path = route.replace("{*path}", "targets/a/b").replace("{id}", "999").replace("{name}", "root.json");
    for name in ["{group}", "{machine}", "{channel}", "{folder}", "{file}", "{token}", "{member}", "{holder}"] {
        path = path.replace(name, "none");
    }
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_lets_through_exactly_its_roles() {
    let server = Server::start().await;
    let mut tokens = vec![(None, String::new())];
    for role in Role::ALL {
        tokens.push((Some(role), server.token(role).await));
    }
    for route in ROUTES {
        for (role, token) in &tokens {
            let authorization = format!("Bearer {token}");
            let mut headers = vec![("Content-Type", "application/json")];
            if role.is_some() {
                headers.push(("Authorization", authorization.as_str()));
            }
            let answer = server.send(route.method.http().as_str(), &path(route.path), &headers, b"").await;
            let wanted = match (route.role, role) {
                (None, _) => None,
                (Some(_), None) => Some(401),
                (Some(needed), Some(role)) if role.may(needed) => None,
                _ => Some(403),
            };
            let what = format!("{:?} {} as {role:?}: {}", route.method, route.path, answer.status);
            match wanted {
                Some(status) => assert_eq!(answer.status, status, "{what}"),
                None => assert!(![0, 401, 403, 405].contains(&answer.status), "{what}"),
            }
        }
    }
}

#[test]
fn everything_under_api_needs_a_role_but_its_description() {
    for route in ROUTES.iter().filter(|route| route.path.starts_with("/api/")) {
        assert_eq!(route.role.is_none(), route.path.ends_with("openapi.json"), "{}", route.path);
        let reads = matches!(route.method, Method2::Get);
        assert!(reads || route.role != Some(Role::Viewer), "a viewer changes nothing: {}", route.path);
    }
}

/// Said once more and in other words than in the table: a slip in it would hand out power without any other test noticing.
#[test]
fn nobody_may_more_than_the_role_is_for() {
    for route in ROUTES.iter().filter(|route| route.path.starts_with("/api/") && route.role.is_some()) {
        let wanted = match (route.path, route.method) {
            ("/api/v1/tokens" | "/api/v1/tokens/{id}", _) => Role::Admin,
            ("/api/v1/files/{*path}" | "/api/v1/publish", _) | ("/api/v1/releases", Method2::Post) => Role::Publisher,
            (_, Method2::Get) => Role::Viewer,
            _ => Role::Operator,
        };
        assert_eq!(route.role, Some(wanted), "{:?} {}", route.method, route.path);
    }
}

#[test]
fn every_route_is_in_the_api_description() {
    let text = document().to_string();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    for route in ROUTES {
        let method = route.method.http().as_str().to_ascii_lowercase();
        let operation = &document["paths"][route.path.replace("{*", "{")][&method];
        assert_eq!(operation["summary"], route.summary, "{method} {}", route.path);
        assert_eq!(operation["requestBody"].is_object(), route.body.is_some());
        assert_ne!(operation["requestBody"]["content"]["application/json"]["example"], json!(null).to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_do_not_work_are_all_refused_alike() {
    let server = Server::start().await;
    let made = server.api("POST", "/tokens", Some(json!({ "name": "short", "role": "viewer", "expires-in": "1h" }))).await.ok().json();
    let short = made["secret"].as_str().unwrap().to_owned();
    let other = server.api("POST", "/tokens", Some(json!({ "name": "gone", "role": "viewer" }))).await.ok().json();
    let gone = other["secret"].as_str().unwrap().to_owned();
    server.api_as(&short, "GET", "/groups", None).await.ok();
    server.api_as(&gone, "GET", "/groups", None).await.ok();
    server.api("DELETE", &format!("/tokens/{}", other["id"]), None).await.ok();
    server.clock.advance(Span::hours(2));
    let (start, last) = server.admin.split_at(server.admin.len() - 1);
    let changed = format!("{start}{}", if last == "0" { "1" } else { "0" });
    let mut bodies = std::collections::BTreeSet::new();
    for wrong in [short.as_str(), &gone, &changed, "slipway_", "x", &"y".repeat(4000)] {
        let answer = server.api_as(wrong, "GET", "/groups", None).await;
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(answer.header("www-authenticate").is_some());
        bodies.insert(answer.text());
    }
    assert_eq!(bodies.len(), 1, "an answer that differs tells which tokens exist");
    for scheme in ["Basic", "Token", ""] {
        let value = format!("{scheme} {}", server.admin);
        assert_eq!(server.send("GET", "/api/v1/groups", &[("Authorization", &value)], b"").await.status, 401, "{scheme}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_stored_nowhere() {
    let server = Server::start().await;
    server.api("POST", "/tokens", Some(json!({ "name": "ci", "role": "publisher" }))).await.ok();
    let list = server.api("GET", "/tokens", None).await.ok().text();
    let audit = server.api("GET", "/audit", None).await.ok().text();
    let rows = server.app.db.rows("SELECT hash FROM tokens", &[]).await.unwrap();
    for text in [list, audit, format!("{rows:?}")] {
        assert!(!text.contains("slipway_"), "{text}");
    }
}
