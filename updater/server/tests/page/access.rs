//! Every page for every role, and for nobody.

use axum::http::{Method, StatusCode};
use update_server::policy::{Span, State};
use update_server::store::tokens::{self, Role};

use crate::fleet::Fleet;

const PAGES: [&str; 9] = [
    "/",
    "/rollouts",
    "/rollouts/1",
    "/rollouts/2",
    "/rollouts/3",
    "/machines",
    "/machines?group=stable&version=1.1.0&state=rolled-back&search=0",
    "/machines/00000000000000000000000000000003",
    "/history",
];
const FORMS: [&str; 2] = ["/rollouts/2/pause", "/rollouts/3/resume"];

#[tokio::test]
async fn every_role_reads_every_page() {
    let fleet = Fleet::small().await;
    for role in Role::ALL {
        let cookie = fleet.sign_in(role.name(), role).await;
        for path in PAGES {
            let answer = fleet.get(path, &cookie).await;
            assert_eq!(answer.status, StatusCode::OK, "{} {path}: {}", role.name(), answer.body);
            assert!(answer.body.contains(&format!(r#"<span class="hint">{}</span>"#, role.name())), "{path} says who looks");
        }
    }
}

#[tokio::test]
async fn nobody_reads_any_page_without_a_session() {
    let fleet = Fleet::small().await;
    let unknown = format!("slipway={}", "0".repeat(64));
    for path in PAGES {
        for cookie in ["", "slipway=", unknown.as_str(), "slipway=slipway_abc"] {
            let answer = fleet.get(path, cookie).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
            assert!(answer.header("location").starts_with("/sign-in"), "{path}");
            assert!(answer.body.is_empty(), "{path}");
        }
    }
}

#[tokio::test]
async fn nobody_steers_without_a_session() {
    let fleet = Fleet::small().await;
    for path in FORMS {
        let answer = fleet.post(path, "", "form_token=x&why=x").await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (StatusCode::SEE_OTHER, format!("/sign-in?next={}", path.rsplit_once('/').unwrap().0.replace('/', "%2F")).as_str())
        );
    }
    assert_eq!(fleet.state(2).await, State::Running);
}

#[tokio::test]
async fn only_operators_and_admins_have_buttons_and_only_theirs_work() {
    for role in Role::ALL {
        let fleet = Fleet::small().await;
        let cookie = fleet.sign_in("anna", role).await;
        let token = fleet.form_token(&cookie).await;
        let may = matches!(role, Role::Operator | Role::Admin);
        for (path, button) in [("/rollouts/2", "Pause the rollout"), ("/rollouts/3", "Resume the rollout")] {
            assert_eq!(fleet.get(path, &cookie).await.body.contains(button), may, "{} {path}", role.name());
        }
        let expected = if may { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
        for path in FORMS {
            let answer = fleet.post(path, &cookie, &format!("form_token={token}&why=disk+full")).await;
            assert_eq!(answer.status, expected, "{} {path}: {}", role.name(), answer.body);
        }
        assert_eq!(fleet.state(2).await != State::Running, may, "{}", role.name());
        assert_eq!(!matches!(fleet.state(3).await, State::Stopped { .. }), may, "{}", role.name());
    }
}

#[tokio::test]
async fn a_revoked_token_ends_its_session_at_once() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Operator).await;
    assert_eq!(fleet.get("/", &cookie).await.status, StatusCode::OK);
    let id = tokens::list(&fleet.db).await.unwrap()[0].id;
    let mut tx = fleet.db.begin().await.unwrap();
    tokens::revoke(&mut tx, id, fleet.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(fleet.get("/", &cookie).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_forgotten_session_ends_by_itself() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Operator).await;
    fleet.clock.advance(Span::hours(3));
    assert_eq!(fleet.get("/", &cookie).await.status, StatusCode::OK);
    fleet.clock.advance(Span::hours(4));
    assert_eq!(fleet.get("/", &cookie).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn what_is_not_there_says_so_and_leads_on() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Viewer).await;
    for (path, link) in [
        ("/rollouts/99", r#"href="/rollouts""#),
        ("/rollouts/x", r#"href="/rollouts""#),
        ("/rollouts/%3Cscript%3E", r#"href="/rollouts""#),
        ("/machines/nobody", r#"href="/machines""#),
        ("/machines/%2e%2e%2f", r#"href="/machines""#),
    ] {
        let answer = fleet.get(path, &cookie).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(answer.body.contains(link) && answer.body.contains("<h1") && !answer.body.contains("<script>"), "{path}: {}", answer.body);
    }
    assert_eq!(fleet.get("/assets/page-0000.css", "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_answer_is_locked_down() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Viewer).await;
    let style = update_server::page::assets::STYLE.path.clone();
    for path in PAGES.into_iter().chain(["/sign-in", "/rollouts/99", style.as_str()]) {
        for cookie in [cookie.as_str(), ""] {
            let answer = fleet.send(Method::GET, path, &[("cookie", cookie)], "").await;
            let policy = answer.header("content-security-policy");
            for part in [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                "form-action 'self'",
            ] {
                assert!(policy.contains(part), "{path}: {part}");
            }
            assert!(!policy.contains("unsafe"), "{path}");
            assert_eq!(
                (answer.header("x-content-type-options"), answer.header("referrer-policy"), answer.header("x-frame-options")),
                ("nosniff", "same-origin", "DENY")
            );
            let kept = if path == style { "public, max-age=31536000, immutable" } else { "no-store" };
            assert_eq!(answer.header("cache-control"), kept, "{path}");
            if path != style {
                assert!(!answer.body.contains(" style=") && !answer.body.contains("<style") && !answer.body.contains(" onclick"), "{path}");
            }
        }
    }
}
