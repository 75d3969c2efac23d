//! What operators do, and what the log says of it.

use assert_cmd::Command;
use serde_json::json;

use crate::fixture::{CHECK, Server, stock};

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_in_the_audit_log() {
    for server in Server::everywhere().await {
        every_change_is_in_the_audit_log_on(server).await;
    }
}

async fn every_change_is_in_the_audit_log_on(server: Server) {
    server.stock_release("1.0.0", b"one").await;
    server.stock_release("2.0.0", b"two").await;
    server.omaha(&stock("m1", "1.0.0", "b", CHECK)).await.ok();
    for (method, path, body, action) in [
        ("PUT", "/groups/stable", json!({ "channel": "stable" }), "group.set"),
        ("PUT", "/channels/stable", json!({ "version": "2.0.0" }), "channel.point"),
        ("POST", "/groups/stable/rollouts", json!({ "version": "2.0.0" }), "rollout.start"),
        ("POST", "/rollouts/1/stop", json!({ "why": "later" }), "rollout.stop"),
        ("POST", "/rollouts/1/resume", json!({}), "rollout.resume"),
        ("PUT", "/releases/1/floor", json!({ "why": "moves /etc" }), "release.floor"),
        ("DELETE", "/releases/1/floor", json!({}), "release.no-floor"),
        ("PUT", "/releases/2/block", json!({ "why": "eats data" }), "release.block"),
        ("DELETE", "/releases/2/block", json!({}), "release.unblock"),
        ("PATCH", "/machines/m1", json!({ "pin": "1.0.0", "group": "beta", "tags": ["canary"] }), "machine.set"),
        ("DELETE", "/groups/stable", json!({}), "group.delete"),
    ] {
        server.api(method, path, Some(body)).await.ok();
        let entry = server.api("GET", "/audit?limit=1", None).await.ok().json()[0].clone();
        assert_eq!((entry["action"].as_str(), entry["who"].as_str()), (Some(action), Some("admin")), "{path}");
    }
    let machine = server.api("GET", "/machines/m1", None).await.json()["machine"].clone();
    assert_eq!(
        (machine["pin"].as_str(), machine["group"].as_str(), machine["group-fixed"].as_bool()),
        (Some("1.0.0"), Some("beta"), Some(true))
    );
    server.api("PATCH", "/machines/m1", Some(json!({ "pin": null, "group": null }))).await.ok();
    server.omaha(&stock("m1", "1.0.0", "b", CHECK)).await.ok();
    let machine = server.api("GET", "/machines/m1", None).await.json()["machine"].clone();
    assert_eq!((machine["pin"].is_null(), machine["group"].as_str()), (true, Some("stable")));
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_get_a_next_step() {
    let server = Server::start().await;
    server.stock_release("1.0.0", b"one").await;
    server.api("PUT", "/groups/stable", Some(json!({ "channel": "stable" }))).await.ok();
    for (method, path, body, status, says) in [
        ("PUT", "/groups/stable", json!({ "chanel": "stable" }), 400, "did you mean `channel`?"),
        ("PUT", "/groups/stable", json!({}), 400, "send either `channel` or `pin`"),
        ("PUT", "/groups/a%20b", json!({ "channel": "stable" }), 400, "no name for a group"),
        ("PUT", "/groups/stable", json!({ "channel": "stable", "ramp": "1h:50,2h:10" }), 400, "ramp"),
        ("POST", "/groups/none/rollouts", json!({ "version": "1.0.0" }), 404, "there is no group `none`"),
        ("POST", "/groups/stable/rollouts", json!({ "version": "9.9.9" }), 404, "the newest here: 1.0.0"),
        ("POST", "/groups/stable/rollouts", json!({ "version": "1.0.0" }), 409, "move-channel"),
        ("POST", "/groups/stable/rollouts", json!({ "version": "one" }), 400, "version"),
        ("POST", "/rollouts/9/pause", json!({}), 404, "there is no rollout 9"),
        ("POST", "/tokens", json!({ "name": "x", "role": "admn" }), 400, "did you mean `admin`?"),
        ("PATCH", "/machines/none", json!({ "tags": [] }), 404, "there is no machine"),
        ("GET", "/machines?grop=x", json!({}), 400, "did you mean `group`?"),
        ("GET", "/nothing", json!({}), 404, "openapi"),
    ] {
        let answer = server.api(method, path, Some(body)).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.text().contains(says), "{path}: {}", answer.text());
        assert!(answer.json()["kind"].is_string());
    }
    let plain = format!("Bearer {}", server.admin);
    let form = server.send("POST", "/api/v1/tokens", &[("Authorization", &plain), ("Content-Type", "text/plain")], b"{}").await;
    assert_eq!(form.status, 415, "a web page could send that without asking");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_starts_once() {
    for server in Server::everywhere().await {
        a_rollout_starts_once_on(server).await;
    }
}

async fn a_rollout_starts_once_on(server: Server) {
    server.stock_release("1.0.0", b"one").await;
    server.api("PUT", "/groups/stable", Some(json!({ "channel": "stable" }))).await.ok();
    let body = json!({ "version": "1.0.0", "move-channel": true, "ramp": "0h:1,24h:100" });
    server.api("POST", "/groups/stable/rollouts", Some(body.clone())).await.ok();
    assert_eq!(server.api("POST", "/groups/stable/rollouts", Some(body)).await.status, 409);
    let page = server.api("GET", "/rollouts/1", None).await.ok().json();
    assert_eq!(page["points"].as_array().unwrap().len(), 1);
    assert_eq!(page["settings"]["ramp"], "0s:1,1d:100");
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_listed_page_by_page() {
    for server in Server::everywhere().await {
        machines_are_listed_page_by_page_on(server).await;
    }
}

async fn machines_are_listed_page_by_page_on(server: Server) {
    server.stock_release("1.0.0", b"one").await;
    for number in 0..5 {
        server.omaha(&stock(&format!("m{number}"), if number < 3 { "1.0.0" } else { "0.9.0" }, "b", CHECK)).await.ok();
    }
    let mut seen = Vec::new();
    let mut after = 0;
    loop {
        let page = server.api("GET", &format!("/machines?limit=2&after={after}"), None).await.ok().json();
        seen.extend(page["machines"].as_array().unwrap().iter().map(|machine| machine["machine-id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_i64() else { break };
        after = next;
    }
    assert_eq!(seen, ["m0", "m1", "m2", "m3", "m4"]);
    for (query, count) in [("version=0.9.0", 2), ("group=stable", 5), ("group=beta", 0), ("state=idle&version=1.0.0", 3), ("search=m3", 1)]
    {
        let page = server.api("GET", &format!("/machines?{query}"), None).await.ok().json();
        assert_eq!(page["machines"].as_array().unwrap().len(), count, "{query}");
    }
    let health = server.get("/health").await.ok().json();
    assert_eq!(health["database"], true);
    assert!(server.get("/metrics").await.ok().text().contains("slipway_server_machines{group=\"other\",version=\"1.0.0\"} 3"));
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_update-server"))
}

#[test]
fn the_command_line_makes_a_server_and_its_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let run = |args: &[&str]| {
        let output = program().args(args).args(["--data", data.to_str().unwrap()]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, _, error) = run(&["token", "list"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("update-server init --data"), "{error}");
    let (code, token, _) = run(&["init"]);
    assert_eq!(code, Some(0));
    assert!(token.starts_with("slipway_"), "{token}");
    assert_eq!(run(&["init"]).0, Some(1), "a second one would be a way in");
    assert_eq!(run(&["token", "create", "--name", "ci", "--role", "publisher", "--expires-in", "90d"]).0, Some(0));
    let (_, list, _) = run(&["token", "list", "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&list).unwrap()[1]["role"], "publisher");
    assert_eq!(run(&["token", "revoke", "2"]).0, Some(0));
    assert_eq!(run(&["token", "revoke", "2"]).0, Some(1));
    assert_eq!(run(&["token", "create", "--name", "x", "--role", "god"]).0, Some(2));
}

#[test]
fn a_json_log_is_json_to_its_last_line() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let run = |args: &[&str]| program().args(args).arg("--data").arg(&data).output().unwrap();
    assert!(run(&["init"]).status.success());
    std::fs::write(data.join("repository/tuf"), "no folder").unwrap();
    // An address that is kept for documentation: the server has something to warn of, and then cannot listen.
    for (log, json) in [("json", true), ("text", false)] {
        let output = run(&["serve", "--log", log, "--listen", "192.0.2.1:1"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{error}");
        let lines: Vec<Result<serde_json::Value, _>> = error.lines().map(serde_json::from_str).collect();
        assert!(!lines.is_empty() && lines.iter().all(|line| line.is_ok() == json), "{error}");
        assert!(error.contains("listening on 192.0.2.1:1"), "{error}");
        if let Some(Ok(last)) = lines.last() {
            assert_eq!((last["level"].as_str(), last["fields"]["message"].is_string()), (Some("ERROR"), true), "{error}");
        }
    }
}

#[test]
fn pages_are_printed() {
    for (args, says) in [
        (vec!["openapi"], "\"3.1.0\""),
        (vec!["completions", "bash"], "complete"),
        (vec!["--help"], "Exit status"),
        (vec!["serve", "--help"], "Example"),
        (vec!["simulate", "--help"], "Examples"),
    ] {
        let output = program().args(&args).output().unwrap();
        assert!(output.status.success(), "{args:?}");
        assert!(String::from_utf8(output.stdout).unwrap().contains(says), "{args:?}");
    }
    let dir = tempfile::tempdir().unwrap();
    assert!(program().arg("man").arg(dir.path()).output().unwrap().status.success());
    assert!(std::fs::read_to_string(dir.path().join("update-server-serve.1")).unwrap().contains("Example"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_without_a_ramp_gives_a_release_to_everybody_at_once() {
    for server in Server::everywhere().await {
        server.stock_release("1.0.0", b"one").await;
        let group = server.api("PUT", "/groups/stable", Some(json!({ "channel": "stable" }))).await.ok().json();
        assert_eq!(group["defaults"]["ramp"], "steps 0s:100", "{group}");
        assert_eq!(server.api("GET", "/groups/stable", None).await.ok().json()["defaults"], group["defaults"]);
        let body = json!({ "version": "1.0.0", "move-channel": true });
        server.api("POST", "/groups/stable/rollouts", Some(body)).await.ok();
        let rollout = server.api("GET", "/rollouts/1", None).await.ok().json();
        assert_eq!(rollout["settings"]["ramp"], "steps 0s:100", "{rollout}");
    }
}
