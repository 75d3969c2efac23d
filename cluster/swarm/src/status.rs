//! The swarm for people to read.

use serde::Serialize;

use crate::engine::{Engine, EngineError, Local, LocalState};
use crate::labels;
use crate::view::{Availability, Node, NodeId, Role, State};

/// What this machine is in the swarm, and on managers, what the swarm is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// In one word.
    pub state: &'static str,
    /// Docker's name for this node.
    pub node: Option<NodeId>,
    /// Docker's name for the swarm; only managers know.
    pub swarm: Option<String>,
    /// What Docker says about what went wrong.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// All nodes, managers first; only managers know.
    pub nodes: Vec<Line>,
}

/// A node of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Line {
    /// Docker's name for it.
    pub id: NodeId,
    /// What the machine calls itself.
    pub hostname: String,
    /// Where it is reached.
    pub address: Option<std::net::IpAddr>,
    /// `ready`, `down` or `unknown`.
    pub state: &'static str,
    /// What it is to be.
    pub role: Role,
    /// `leader`, `reachable`, `unreachable`, or nothing for workers.
    pub vote: Option<&'static str>,
    /// Whether it takes tasks.
    pub availability: Availability,
    /// It is drained because of a reboot, and gets tasks again after that.
    pub reboots: bool,
}

impl From<&Node> for Line {
    fn from(node: &Node) -> Self {
        Self {
            id: node.id.clone(),
            hostname: node.hostname.clone(),
            address: node.address,
            state: match node.state {
                State::Ready => "ready",
                State::Down => "down",
                State::Unknown => "unknown",
            },
            role: node.role,
            vote: node.vote.as_ref().map(|vote| match (vote.leader, vote.reachable) {
                (true, _) => "leader",
                (false, true) => "reachable",
                (false, false) => "unreachable",
            }),
            availability: node.availability,
            reboots: node.labels.contains_key(labels::DRAINED),
        }
    }
}

impl Status {
    /// What `local` and `nodes` say.
    #[must_use]
    pub fn of(local: Local, nodes: &[Node]) -> Self {
        let state = match (local.state, local.manager) {
            (LocalState::Inactive, _) => "in no swarm",
            (LocalState::Pending, _) => "joining",
            (LocalState::Active, true) => "manager",
            (LocalState::Active, false) => "worker",
            (LocalState::Error, _) => "failed",
            (LocalState::Locked, _) => "locked",
        };
        let mut nodes: Vec<Line> = nodes.iter().map(Line::from).collect();
        nodes.sort_by(|one, other| {
            (one.role != Role::Manager, &one.hostname, &one.id).cmp(&(other.role != Role::Manager, &other.hostname, &other.id))
        });
        Self { state, node: local.node, swarm: local.cluster, error: local.error, nodes }
    }

    /// A line for this machine, and one for each node.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("This machine: {}", self.state);
        if let Some(node) = &self.node {
            text.push_str(&format!(", node {node}"));
        }
        if let Some(swarm) = &self.swarm {
            text.push_str(&format!(", swarm {swarm}"));
        }
        if !self.error.is_empty() {
            text.push_str(&format!("\nDocker says: {}", self.error));
        }
        for line in &self.nodes {
            let role = match line.role {
                Role::Manager => line.vote.map_or_else(|| "manager".to_owned(), |vote| format!("manager ({vote})")),
                Role::Worker => "worker".to_owned(),
            };
            let tasks = match (line.availability, line.reboots) {
                (Availability::Drain, true) => "drained for a reboot",
                (Availability::Drain, false) => "drained",
                (Availability::Pause, _) => "paused",
                (Availability::Active, _) => "active",
            };
            let address = line.address.map(|address| address.to_string()).unwrap_or_default();
            text.push_str(&format!("\n{:<25}  {:<20}  {address:<15}  {:<7}  {role:<21}  {tasks}", line.id.0, line.hostname, line.state));
        }
        text
    }
}

/// Asks Docker of this machine.
///
/// # Errors
/// Docker does not answer.
pub async fn look(engine: &Engine) -> Result<Status, EngineError> {
    let local = engine.local().await?;
    let nodes = if local.manager { engine.nodes().await? } else { Vec::new() };
    Ok(Status::of(local, &nodes))
}
