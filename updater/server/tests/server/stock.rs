//! A stock update engine is served from its first check to the end of its update.

use base64::Engine as _;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::fixture::{CHECK, FLATCAR, Server, stock};

const MACHINE: &str = "0123456789abcdef0123456789abcdef";

pub fn event(kind: u32, result: u32, more: &str) -> String {
    format!(r#"<event eventtype="{kind}" eventresult="{result}" {more}></event>"#)
}

pub async fn ready(server: &Server, payload: &[u8]) {
    server.stock_release("4081.2.0", b"the old one").await;
    server.api("PUT", "/groups/stable", Some(json!({ "channel": "stable", "ramp": "0s:100" }))).await.ok();
    server.stock_release("4152.1.0", payload).await;
    // The machine is known before the rollout begins.
    server.omaha(&stock(MACHINE, "4081.2.0", "b0", CHECK)).await.ok();
    let started = server.api("POST", "/groups/stable/rollouts", Some(json!({ "version": "4152.1.0", "move-channel": true }))).await.ok();
    assert_eq!(started.json()[0]["counts"]["population"], 1);
    server.clock.advance(update_server::policy::Span::seconds(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_update_of_a_stock_client() {
    for server in Server::everywhere().await {
        a_whole_update_of_a_stock_client_on(server).await;
    }
}

async fn a_whole_update_of_a_stock_client_on(server: Server) {
    let payload: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    ready(&server, &payload).await;

    let answer = server.omaha(&stock(MACHINE, "4081.2.0", "b0", CHECK)).await.ok();
    assert!(answer.header("content-type").unwrap().starts_with("text/xml"));
    assert!(answer.header("x-retry-after").is_some());
    let response = omaha::Response::parse(&answer.body).unwrap();
    assert_eq!(response.apps.len(), 1);
    assert_eq!(response.apps[0].id, FLATCAR);
    let offer = response.stock().unwrap_or_else(|error| panic!("{error}: {}", answer.text()));
    let _ = offer;
    let check = response.apps[0].update_check.as_ref().unwrap();
    let manifest = check.manifest.as_ref().unwrap();
    assert_eq!(manifest.version, "4152.1.0");
    assert_eq!(check.poll_interval_secs, Some(2_687));

    let url = format!("{}{}", check.urls[0], manifest.packages[0].name);
    let path = url.strip_prefix(&format!("http://{}", server.address)).unwrap();
    let download = server.get(path).await.ok();
    assert_eq!(download.body, payload);
    let wanted = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&download.body));
    assert_eq!(manifest.actions[0].sha256_base64.as_deref(), Some(wanted.as_str()));
    assert_eq!(manifest.packages[0].size, payload.len() as u64);

    for (kind, state) in [(13, "downloading"), (14, "downloaded"), (3, "staged")] {
        server.omaha(&stock(MACHINE, "4081.2.0", "b0", &event(kind, 1, ""))).await.ok();
        assert_eq!(server.api("GET", &format!("/machines/{MACHINE}"), None).await.json()["machine"]["state"], state);
    }
    server.omaha(&stock(MACHINE, "4081.2.0", "b0", r#"<ping active="1"></ping>"#)).await.ok();

    let done = format!("{}<updatecheck></updatecheck>{}", r#"<ping active="1"></ping>"#, event(3, 2, r#"previousversion="4081.2.0""#));
    let answer = server.omaha(&stock(MACHINE, "4152.1.0", "b1", &done)).await.ok();
    assert!(answer.text().contains("status=\"noupdate\""), "{}", answer.text());
    let machine = server.api("GET", &format!("/machines/{MACHINE}"), None).await.ok().json();
    assert_eq!(machine["machine"]["state"], "idle");
    assert_eq!(machine["machine"]["version"], "4152.1.0");
    assert_eq!(machine["grants"][0]["outcome"], "completed");
    let kinds: Vec<(i64, i64)> =
        machine["events"].as_array().unwrap().iter().map(|e| (e["kind"].as_i64().unwrap(), e["result"].as_i64().unwrap())).collect();
    assert_eq!(kinds, [(3, 2), (3, 1), (14, 1), (13, 1)]);
    let rollout = server.api("GET", "/rollouts/1", None).await.json();
    assert_eq!(rollout["progress"]["counts"]["completed"], 1);
    assert!(!machine["why"].as_array().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_shows_its_cause_and_version_at_machine_and_rollout() {
    for server in Server::everywhere().await {
        a_rollback_shows_its_cause_and_version_at_machine_and_rollout_on(server).await;
    }
}

async fn a_rollback_shows_its_cause_and_version_at_machine_and_rollout_on(server: Server) {
    ready(&server, b"new").await;
    let answer = server.omaha(&stock(MACHINE, "4081.2.0", "b0", CHECK)).await.ok();
    assert!(answer.text().contains("4152.1.0"), "{}", answer.text());
    let back = event(3, 0, r#"errorcode="268435500" cause="docker: &lt;b&gt;no answer&lt;/b&gt;" nextversion="4152.1.0""#);
    let answer = server.omaha(&stock(MACHINE, "4081.2.0", "b2", &format!("{back}<updatecheck/>"))).await.ok();
    assert!(answer.text().contains("noupdate"), "a release that failed is not offered again: {}", answer.text());

    let machine = server.api("GET", &format!("/machines/{MACHINE}"), None).await.ok().json();
    assert_eq!(machine["machine"]["state"], "rolled-back");
    assert_eq!(machine["machine"]["failure"]["code"], 44, "flag bits are masked");
    assert_eq!(machine["machine"]["failure"]["release"], "4152.1.0");
    assert_eq!(machine["machine"]["failure"]["cause"], "docker: _b_no answer_/b_");
    assert_eq!(machine["machine"]["quarantined"][0], "4152.1.0");
    let rollout = server.api("GET", "/rollouts/1", None).await.json();
    assert_eq!(rollout["progress"]["counts"]["rolled-back"], 1);
    assert_eq!(rollout["casualties"][0]["machine-id"], MACHINE);
    assert_eq!(rollout["casualties"][0]["cause"], "docker: _b_no answer_/b_");
    let metrics = server.get("/metrics").await.ok().text();
    assert!(metrics.contains("slipway_server_rollbacks_total 1"), "{metrics}");
    assert!(metrics.contains("slipway_server_failures_total{code=\"44\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_application_is_told_no_update_and_is_not_kept() {
    let server = Server::start().await;
    let answer = server.omaha(&stock(MACHINE, "4081.2.0", "b0", CHECK)).await.ok();
    assert!(answer.text().contains("error-unknownApplication"), "{}", answer.text());
    let response = omaha::Response::parse(&answer.body).unwrap();
    assert_eq!(response.apps[0].update_check.as_ref().unwrap().status, omaha::UpdateStatus::NoUpdate);
    assert_eq!(server.api("GET", &format!("/machines/{MACHINE}"), None).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_holds_from_the_next_request_on() {
    let server = Server::start().await;
    ready(&server, b"new").await;
    server.api("POST", "/rollouts/1/pause", Some(json!({ "why": "looking" }))).await.ok();
    let answer = server.omaha(&stock(MACHINE, "4081.2.0", "b0", CHECK)).await.ok();
    assert!(answer.text().contains("noupdate") && answer.text().contains("looking"), "{}", answer.text());
    assert_eq!(server.api("POST", "/rollouts/1/pause", Some(json!({}))).await.status, 409);
    server.api("POST", "/rollouts/1/resume", None).await.ok();
    assert!(server.omaha(&stock(MACHINE, "4081.2.0", "b0", CHECK)).await.text().contains("4152.1.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_applications_in_one_request_are_answered_once_each() {
    let server = Server::start().await;
    ready(&server, b"new").await;
    let one = stock(MACHINE, "4081.2.0", "b0", CHECK);
    let app = &one[one.find("<app").unwrap()..one.find("</request>").unwrap()];
    let other = app.replace("e96281a6", "00000000");
    let answer = server.omaha(&one.replace("</request>", &format!("{other}</request>"))).await.ok();
    let response = omaha::Response::parse(&answer.body).unwrap();
    assert_eq!(response.apps.len(), 2);
    assert_eq!(response.apps[1].status, omaha::AppStatus::UnknownApplication);
}
