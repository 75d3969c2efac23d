//! Containers of this machine. Docker is the truth: at every sign of a change, and every minute, everything is read again.

mod container;
mod settings;

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::query_parameters::{EventsOptions, InspectContainerOptions, ListContainersOptions};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;

pub use container::{Scope, candidates};
pub use settings::{Settings, Words};

use crate::{Candidate, Host, source};

/// Where Docker listens.
pub const SOCKET: &str = "/run/docker.sock";
/// How long one answer of Docker may take, in seconds.
const ANSWER_SECONDS: u64 = 10;
/// Nobody vouches for what happened while events were not heard, so everything is read again after this long at the latest.
const RELIST: Duration = Duration::from_secs(60);
/// The first time sooner: what happened between the first list and Docker hearing that events are wanted.
const FIRST_RELIST: Duration = Duration::from_secs(1);
/// Events come in groups; the list is read after the group.
const GROUP: Duration = Duration::from_millis(200);
/// More containers than this on one machine are not looked at.
const MOST: usize = 4096;
/// Events that can change what is announced. Health checks make many others.
const EVENTS: [&str; 8] = ["start", "die", "destroy", "pause", "unpause", "rename", "update", "health_status"];

/// Where to find containers, and what to make of them.
#[derive(Debug, Clone)]
pub struct Containers {
    /// Docker's socket.
    pub socket: PathBuf,
    /// Which ports.
    pub scope: Scope,
}

impl Default for Containers {
    fn default() -> Self {
        Self { socket: SOCKET.into(), scope: Scope::default() }
    }
}

/// Says for ever what containers could be announced.
pub async fn follow(containers: Containers, host: Host, out: watch::Sender<Vec<Candidate>>) -> Infallible {
    let mut told = BTreeSet::new();
    let mut silence = source::Silence::new("Docker");
    loop {
        let error = session(&containers, &host, &out, &mut told, &mut silence).await.unwrap_or_else(|error| error);
        silence.begins(&error, &out).await;
    }
}

/// What could be announced now, and what is wrong with whom.
///
/// # Errors
/// Docker does not answer.
pub async fn look(containers: &Containers, host: &Host) -> Result<(Vec<Candidate>, Vec<String>), bollard::errors::Error> {
    list(&connect(&containers.socket)?, host, containers.scope).await
}

fn connect(socket: &Path) -> Result<Docker, bollard::errors::Error> {
    Docker::connect_with_unix(&socket.to_string_lossy(), ANSWER_SECONDS, API_DEFAULT_VERSION)
}

/// One connection to Docker; ends with the reason why it ended.
async fn session(
    containers: &Containers,
    host: &Host,
    out: &watch::Sender<Vec<Candidate>>,
    told: &mut BTreeSet<String>,
    silence: &mut source::Silence,
) -> Result<bollard::errors::Error, bollard::errors::Error> {
    let docker = connect(&containers.socket)?;
    let filters =
        HashMap::from([("type".to_owned(), vec!["container".to_owned()]), ("event".to_owned(), EVENTS.map(str::to_owned).to_vec())]);
    let mut events = Box::pin(docker.events(Some(EventsOptions { filters: Some(filters), ..Default::default() })));
    let mut next = Instant::now();
    let mut pause = FIRST_RELIST;
    loop {
        tokio::select! {
            biased;
            event = events.next() => match event {
                Some(Ok(_)) => next = next.min(Instant::now() + GROUP),
                Some(Err(error)) => return Ok(error),
                None => return Ok(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into()),
            },
            () = tokio::time::sleep_until(next) => {
                let (found, problems) = list(&docker, host, containers.scope).await?;
                silence.ends();
                source::tell(told, problems);
                source::publish(out, found);
                next = Instant::now() + pause;
                pause = RELIST;
            }
        }
    }
}

async fn list(docker: &Docker, host: &Host, scope: Scope) -> Result<(Vec<Candidate>, Vec<String>), bollard::errors::Error> {
    let running = docker.list_containers(Some(ListContainersOptions::default())).await?;
    let mut all = Vec::new();
    let mut problems = Vec::new();
    if running.len() > MOST {
        problems.push(format!("{} containers run here; only {MOST} are looked at", running.len()));
    }
    for id in running.iter().take(MOST).filter_map(|container| container.id.as_deref()) {
        match docker.inspect_container(id, None::<InspectContainerOptions>).await {
            Ok(container) => {
                let (found, wrong) = candidates(&container, host, scope);
                let name = container.name.as_deref().unwrap_or(id).trim_start_matches('/');
                problems.extend(wrong.into_iter().map(|wrong| format!("container {name}: {wrong}")));
                all.extend(found);
            }
            // Gone since the list was made.
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => return Err(error),
        }
    }
    all.sort_by(|one, other| one.key.cmp(&other.key));
    Ok((all, problems))
}
