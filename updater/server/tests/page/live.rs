//! What the page's script lives on.

use axum::http::{Method, StatusCode};
use update_server::policy::Span;
use update_server::store::tokens::Role;

use crate::fleet::{Fleet, pause};

async fn refresh(fleet: &Fleet, path: &str, cookie: &str, tag: &str) -> (StatusCode, String, String) {
    let headers = [("cookie", cookie), ("x-slipway-refresh", "1"), ("if-none-match", tag)];
    let answer = fleet.send(Method::GET, path, &headers, "").await;
    (answer.status, answer.header("etag").to_owned(), answer.body)
}

#[tokio::test]
async fn a_page_in_which_nothing_happened_is_not_sent_again() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Operator).await;
    for path in ["/", "/rollouts", "/rollouts/1", "/rollouts/3", "/machines", "/machines/00000000000000000000000000000001", "/history"] {
        let (status, tag, body) = refresh(&fleet, path, &cookie, "").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("As of <time"), "{path} says how old it is without a script");
        fleet.clock.advance(Span::seconds(5));
        let (status, same, body) = refresh(&fleet, path, &cookie, &tag).await;
        assert_eq!((status, same, body.as_str()), (StatusCode::NOT_MODIFIED, tag, ""), "{path}");
    }
}

#[tokio::test]
async fn a_page_in_which_something_happened_is_sent() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Operator).await;
    let (_, tag, _) = refresh(&fleet, "/rollouts/2", &cookie, "").await;
    pause(&fleet.db, 2, "bert", "disks fill up").await;
    let (status, other, body) = refresh(&fleet, "/rollouts/2", &cookie, &tag).await;
    assert_eq!(status, StatusCode::OK);
    assert!(other != tag && body.contains("disks fill up") && body.contains("Resume the rollout"));
}

#[tokio::test]
async fn the_script_is_told_when_it_is_signed_out_and_keeps_nobody_signed_in() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Operator).await;
    for _ in 0..3 {
        fleet.clock.advance(Span::hours(1));
        assert_eq!(refresh(&fleet, "/", &cookie, "").await.0, StatusCode::OK);
    }
    fleet.clock.advance(Span::hours(1));
    assert_eq!(refresh(&fleet, "/", &cookie, "").await.0, StatusCode::UNAUTHORIZED, "four hours without a person");
}

#[tokio::test]
async fn parts_that_are_swapped_have_names() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Operator).await;
    for path in ["/", "/rollouts", "/rollouts/2", "/machines", "/machines/00000000000000000000000000000003", "/history"] {
        let body = fleet.get(path, &cookie).await.body;
        let parts: Vec<&str> = body.split('<').filter(|tag| tag.split('>').next().unwrap().contains("data-live")).collect();
        assert!(!parts.is_empty(), "{path}");
        assert!(parts.iter().all(|part| part.contains(r#"id=""#)), "{path}: {parts:?}");
        let mut ids: Vec<&str> = body.match_indices(r#" id=""#).map(|(at, _)| body[at + 5..].split('"').next().unwrap()).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "{path}: an id is used twice");
    }
}
