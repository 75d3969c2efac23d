//! Asks `cluster-agent` of this machine for a turn to reboot, in the words of FleetLock.
//!
//! <https://coreos.github.io/zincati/development/fleetlock/protocol/>

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use payload::Version;
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::daemon::host::TurnAnswer;
use crate::health::http::exchange;
use crate::sandbox::messages::presentable;

/// Where `cluster-agent` listens.
pub(crate) const SOCKET: &str = "/run/cluster-agent/turns.sock";
/// How long the answer may take: before it is yes, what runs here may have to find another place.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// The group is for `cluster-agent` to know.
const GROUP: &str = "default";

/// FleetLock's reason for a no.
#[derive(Deserialize)]
struct Refusal {
    kind: String,
    value: String,
}

/// Asks whether it is the turn of the machine `id`, for a reboot into `version`: one that failed on another machine is refused.
pub(crate) async fn take(socket: &Path, id: &str, version: Option<&Version>) -> TurnAnswer {
    take_within(socket, id, version, PATIENCE).await
}

async fn take_within(socket: &Path, id: &str, version: Option<&Version>, patience: Duration) -> TurnAnswer {
    match timeout(patience, ask(socket, "/v1/pre-reboot", id, version)).await {
        Ok(answer) => answer,
        Err(_) => TurnAnswer::NoAnswer(format!("cluster-agent has not answered after {} s", patience.as_secs())),
    }
}

/// Says that the machine `id` does not want to reboot.
pub(crate) async fn give_up(socket: &Path, id: &str) {
    match timeout(PATIENCE, ask(socket, "/v1/steady-state", id, None)).await {
        Ok(TurnAnswer::Granted) => {}
        answer => tracing::info!(?answer, "the turn was not given up; cluster-agent does that by itself after a while"),
    }
}

async fn ask(socket: &Path, path: &str, id: &str, version: Option<&Version>) -> TurnAnswer {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return TurnAnswer::NoAgent(format!("there is no {}; `systemctl status cluster-agent` may say why", socket.display()));
        }
        Err(error) => return TurnAnswer::NoAnswer(format!("{}: {error}", socket.display())),
    };
    let mut params = serde_json::json!({ "id": id, "group": GROUP });
    if let Some(version) = version {
        params["release"] = version.to_string().into();
    }
    let body = serde_json::json!({ "client_params": params }).to_string();
    let request = format!(
        "POST {path} HTTP/1.0\r\nHost: localhost\r\nfleet-lock-protocol: true\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    match exchange(stream, &request).await {
        Ok((200, _)) => TurnAnswer::Granted,
        Ok((status, body)) => match serde_json::from_str::<Refusal>(&body) {
            Ok(refusal) => TurnAnswer::Refused(presentable(&format!("{} ({})", refusal.value, refusal.kind))),
            Err(_) => TurnAnswer::NoAnswer(format!("cluster-agent answers {status}, which is not FleetLock")),
        },
        Err(error) => TurnAnswer::NoAnswer(format!("cluster-agent: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixListener;

    use super::*;

    /// What comes of one `answer`, and what was asked.
    async fn told(answer: &'static str) -> (TurnAnswer, String) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("turns.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let mut length = 0;
            while !asked[..length].ends_with(b"}}") {
                length += stream.read(&mut asked[length..]).await.unwrap();
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(asked[..length].to_vec()).unwrap()
        };
        let version = "1.0.3".parse().unwrap();
        tokio::join!(take(&socket, "abc", Some(&version)), server)
    }

    #[tokio::test]
    async fn the_question_is_fleet_locks() {
        let (answer, asked) = told("HTTP/1.0 200 OK\r\n\r\n").await;
        assert_eq!(answer, TurnAnswer::Granted);
        let (head, body) = asked.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /v1/pre-reboot HTTP/1.0\r\n") && head.contains("\r\nfleet-lock-protocol: true\r\n"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())), "{head}");
        assert_eq!(body, r#"{"client_params":{"group":"default","id":"abc","release":"1.0.3"}}"#);
    }

    #[tokio::test]
    async fn only_200_is_yes() {
        let refused = "HTTP/1.1 409 Conflict\r\n\r\n{\"kind\":\"lock_held\",\"value\":\"n1 has it\"}";
        assert_eq!(told(refused).await.0, TurnAnswer::Refused("n1 has it (lock_held)".to_owned()));
        for other in ["", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 500 x\r\n\r\nx", "HTTP/1.1 2000 OK\r\n\r\n", "nonsense"] {
            let (answer, _) = told(other).await;
            assert!(matches!(answer, TurnAnswer::NoAnswer(_)), "{other:?}: {answer:?}");
        }
    }

    #[tokio::test]
    async fn no_socket_a_dead_one_and_a_silent_one() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("turns.sock");
        assert!(matches!(take(&socket, "abc", None).await, TurnAnswer::NoAgent(_)));
        let listener = UnixListener::bind(&socket).unwrap();
        let silent = take_within(&socket, "abc", None, Duration::from_millis(20)).await;
        assert!(matches!(&silent, TurnAnswer::NoAnswer(reason) if reason.contains("has not answered")), "{silent:?}");
        drop(listener);
        assert!(matches!(take(&socket, "abc", None).await, TurnAnswer::NoAnswer(_)), "a socket that nobody serves is no absent agent");
        give_up(&socket, "abc").await;
    }
}
