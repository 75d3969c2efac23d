//! The client against a server of few lines that says what it is told to say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const SIZE: &str = r#"{"action":"get","node":{"key":"/t/_config/size","value":"2","modifiedIndex":1,"createdIndex":1}}"#;
const EMPTY: &str = r#"{"action":"get","node":{"key":"/t","dir":true}}"#;
const ONE: &str = r#"{"action":"get","node":{"key":"/t","dir":true,"nodes":[{"key":"/t/a","value":"n1=http://h:1","modifiedIndex":2,"createdIndex":2}]}}"#;
const OTHER: &str = r#"{"action":"get","node":{"key":"/t","dir":true,"nodes":[{"key":"/t/a","value":"n1=http://old:1","modifiedIndex":2,"createdIndex":2}]}}"#;
const BOTH: &str = r#"{"action":"get","node":{"key":"/t","dir":true,"nodes":[{"key":"/t/b","value":"n2=http://h:2","modifiedIndex":3,"createdIndex":3},{"key":"/t/a","value":"n1=http://h:1","modifiedIndex":2,"createdIndex":2}]}}"#;
const STRANGERS: &str = r#"{"action":"get","node":{"key":"/t","dir":true,"nodes":[{"key":"/t/b","value":"n2=http://h:2","modifiedIndex":2,"createdIndex":2},{"key":"/t/c","value":"n3=http://h:3","modifiedIndex":3,"createdIndex":3}]}}"#;
const EVENT: &str = r#"{"action":"create","node":{"key":"/t/b","value":"n2=http://h:2","modifiedIndex":3,"createdIndex":3}}"#;
const EXISTS: &str = r#"{"errorCode":105,"message":"Key already exists","cause":"/t/a","index":2}"#;
const GONE: &str = r#"{"errorCode":100,"message":"Key not found","cause":"/t","index":2}"#;
const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What the server expects to be asked, and what it says then.
type Script = Vec<(&'static str, u16, &'static str)>;

/// Answers by the script; afterwards tells what it was asked.
async fn server(script: Script) -> (Client, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Address = format!("http://{}/discovery/t", listener.local_addr().unwrap()).parse().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        for (expected, status, body) in script {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut request, mut buffer) = (String::new(), [0; 4096]);
            while !request.contains("\r\n\r\n") || (request.starts_with("PUT") && !request.contains("value=")) {
                let read = stream.read(&mut buffer).await.unwrap();
                request.push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
            assert!(request.starts_with(expected), "expected {expected}, got {request}");
            heard.lock().unwrap().push(request);
            let head = format!("HTTP/1.1 {status} x\r\nX-Etcd-Index: 2\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        }
    });
    let moment = Duration::from_millis(1);
    let patience = Patience { first_pause: moment, longest_pause: moment, ..Patience::default() };
    (Client::new(address, &Options { patience, ..Options::default() }).unwrap(), asked)
}

fn member() -> Member {
    Member::parse("a", "n1=http://h:1").unwrap()
}

const GET_SIZE: &str = "GET /discovery/t/_config/size ";
const GET_LIST: &str = "GET /discovery/t ";
const PUT: &str = "PUT /discovery/t/a?prevExist=false ";
const WAIT: &str = "GET /discovery/t?recursive=true&wait=true&waitIndex=3 ";

#[tokio::test]
async fn registering_can_be_repeated() {
    for (what, script, wanted) in [
        (
            "new",
            vec![(GET_SIZE, 200, SIZE), (GET_LIST, 200, EMPTY), (PUT, 201, EVENT), (GET_SIZE, 200, SIZE), (GET_LIST, 200, ONE)],
            Registered::New,
        ),
        ("again", vec![(GET_SIZE, 200, SIZE), (GET_LIST, 200, ONE)], Registered::Again),
        ("full", vec![(GET_SIZE, 200, SIZE), (GET_LIST, 200, STRANGERS)], Registered::Full),
        (
            "replaced",
            vec![(GET_SIZE, 200, SIZE), (GET_LIST, 200, OTHER), (PUT, 200, EVENT), (GET_SIZE, 200, SIZE), (GET_LIST, 200, ONE)],
            Registered::Replaced,
        ),
        (
            "an answer that was lost",
            vec![(GET_SIZE, 200, SIZE), (GET_LIST, 200, EMPTY), (PUT, 412, EXISTS), (GET_SIZE, 200, SIZE), (GET_LIST, 200, ONE)],
            Registered::Again,
        ),
        (
            "others were faster",
            vec![(GET_SIZE, 200, SIZE), (GET_LIST, 200, EMPTY), (PUT, 201, EVENT), (GET_SIZE, 200, SIZE), (GET_LIST, 200, STRANGERS)],
            Registered::Full,
        ),
    ] {
        let (client, asked) = server(script).await;
        let secret = Secret::new(SECRET).unwrap();
        assert_eq!(client.register(&member(), Some(&secret)).await.unwrap(), wanted, "{what}");
        for request in asked.lock().unwrap().iter() {
            assert_eq!(request.contains(SECRET), request.starts_with("PUT"), "the secret goes with what is written alone: {request}");
            assert!(!request.starts_with("PUT") || request.ends_with("value=n1%3Dhttp%3A%2F%2Fh%3A1"), "{request}");
        }
    }
}

