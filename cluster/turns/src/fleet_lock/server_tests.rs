use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request as HttpRequest;
use tower::ServiceExt;

use super::*;
use crate::coordinator::tests::Fake;

const ID: &str = "0123456789abcdef0123456789abcdef";

fn server() -> (Fake, Router) {
    let world = Fake::default();
    let coordinator = Arc::new(Coordinator::new(world.clone(), "boot-1", None));
    (world, router(coordinator, ID, &Group::new("web").unwrap()))
}

fn body(id: &str, group: &str) -> String {
    format!(r#"{{"client_params":{{"id":"{id}","group":"{group}"}}}}"#)
}

/// Status and `kind: value` of the answer.
async fn ask(server: &Router, method: &str, path: &str, header: Option<&str>, body: String) -> (u16, String) {
    let mut request = HttpRequest::builder().method(method).uri(path);
    if let Some(value) = header {
        request = request.header(HEADER, value);
    }
    let answer = server.clone().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = axum::body::to_bytes(answer.into_body(), 64 * 1024).await.unwrap();
    let text = serde_json::from_slice::<Failure>(&bytes)
        .map_or_else(|_| String::from_utf8_lossy(&bytes).into_owned(), |failure| format!("{}: {}", failure.kind, failure.value));
    (status, text)
}

#[tokio::test]
async fn yes_is_an_empty_200_however_often() {
    let (world, server) = server();
    for group in ["web", "default", "web"] {
        assert_eq!(ask(&server, "POST", PRE_REBOOT, Some("true"), body(ID, group)).await, (200, String::new()));
    }
    assert!(world.with(|stage| stage.held));
    for _ in 0..2 {
        assert_eq!(ask(&server, "POST", STEADY_STATE, Some("true"), body(ID, "web")).await, (200, String::new()));
    }
    assert!(!world.with(|stage| stage.held));
}

#[tokio::test]
async fn no_says_what_kind_and_why() {
    for (call, status, text) in [
        ("take", 409, "lock_held: take failed"),
        ("may leave", 409, "quorum: may leave failed"),
        ("drain", 409, "not_ready: drain failed"),
        ("say leaving", 503, "unreachable: say leaving failed"),
    ] {
        let (world, server) = server();
        world.with(|stage| stage.fails = BTreeSet::from([call]));
        assert_eq!(ask(&server, "POST", PRE_REBOOT, Some("true"), body(ID, "web")).await, (status, text.to_owned()));
    }
}

#[tokio::test]
async fn what_is_no_fleet_lock_changes_nothing() {
    let good = || body(ID, "web");
    let large = format!("{}{}", good(), " ".repeat(BODY_MAX));
    let missing = "bad_request: this is no request of FleetLock: the header `fleet-lock-protocol: true` is missing";
    for (method, path, header, body, status, expected) in [
        ("POST", PRE_REBOOT, None, good(), 400, missing),
        ("POST", PRE_REBOOT, Some("false"), good(), 400, missing),
        ("POST", PRE_REBOOT, Some("TRUE"), good(), 400, missing),
        ("POST", STEADY_STATE, None, good(), 400, missing),
        ("GET", PRE_REBOOT, Some("true"), good(), 405, "bad_request: FleetLock is asked with POST"),
        ("PUT", STEADY_STATE, Some("true"), good(), 405, "bad_request: FleetLock is asked with POST"),
        ("POST", "/v2/pre-reboot", Some("true"), good(), 404, "bad_request: FleetLock has"),
        ("POST", "/", Some("true"), good(), 404, "bad_request: FleetLock has"),
        ("POST", PRE_REBOOT, Some("true"), large, 413, "bad_request: "),
        ("POST", PRE_REBOOT, Some("true"), String::new(), 400, "bad_request: the body makes no sense"),
        ("POST", PRE_REBOOT, Some("true"), "[]".to_owned(), 400, "bad_request: the body makes no sense"),
        ("POST", PRE_REBOOT, Some("true"), r#"{"client_params":{"id":"x"}}"#.to_owned(), 400, "bad_request: the body makes no sense"),
        ("POST", PRE_REBOOT, Some("true"), body("", "web"), 400, "bad_request: the id has to be"),
        ("POST", PRE_REBOOT, Some("true"), body("a/b", "web"), 400, "bad_request: the id has to be"),
        ("POST", PRE_REBOOT, Some("true"), body(&"x".repeat(129), "web"), 400, "bad_request: the id has to be"),
        ("POST", PRE_REBOOT, Some("true"), body(ID, ""), 400, "bad_request: \"\" is not the name of a group"),
        ("POST", PRE_REBOOT, Some("true"), body(ID, "a_b"), 400, "bad_request: \"a_b\" is not the name of a group"),
        ("POST", PRE_REBOOT, Some("true"), body(ID, "other"), 403, "not_for_this_machine: this machine takes turns in group web"),
        ("POST", PRE_REBOOT, Some("true"), body("somebody", "web"), 403, "not_for_this_machine: this machine is"),
    ] {
        let (world, server) = server();
        let (seen, text) = ask(&server, method, path, header, body.clone()).await;
        assert_eq!(seen, status, "{method} {path} {body:.80}: {text}");
        assert!(text.starts_with(expected), "{method} {path} {body:.80}: {text}");
        assert!(world.calls().is_empty());
    }
}

#[tokio::test]
async fn the_client_understands_the_server() {
    let (world, server) = server();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let serving = tokio::spawn(async move { axum::serve(listener, server).await });
    let client = super::super::FleetLock::new(&base, ID, &Group::new("web").unwrap()).unwrap();
    client.take().await.unwrap();
    client.release().await.unwrap();
    world.with(|stage| stage.fails = BTreeSet::from(["take"]));
    let refusal = client.take().await.unwrap_err();
    assert_eq!((refusal.kind, refusal.to_string().as_str()), (Kind::LockHeld, "the lock server says no: take failed (lock_held)"));
    world.with(|stage| stage.fails = BTreeSet::from(["say leaving"]));
    assert_eq!(client.take().await.unwrap_err().kind, Kind::Unreachable);
    serving.abort();
    let _ = serving.await;
    assert_eq!(client.take().await.unwrap_err().kind, Kind::Unreachable, "silence is no yes");
}

#[tokio::test]
async fn a_plain_http_1_0_client_on_the_socket_gets_an_answer_and_its_end() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("turns.sock");
    let (world, server) = server();
    let serving = tokio::spawn(axum::serve(tokio::net::UnixListener::bind(&socket).unwrap(), server).into_future());
    let ask = async || {
        let mut stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
        let body = body(ID, "default");
        let length = body.len();
        let head = format!("POST {PRE_REBOOT} HTTP/1.0\r\nHost: localhost\r\n{HEADER}: true\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let yes = ask().await;
    assert!(yes.starts_with("HTTP/1.0 200 ") && yes.ends_with("\r\n\r\n"), "{yes}");
    world.with(|stage| stage.fails = BTreeSet::from(["take"]));
    let no = ask().await;
    assert!(no.starts_with("HTTP/1.0 409 ") && no.ends_with(r#"{"kind":"lock_held","value":"take failed"}"#), "{no}");
    serving.abort();
}
