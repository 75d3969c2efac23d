//! Signing in and out.

use axum::http::{Method, StatusCode};
use update_server::store::tokens::Role;

use crate::fleet::{Fleet, HOST};

#[tokio::test]
async fn a_token_becomes_a_session_and_leads_back() {
    let fleet = Fleet::small().await;
    let secret = fleet.token("anna", Role::Viewer).await;
    let answer = fleet.post("/sign-in", "", &format!("token=+{secret}%0a&next=%2Fmachines%3Fgroup%3Dstable")).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/machines?group=stable"));
    let cookie = answer.header("set-cookie");
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && !cookie.contains("Secure") && !cookie.contains(&secret), "{cookie}");
    assert_eq!(fleet.get("/", &answer.cookie()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_way_back_never_leads_away() {
    let fleet = Fleet::small().await;
    let secret = fleet.token("anna", Role::Viewer).await;
    for next in ["https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "javascript%3Aalert(1)"] {
        let answer = fleet.post("/sign-in", "", &format!("token={secret}&next={next}")).await;
        assert_eq!(answer.header("location"), "/", "{next}");
        let page = fleet.get(&format!("/sign-in?next={next}"), "").await;
        assert!(page.body.contains(r#"name="next" value="/""#), "{next}: {}", page.body);
    }
}

#[tokio::test]
async fn a_token_that_does_not_work_opens_nothing() {
    let fleet = Fleet::small().await;
    for token in ["", "x", "slipway_0000", "%27%20OR%201%3D1%20--", &"x".repeat(2000)] {
        let answer = fleet.post("/sign-in", "", &format!("token={token}")).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (StatusCode::UNAUTHORIZED, ""), "{token}");
        assert!(answer.body.contains("does not work") && (token.is_empty() || token.len() < 3 || !answer.body.contains(token)), "{token}");
    }
}

#[tokio::test]
async fn over_tls_the_cookie_never_leaves_it() {
    let fleet = Fleet::empty(Some("https://updates.test")).await;
    let secret = fleet.token("anna", Role::Viewer).await;
    let form = |origin: &str| {
        vec![("origin".to_owned(), origin.to_owned()), ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned())]
    };
    let send = async |origin: &str| {
        let headers = form(origin);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        fleet.send(Method::POST, "/sign-in", &headers, &format!("token={secret}")).await
    };
    let answer = send("https://updates.test").await;
    assert!(answer.header("set-cookie").starts_with("__Host-slipway="), "{}", answer.header("set-cookie"));
    assert!(answer.header("set-cookie").contains("; Secure"));
    let value = answer.cookie().split_once('=').unwrap().1.to_owned();
    assert_eq!(fleet.get("/", &answer.cookie()).await.status, StatusCode::OK);
    assert_eq!(fleet.get("/", &format!("slipway={value}")).await.status, StatusCode::SEE_OTHER, "a plain cookie may be planted");
    let answer = send("http://updates.test").await;
    assert_eq!((answer.status, answer.header("set-cookie")), (StatusCode::FORBIDDEN, ""), "{}", answer.body);
    assert!(answer.body.contains("Not without TLS"));
}

#[tokio::test]
async fn a_planted_session_is_never_taken_over() {
    let fleet = Fleet::small().await;
    let secret = fleet.token("anna", Role::Viewer).await;
    let planted = format!("slipway={}", "ab".repeat(32));
    let answer = fleet.post("/sign-in", &planted, &format!("token={secret}")).await;
    assert_ne!(answer.cookie(), planted);
    assert_eq!(fleet.get("/", &planted).await.status, StatusCode::SEE_OTHER);
    // A session that was real ends with the next sign-in of the same browser.
    let first = answer.cookie();
    let second = fleet.post("/sign-in", &first, &format!("token={secret}")).await.cookie();
    assert_ne!(first, second);
    assert_eq!(fleet.get("/", &first).await.status, StatusCode::SEE_OTHER);
    assert_eq!(fleet.get("/", &second).await.status, StatusCode::OK);
}

#[tokio::test]
async fn another_site_signs_nobody_in_or_out() {
    let fleet = Fleet::small().await;
    let secret = fleet.token("mallory", Role::Viewer).await;
    let headers = [("origin", "https://evil.example"), ("content-type", "application/x-www-form-urlencoded")];
    let answer = fleet.send(Method::POST, "/sign-in", &headers, &format!("token={secret}")).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (StatusCode::FORBIDDEN, ""));
    let cookie = fleet.sign_in("anna", Role::Viewer).await;
    let token = fleet.form_token(&cookie).await;
    let headers = [("cookie", cookie.as_str()), headers[0], headers[1]];
    assert_eq!(fleet.send(Method::POST, "/sign-out", &headers, &format!("form_token={token}")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(fleet.post("/sign-out", &cookie, "form_token=x").await.status, StatusCode::FORBIDDEN);
    assert_eq!(fleet.get("/", &cookie).await.status, StatusCode::OK);
}

#[tokio::test]
async fn signing_out_ends_the_session_on_the_server() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Viewer).await;
    let token = fleet.form_token(&cookie).await;
    let answer = fleet.post("/sign-out", &cookie, &format!("form_token={token}")).await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::SEE_OTHER, "/sign-in"));
    assert!(answer.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(fleet.get("/", &cookie).await.status, StatusCode::SEE_OTHER);
    let origin = format!("http://{HOST}");
    assert_eq!(
        fleet.send(Method::GET, "/sign-out", &[("origin", &origin)], "").await.status,
        StatusCode::METHOD_NOT_ALLOWED,
        "no link signs out"
    );
}