#[tokio::test]
async fn what_goes_wrong_is_told_apart() {
    for (script, passing, says) in [
        (vec![(GET_SIZE, 404, GONE)], false, "no such token"),
        (vec![(GET_SIZE, 404, "404 page not found")], false, "HTTP status 404"),
        (vec![(GET_SIZE, 301, "")], false, "HTTP status 301"),
        (vec![(GET_SIZE, 429, "")], true, "HTTP status 429"),
        (vec![(GET_SIZE, 502, "<html>")], true, "HTTP status 502"),
        (vec![(GET_SIZE, 503, r#"{"errorCode":300,"message":"m","cause":"c","index":1}"#)], true, "says: m (c)"),
        (vec![(GET_SIZE, 200, "<html>")], false, "not what a discovery service writes"),
        (vec![(GET_SIZE, 200, EMPTY)], false, "no number of seats"),
        (
            vec![(GET_SIZE, 200, SIZE), (GET_LIST, 200, EMPTY), (PUT, 412, EXISTS), (GET_SIZE, 200, SIZE), (GET_LIST, 200, OTHER)],
            false,
            "registered under `a`",
        ),
        (
            vec![(GET_SIZE, 200, SIZE), (GET_LIST, 200, EMPTY), (PUT, 403, r#"{"errorCode":900,"message":"No room for more"}"#)],
            false,
            "No room",
        ),
        (vec![(GET_SIZE, 200, SIZE), (GET_LIST, 200, EMPTY), (PUT, 500, "")], true, "HTTP status 500"),
        (vec![], true, "cannot be reached"),
    ] {
        let (client, _) = server(script).await;
        let error = client.register(&member(), None).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.passing(), passing, "{text}");
        assert!(text.contains(says) && !text.contains("/discovery/t"), "the token is nobody's business: {text}");
    }
}

#[tokio::test]
async fn waiting_survives_what_passes_and_tells_how_far_it_is() {
    let (client, _) = server(vec![
        (GET_SIZE, 503, ""),
        (GET_SIZE, 200, SIZE),
        (GET_LIST, 200, ONE),
        // The server ends an idle wait.
        (WAIT, 200, ""),
        (GET_SIZE, 200, SIZE),
        (GET_LIST, 200, ONE),
        (WAIT, 502, ""),
        (GET_SIZE, 200, SIZE),
        (GET_LIST, 200, ONE),
        (WAIT, 200, EVENT),
        (GET_SIZE, 200, SIZE),
        (GET_LIST, 200, BOTH),
    ])
    .await;
    let mut told = Vec::new();
    let roll = client.wait_until_complete(|progress| told.push(progress.to_string())).await.unwrap();
    let order: Vec<&str> = roll.seated().iter().map(|member| member.id.as_str()).collect();
    assert_eq!((order, roll.has_seat("a")), (vec!["a", "b"], true));
    assert_eq!(told.len(), 5, "{told:?}");
    for (said, wanted) in told.iter().zip(["status 503; asked again", "1 of 2 machines", "1 of 2 machines are there; ", "1 of 2", "2 of 2"])
    {
        assert!(said.contains(wanted), "{told:?}");
    }
}

#[tokio::test]
async fn waiting_ends_where_time_heals_nothing() {
    for (script, says) in [
        (vec![(GET_SIZE, 404, GONE)], "no such token"),
        (vec![(GET_SIZE, 200, SIZE), (GET_LIST, 200, ONE), (WAIT, 200, ""), (GET_SIZE, 404, GONE)], "no such token"),
        (vec![(GET_SIZE, 200, "hello")], "not what a discovery service writes"),
    ] {
        let (client, _) = server(script).await;
        assert!(client.wait_until_complete(|_| {}).await.unwrap_err().to_string().contains(says), "{says}");
    }
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let address: Address = "https://h/discovery/t".parse().unwrap();
    for options in
        [Options { ca_pem: Some(b"none".to_vec()), ..Options::default() }, Options { proxy: Some("::".to_owned()), ..Options::default() }]
    {
        assert!(matches!(Client::new(address.clone(), &options), Err(Error::Setup(_))), "{options:?}");
    }
}
