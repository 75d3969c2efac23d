//! Forms of others are not obeyed: one test for each of the walls.

use axum::http::{Method, StatusCode};
use update_server::policy::{RolloutId, State};
use update_server::store::tokens::Role;
use update_server::store::{audit, rollouts};

use crate::fleet::{Fleet, HOST};

async fn check(origin: &[(&str, &str)], form_token: Option<&str>, expected: StatusCode, says: &str) {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Operator).await;
    let token = match form_token {
        Some(token) => token.to_owned(),
        None => fleet.form_token(&cookie).await,
    };
    let mut headers = vec![("cookie", cookie.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    headers.extend(origin);
    let answer = fleet.send(Method::POST, "/rollouts/2/pause", &headers, &format!("form_token={token}&why=disk+full")).await;
    assert_eq!(answer.status, expected, "{origin:?} {form_token:?}: {}", answer.body);
    assert!(answer.body.contains(says), "{}", answer.body);
    assert_eq!(fleet.state(2).await == State::Running, expected != StatusCode::SEE_OTHER, "{origin:?}");
}

fn own() -> String {
    format!("http://{HOST}")
}

#[tokio::test]
async fn a_form_of_our_own_page_pauses() {
    check(&[("origin", &own())], None, StatusCode::SEE_OTHER, "").await;
    check(&[("sec-fetch-site", "same-origin")], None, StatusCode::SEE_OTHER, "").await;
}

#[tokio::test]
async fn a_form_from_another_origin_is_refused() {
    for origin in ["https://evil.example", "null", "http://updates.test.evil.example", "http://updates.test:8080"] {
        check(&[("origin", origin)], None, StatusCode::FORBIDDEN, "Not from here").await;
    }
    check(&[], None, StatusCode::FORBIDDEN, "Not from here").await;
    check(&[("sec-fetch-site", "cross-site")], None, StatusCode::FORBIDDEN, "Not from here").await;
}

#[tokio::test]
async fn a_form_without_the_sessions_token_is_refused() {
    for token in ["", "0", &"0".repeat(64)] {
        check(&[("origin", &own())], Some(token), StatusCode::FORBIDDEN, "Form out of date").await;
    }
}

#[tokio::test]
async fn a_form_of_another_session_is_refused() {
    let fleet = Fleet::small().await;
    let (anna, bert) = (fleet.sign_in("anna", Role::Operator).await, fleet.sign_in("bert", Role::Operator).await);
    let token = fleet.form_token(&bert).await;
    let answer = fleet.post("/rollouts/2/pause", &anna, &format!("form_token={token}&why=x")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(fleet.state(2).await, State::Running);
}

#[tokio::test]
async fn what_makes_no_sense_changes_nothing_and_says_why() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Operator).await;
    let token = fleet.form_token(&cookie).await;
    for (path, form, expected, says) in [
        ("/rollouts/2/pause", "why=", StatusCode::UNPROCESSABLE_ENTITY, "No reason given"),
        ("/rollouts/2/pause", "why=+++", StatusCode::UNPROCESSABLE_ENTITY, "No reason given"),
        ("/rollouts/2/resume", "", StatusCode::CONFLICT, "nothing to resume"),
        ("/rollouts/3/pause", "why=x", StatusCode::CONFLICT, "held already"),
        ("/rollouts/99/pause", "why=x", StatusCode::NOT_FOUND, "no rollout 99"),
        ("/rollouts/x/pause", "why=x", StatusCode::NOT_FOUND, "no rollout x"),
    ] {
        let answer = fleet.post(path, &cookie, &format!("form_token={token}&{form}")).await;
        assert_eq!(answer.status, expected, "{path}: {}", answer.body);
        assert!(answer.body.contains(says), "{path}: {}", answer.body);
    }
    assert_eq!(fleet.state(2).await, State::Running);
    assert_eq!(audit::list(&fleet.db, i64::MAX, 100).await.unwrap().len(), 2, "and nothing is noted");
    let huge = format!("form_token={token}&why={}", "x".repeat(20_000));
    assert_eq!(fleet.post("/rollouts/2/pause", &cookie, &huge).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn who_pauses_and_why_is_noted() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Operator).await;
    let token = fleet.form_token(&cookie).await;
    let why = "é%0A%1B".to_owned() + &"x".repeat(900);
    let answer = fleet.post("/rollouts/2/pause", &cookie, &format!("form_token={token}&why={why}")).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/rollouts/2"));
    let State::Paused { by, why, .. } = fleet.state(2).await else { panic!("not paused") };
    assert_eq!((by.as_str(), why.chars().count()), ("anna", 300));
    assert!(why.starts_with("é  x"), "{why}");
    let noted = audit::list(&fleet.db, i64::MAX, 1).await.unwrap().remove(0);
    assert_eq!((noted.who.as_str(), noted.action.as_str(), noted.object.as_str()), ("anna", "rollout.pause", "group/stable/rollout/2"));
    assert_eq!(noted.before.unwrap()["state"], "running");
    fleet.post("/rollouts/2/resume", &cookie, &format!("form_token={token}")).await;
    assert_eq!(fleet.state(2).await, State::Running);
}

#[tokio::test]
async fn what_went_wrong_while_it_was_paused_is_judged_when_it_is_resumed() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Operator).await;
    let token = fleet.form_token(&cookie).await;
    fleet.post("/rollouts/2/pause", &cookie, &format!("form_token={token}&why=lunch")).await;
    let mut tx = fleet.db.begin().await.unwrap();
    let mut stored = rollouts::lock(&mut tx, &[RolloutId(2)]).await.unwrap().remove(0);
    (stored.counts.granted, stored.counts.rolled_back) = (6, 5);
    rollouts::write(&mut tx, &mut stored).await.unwrap();
    tx.commit().await.unwrap();
    let answer = fleet.post("/rollouts/2/resume", &cookie, &format!("form_token={token}")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(matches!(fleet.state(2).await, State::Stopped { .. }), "before another machine is given the release");
    let noted: Vec<String> = audit::list(&fleet.db, i64::MAX, 2).await.unwrap().into_iter().map(|entry| entry.action).collect();
    assert_eq!(noted, ["rollout.stopped-by-brake", "rollout.resume"]);
}
