//! Reboots in turns.

use serde_json::json;
use update_server::http::Settings;
use update_server::policy::Span;

use crate::fixture::{Answer, Server};

async fn ask(server: &Server, what: &str, id: &str, group: &str) -> Answer {
    let body = json!({ "client_params": { "id": id, "group": group } }).to_string();
    server.send("POST", &format!("/v1/{what}"), &[("fleet-lock-protocol", "true")], body.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_take_turns() {
    for server in Server::everywhere().await {
        for (what, id, group, status) in [
            ("steady-state", "a", "default", 200),
            ("pre-reboot", "a", "default", 200),
            ("pre-reboot", "a", "default", 200),
            ("pre-reboot", "b", "default", 409),
            ("pre-reboot", "b", "other.group-1", 200),
            ("steady-state", "b", "default", 200),
            ("pre-reboot", "b", "default", 409),
            ("steady-state", "a", "default", 200),
            ("pre-reboot", "b", "default", 200),
            ("pre-reboot", "a", "default", 409),
        ] {
            let answer = ask(&server, what, id, group).await;
            assert_eq!(answer.status, status, "{what} {id} {group}: {}", answer.text());
            if status == 409 {
                let said = answer.json();
                assert_eq!(said["kind"], "all_slots_taken");
                assert!(said["value"].as_str().unwrap().contains("1 of 1 turns of group default are taken"), "{said}");
            }
        }
        let metrics = server.get("/metrics").await.ok().text();
        for line in [
            "turns_total{kind=\"granted\"} 3",
            "turns_total{kind=\"refused\"} 3",
            "turn_holders{group=\"default\"} 1",
            "turn_slots{group=\"default\"} 1",
        ] {
            assert!(metrics.contains(&format!("slipway_server_{line}")), "{line}\n{metrics}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_question_is_refused_with_a_reason() {
    let server = Server::start().await;
    let good = json!({ "client_params": { "id": "a", "group": "default" } }).to_string();
    let bad = |id: &str, group: &str| json!({ "client_params": { "id": id, "group": group } }).to_string();
    for (header, body, status, kind) in [
        (None, good.clone(), 400, "missing_header"),
        (Some("false"), good.clone(), 400, "missing_header"),
        (Some("true"), String::new(), 400, "invalid_body"),
        (Some("true"), "{}".to_owned(), 400, "invalid_body"),
        (Some("true"), "x".repeat(5_000), 400, "invalid_body"),
        (Some("true"), bad("a", "a/b"), 400, "invalid_group"),
        (Some("true"), bad("a", ""), 400, "invalid_group"),
        (Some("true"), bad("a", &"g".repeat(65)), 400, "invalid_group"),
        (Some("true"), bad("", "default"), 400, "invalid_id"),
        (Some("true"), bad("a b", "default"), 400, "invalid_id"),
    ] {
        for what in ["pre-reboot", "steady-state"] {
            let headers: Vec<(&str, &str)> = header.map(|value| ("fleet-lock-protocol", value)).into_iter().collect();
            let answer = server.send("POST", &format!("/v1/{what}"), &headers, body.as_bytes()).await;
            assert_eq!((answer.status, answer.json()["kind"].as_str()), (status, Some(kind)), "{what} {body:.60}");
            assert!(answer.json()["value"].is_string());
        }
    }
    for method in ["GET", "PUT", "DELETE"] {
        assert_eq!(server.send(method, "/v1/pre-reboot", &[("fleet-lock-protocol", "true")], b"").await.status, 405);
    }
    assert_eq!(server.api("GET", "/turns", None).await.ok().json(), json!([]), "nothing of it was kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_replicas_never_give_more_turns_than_there_are() {
    for server in Server::everywhere().await {
        server.api("PUT", "/turns/default", Some(json!({ "slots": 3 }))).await.ok();
        let mut replicas = Vec::new();
        for _ in 0..3 {
            replicas.push(server.beside(Settings::default()).await);
        }
        for round in 0..3 {
            let asking = (0..24).map(|number| {
                let (server, id) = (&replicas[number % 3], format!("m{number}"));
                async move { (id.clone(), ask(server, "pre-reboot", &id, "default").await.status) }
            });
            let answers = futures_util::future::join_all(asking).await;
            let granted: Vec<String> = answers.iter().filter(|(_, status)| *status == 200).map(|(id, _)| id.clone()).collect();
            assert_eq!(granted.len(), 3, "round {round}: {answers:?}");
            assert!(answers.iter().all(|(_, status)| [200, 409].contains(status)), "{answers:?}");
            // Given back by one while others ask again.
            let back = granted.iter().map(|id| ask(&replicas[round], "steady-state", id, "default"));
            assert!(futures_util::future::join_all(back).await.iter().all(|answer| answer.status == 200));
        }
        // A group that nobody set comes and goes with its holders; nobody loses a turn over that.
        for _ in 0..10 {
            let asking = (0..6).map(|number| {
                let (server, id) = (&replicas[number % 3], format!("m{number}"));
                async move {
                    let got = ask(server, "pre-reboot", &id, "fleeting").await.status == 200;
                    if got {
                        let listed = server.api("GET", "/turns", None).await.ok().text();
                        assert!(listed.contains(&format!("\"id\":\"{id}\"")), "{listed}");
                        ask(server, "steady-state", &id, "fleeting").await.ok();
                    }
                    got
                }
            });
            assert!(futures_util::future::join_all(asking).await.contains(&true));
        }
        let left = server.api("GET", "/turns", None).await.ok().json();
        assert_eq!(left, json!([{ "group": "default", "slots": 3, "holders": [] }]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_set_and_end_turns() {
    for server in Server::everywhere().await {
        ask(&server, "pre-reboot", "a", "default").await.ok();
        let now = server.clock.now().0;
        let listed = server.api("GET", "/turns", None).await.ok().json();
        assert_eq!(listed, json!([{ "group": "default", "slots": 1, "holders": [{ "id": "a", "since": now, "asked-at": now }] }]));
        for (method, path, body, status, action) in [
            ("PUT", "/turns/default", json!({ "slots": 2, "hold-max": "6h" }), 200, "turns.set"),
            ("DELETE", "/turns/default", json!({}), 409, "turns.set"),
            ("DELETE", "/turns/default/holders/b", json!({}), 404, "turns.set"),
            ("DELETE", "/turns/none/holders/a", json!({}), 404, "turns.set"),
            ("DELETE", "/turns/default/holders/a", json!({}), 204, "turn.release"),
            ("DELETE", "/turns/default", json!({}), 204, "turns.delete"),
            ("DELETE", "/turns/default", json!({}), 404, "turns.delete"),
            ("PUT", "/turns/a_b", json!({ "slots": 1 }), 400, "turns.delete"),
            ("PUT", "/turns/default", json!({}), 400, "turns.delete"),
            ("PUT", "/turns/default", json!({ "slot": 1 }), 400, "turns.delete"),
            ("PUT", "/turns/default", json!({ "slots": 10_001 }), 400, "turns.delete"),
            ("PUT", "/turns/default", json!({ "slots": 1, "hold-max": "1s" }), 400, "turns.delete"),
            ("PUT", "/turns/default", json!({ "slots": 0 }), 200, "turns.set"),
        ] {
            let answer = server.api(method, path, Some(body)).await;
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
            let entry = server.api("GET", "/audit?limit=1", None).await.ok().json()[0].clone();
            assert_eq!((entry["action"].as_str(), entry["who"].as_str()), (Some(action), Some("admin")), "{method} {path}");
        }
        let refused = ask(&server, "pre-reboot", "a", "default").await;
        assert!(refused.status == 409 && refused.text().contains("held back by an operator"), "{}", refused.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_counts_as_dead_only_where_somebody_said_so() {
    for server in Server::everywhere().await {
        ask(&server, "pre-reboot", "a", "default").await.ok();
        server.clock.advance(Span::hours(24 * 365));
        assert_eq!(ask(&server, "pre-reboot", "b", "default").await.status, 409, "for ever, unless told otherwise");
        server.api("PUT", "/turns/default", Some(json!({ "slots": 1, "hold-max": "1h" }))).await.ok();
        // It is alive after all.
        ask(&server, "pre-reboot", "a", "default").await.ok();
        server.clock.advance(Span::minutes(60));
        assert_eq!(ask(&server, "pre-reboot", "b", "default").await.status, 409);
        server.clock.advance(Span::minutes(1));
        ask(&server, "pre-reboot", "b", "default").await.ok();
        assert_eq!(ask(&server, "pre-reboot", "a", "default").await.status, 409);
        let entry = server.api("GET", "/audit?limit=1", None).await.ok().json()[0].clone();
        assert_eq!(
            (entry["action"].as_str(), entry["who"].as_str(), entry["object"].as_str()),
            (Some("turn.dead"), Some("server"), Some("turns/default/a"))
        );
    }
}
