//! What hostile machines report never becomes markup, never moves the text around it, and never fills the page.

use update_server::policy::{Grant, Outcome, RolloutId, Span};
use update_server::store::machines::{Facts, Failure, Record, Standing};
use update_server::store::tokens::Role;
use update_server::store::{audit, events, grants};

use crate::fleet::{APP, Fleet, NOW, START, pause, store};

/// As if nothing had been made harmless on the way in: the page must stand on its own.
const HOSTILE: [(&str, &str); 6] = [
    ("markup", "<script>alert('x')</script><img src=x onerror=alert(1)>"),
    ("attribute", "\" onmouseover=\"alert(1)\" x='"),
    ("template", "{{ 7*7 }}{% raw %}${7*7}"),
    ("terminal", "\u{1b}[2J\u{1b}]0;owned\u{7}"),
    ("direction", "safe\u{202e}exe.\u{2066}gpj\u{200b}"),
    ("page", "</main></body><!--now--><meta http-equiv=refresh content=0>"),
];

fn assert_harmless(path: &str, name: &str, body: &str) {
    for refused in ["<script>", "<img", "onerror=alert(1)>", "\" onmouseover=", "</main></body>", "<meta http-equiv"] {
        assert!(!body.contains(refused), "{path} {name}: {refused}");
    }
    let tricky: Vec<char> = body
        .chars()
        .filter(|c| {
            (c.is_control() && *c != '\n') || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        })
        .collect();
    assert!(tricky.is_empty(), "{path} {name}: {tricky:?}");
    assert_eq!(
        (body.matches("<main").count(), body.matches("</main>").count(), body.matches("<script").count()),
        (1, 1, 1),
        "{path} {name}"
    );
}

async fn poison(fleet: &Fleet, text: &str) -> String {
    let id = "feedfacefeedfacefeedfacefeedface".to_owned();
    let facts = Facts {
        alias: text.to_owned(),
        oem_version: text.to_owned(),
        board: text.to_owned(),
        aleph: text.to_owned(),
        client: text.to_owned(),
        boot_id: text.to_owned(),
        tags: vec![text.to_owned()],
        failure: Some(Failure { at: NOW, code: 1, cause: Some(text.to_owned()), release: Some(text.to_owned()), rolled_back: false }),
        ..Facts::default()
    };
    let record = Record {
        id: 0,
        app: APP.to_owned(),
        machine_id: id.clone(),
        group: text.to_owned(),
        version: text.to_owned(),
        arch: text.to_owned(),
        oem: text.to_owned(),
        state: Standing::Failed,
        first_seen: START,
        last_seen: NOW,
        facts,
    };
    let stored = store(&fleet.db, vec![record]).await.remove(0);
    let mut tx = fleet.db.begin().await.unwrap();
    let grant = Grant { outcome: Outcome::Failed, ..Grant::new(START + Span::hours(1), false) };
    grants::write(
        &mut tx,
        &[grants::Stored { machine: stored.id, rollout: RolloutId(2), grant, code: Some(1), cause: Some(text.to_owned()) }],
    )
    .await
    .unwrap();
    let event = events::Event {
        machine: stored.id,
        at: NOW,
        kind: 3,
        result: 0,
        code: Some(1),
        cause: Some(text.to_owned()),
        version: text.to_owned(),
        previous: Some(text.to_owned()),
        release: Some(text.to_owned()),
    };
    events::add(&mut tx, &[event]).await.unwrap();
    audit::note(&mut tx, NOW, text, text, text, Some(&text), Some(&serde_json::json!({ text: text }))).await.unwrap();
    tx.commit().await.unwrap();
    pause(&fleet.db, 2, text, text).await;
    id
}

#[tokio::test]
async fn hostile_text_is_shown_and_does_nothing() {
    for (name, text) in HOSTILE {
        let fleet = Fleet::small().await;
        let cookie = fleet.sign_in(text, Role::Operator).await;
        let id = poison(&fleet, text).await;
        for path in ["/", "/rollouts", "/rollouts/2", "/machines", &format!("/machines/{id}"), "/history"] {
            let answer = fleet.get(path, &cookie).await;
            assert_eq!(answer.status, 200, "{path} {name}");
            assert_harmless(path, name, &answer.body);
            assert!(name != "template" || answer.body.contains("{{ 7*7 }}"), "{path}: shown as it was said");
        }
    }
}

#[tokio::test]
async fn hostile_addresses_do_nothing() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Viewer).await;
    for (name, text) in HOSTILE {
        let escaped: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for path in [
            format!("/machines?group={escaped}&version={escaped}&state={escaped}&search={escaped}&after={escaped}"),
            format!("/machines/{escaped}"),
            format!("/rollouts/{escaped}"),
            format!("/history?before={escaped}"),
        ] {
            let answer = fleet.get(&path, &cookie).await;
            assert!([200, 404].contains(&answer.status.as_u16()), "{path}: {}", answer.status);
            let body = if answer.status == 404 { answer.body.clone() + "<script" } else { answer.body };
            assert_harmless(&path, name, &body);
        }
    }
}

#[tokio::test]
async fn very_long_text_does_not_fill_the_page() {
    let fleet = Fleet::small().await;
    let cookie = fleet.sign_in("anna", Role::Operator).await;
    let before = fleet.get("/machines", &cookie).await.body.len();
    let id = poison(&fleet, &"ü".repeat(50_000)).await;
    for path in ["/", "/rollouts", "/rollouts/2", &format!("/machines/{id}"), "/history"] {
        let body = fleet.get(path, &cookie).await.body;
        assert!(body.len() < 40_000, "{path}: {} bytes", body.len());
        assert!(!body.contains(&"ü".repeat(201)), "{path}");
    }
    assert!(fleet.get("/machines", &cookie).await.body.len() < before + 5_000);
}
