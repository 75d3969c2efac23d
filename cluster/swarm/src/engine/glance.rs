//! What this machine is in the swarm, asked for little as long as nothing changes.
//!
//! For `/info` Docker starts `runc` and `docker-init` to learn their versions: eighteen times the work of `/_ping`, whose answer says
//! in a header what the machine is in the swarm. That is asked at every look; `/info` only when the header says something new, and
//! once in a while.

use std::time::Duration;

use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::{Engine, EngineError, Local};

/// The header: `active/manager`, `active/worker`, `inactive`, and others. Docker has it since version 1.41 of its API.
const HEADER: &str = "swarm";
/// What the header of a member begins with. Only then there is something to remember.
const ACTIVE: &str = "active/";
/// How long Docker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was last seen of a machine's engine.
#[derive(Debug, Default)]
pub struct Glance(Option<Seen>);

#[derive(Debug)]
struct Seen {
    standing: String,
    local: Local,
    at: Instant,
}

impl Glance {
    /// What the machine of `engine` is in the swarm. A node's name that changes while its role does not is noticed after `longest`.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn local(&mut self, engine: &Engine, longest: Duration) -> Result<Local, EngineError> {
        let standing = engine.standing().await;
        let seen = self.0.take().filter(|seen| standing.as_ref() == Some(&seen.standing) && seen.at.elapsed() < longest);
        if let Some(seen) = seen {
            return Ok(self.0.insert(seen).local.clone());
        }
        // Asked before, so that what changes in between is seen as new the next time.
        let at = Instant::now();
        let local = engine.local().await?;
        let standing = standing.filter(|standing| standing.starts_with(ACTIVE));
        self.0 = standing.map(|standing| Seen { standing, local: local.clone(), at });
        Ok(local)
    }
}

impl Engine {
    /// What the header says; `None` when there is none or nobody answers, which the longer question will explain.
    async fn standing(&self) -> Option<String> {
        timeout(PATIENCE, self.ping()).await.ok().flatten()
    }

    async fn ping(&self) -> Option<String> {
        let stream = UnixStream::connect(&self.socket).await.ok()?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        let request = Request::head("/_ping").header("Host", "docker").body(String::new()).ok()?;
        let answer = async {
            let answer = sender.send_request(request).await.ok()?;
            answer.headers().get(HEADER)?.to_str().ok().map(str::to_owned)
        };
        tokio::select! {
            answer = answer => answer,
            _ = connection => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::response::IntoResponse;
    use axum::routing::get;
    use axum::{Json, Router};
    use serde_json::json;
    use tokio::net::UnixListener;

    use super::*;
    use crate::view::NodeId;

    const LONGEST: Duration = Duration::from_secs(60);

    /// A Docker that tells this, and counts how often it was asked for the long answer.
    #[derive(Debug, Default)]
    struct Told {
        header: Option<&'static str>,
        node: &'static str,
        asked: u32,
    }

    struct Fake {
        told: Arc<Mutex<Told>>,
        engine: Engine,
        glance: Glance,
        _directory: tempfile::TempDir,
    }

    impl Fake {
        fn start() -> Self {
            let told = Arc::new(Mutex::new(Told::default()));
            let directory = tempfile::tempdir().unwrap();
            let socket = directory.path().join("docker.sock");
            let listener = UnixListener::bind(&socket).unwrap();
            let (short, long) = (Arc::clone(&told), Arc::clone(&told));
            let ping = move || async move {
                let header = short.lock().unwrap().header;
                header.map_or_else(|| "OK".into_response(), |header| ([("Swarm", header)], "OK").into_response())
            };
            let info = move || async move {
                let mut told = long.lock().unwrap();
                told.asked += 1;
                let manager = told.header == Some("active/manager");
                Json(json!({ "Swarm": { "NodeID": told.node, "LocalNodeState": "active", "ControlAvailable": manager } }))
            };
            let api: Router = Router::new().route("/_ping", get(ping)).route("/info", get(info));
            tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
            Self { told, engine: Engine::at(socket), glance: Glance::default(), _directory: directory }
        }

        /// What is seen, and how often the long answer was asked for until then.
        async fn look(&mut self, header: Option<&'static str>, node: &'static str, longest: Duration) -> (String, bool, u32) {
            {
                let mut told = self.told.lock().unwrap();
                (told.header, told.node) = (header, node);
            }
            let local = self.glance.local(&self.engine, longest).await.unwrap();
            let NodeId(node) = local.node.unwrap();
            (node, local.manager, self.told.lock().unwrap().asked)
        }
    }

    fn saw(node: &str, manager: bool, asked: u32) -> (String, bool, u32) {
        (node.to_owned(), manager, asked)
    }

    #[tokio::test]
    async fn docker_is_asked_at_length_when_its_short_answer_changes() {
        let mut fake = Fake::start();
        assert_eq!(fake.look(Some("active/manager"), "a", LONGEST).await, saw("a", true, 1));
        assert_eq!(fake.look(Some("active/manager"), "a", LONGEST).await, saw("a", true, 1));
        assert_eq!(fake.look(Some("active/worker"), "a", LONGEST).await, saw("a", false, 2), "another role");
        assert_eq!(fake.look(Some("active/worker"), "a", LONGEST).await, saw("a", false, 2));
        assert_eq!(fake.look(Some("active/worker"), "b", LONGEST).await, saw("a", false, 2), "remembered");
        assert_eq!(fake.look(Some("active/worker"), "b", Duration::ZERO).await, saw("b", false, 3), "remembered too long");
    }

    #[tokio::test]
    async fn what_says_nothing_for_certain_is_not_remembered() {
        for header in [None, Some("inactive"), Some("pending"), Some("error"), Some("locked")] {
            let mut fake = Fake::start();
            assert_eq!(fake.look(header, "a", LONGEST).await.2, 1, "{header:?}");
            assert_eq!(fake.look(header, "b", LONGEST).await, saw("b", false, 2), "{header:?}");
        }
    }

    #[tokio::test]
    async fn a_docker_that_went_away_is_an_error_and_nothing_is_remembered() {
        let mut fake = Fake::start();
        fake.look(Some("active/worker"), "a", LONGEST).await;
        let gone = Engine::at("/nowhere/docker.sock");
        assert!(matches!(fake.glance.local(&gone, LONGEST).await, Err(EngineError::Unreachable { .. })));
        assert_eq!(fake.look(Some("active/worker"), "a", LONGEST).await, saw("a", false, 2));
    }
}
