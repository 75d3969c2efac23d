//! A swarm as its leader sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use cluster_store::Machine;
use serde::{Deserialize, Serialize};

use crate::labels;
use crate::plan::Wish;
use crate::record::{Join, Leave, Member, Standing};

/// Docker's name of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NodeId(pub String);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the swarm knows about a node's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It answers.
    Ready,
    /// It does not answer for at least three heartbeats.
    Down,
    /// Something between: after a change of leader the swarm has to hear from the node first.
    Unknown,
}

/// Whether a node takes tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    /// It does.
    Active,
    /// It keeps those it has.
    Pause,
    /// It gives away those it has.
    Drain,
}

/// What a node is to be, by its specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It votes.
    Manager,
    /// It runs tasks only.
    Worker,
}

/// The vote of a node in the swarm's own consensus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vote {
    /// It leads.
    pub leader: bool,
    /// The leader reaches it.
    pub reachable: bool,
    /// `address:port`.
    pub address: String,
}

/// A node as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Docker's name of it.
    pub id: NodeId,
    /// Changes are refused when this is not the newest any more.
    pub version: u64,
    /// As the machine calls itself.
    pub hostname: String,
    /// Where it is reached; unknown while it never was ready.
    pub address: Option<IpAddr>,
    /// Whether it answers.
    pub state: State,
    /// Whether it takes tasks.
    pub availability: Availability,
    /// What it is to be; [`Self::vote`] says what it is.
    pub role: Role,
    /// Its vote, while it is a manager.
    pub vote: Option<Vote>,
    /// A name in its specification, which `docker` never sets; kept as it is.
    pub name: Option<String>,
    /// All its labels, ours and others.
    pub labels: BTreeMap<String, String>,
}

#[cfg(test)]
impl Node {
    /// `n0`, `n1` and so on: a worker that is ready and takes tasks.
    pub(crate) fn example(number: usize) -> Self {
        Self {
            id: NodeId(format!("n{number}")),
            version: 1,
            hostname: format!("h{number}"),
            address: None,
            state: State::Ready,
            availability: Availability::Active,
            role: Role::Worker,
            vote: None,
            name: None,
            labels: BTreeMap::new(),
        }
    }
}

impl Node {
    /// It votes, or is to vote.
    #[must_use]
    pub fn is_manager(&self) -> bool {
        self.role == Role::Manager
    }

    /// It is on the way from one role to the other.
    ///
    /// A node that is down and was never a manager cannot become one, so it does not count: nothing is under way.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        match (self.role, &self.vote) {
            (Role::Manager, None) => self.state != State::Down,
            (Role::Worker, Some(_)) => true,
            _ => false,
        }
    }
}

/// A manager that is to be has come by then, or will not come: joining takes seconds, and Docker itself gives up after twenty.
pub const JOIN_PATIENCE: Duration = Duration::from_secs(120);

/// A node with the last running task of a service keeps it for so long before it is drained all the same: a service that never gets
/// well must not keep a machine from its updates.
pub const ALONE_PATIENCE: Duration = Duration::from_secs(240);

/// Everything the keeper looks at.
#[derive(Debug, Clone)]
pub struct Observed {
    /// This node.
    pub me: NodeId,
    /// Docker's name of the swarm.
    pub cluster: String,
    /// How many managers are wanted.
    pub managers: u32,
    /// A node that is down for so long may be removed.
    pub replace_after: Duration,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// How long nodes are down or not heard from, as far as this leader has seen.
    pub down_for: BTreeMap<NodeId, Duration>,
    /// Machines that are there, by id.
    pub machines: BTreeMap<String, Machine>,
    /// What machines say about themselves, by the machine's id.
    pub members: BTreeMap<String, Member>,
    /// Machines that vote in etcd.
    pub voters: BTreeSet<String>,
    /// Nodes that reboot.
    pub leaving: BTreeMap<NodeId, Leave>,
    /// How long nodes ask to be drained, as far as this leader has seen.
    pub asked_for: BTreeMap<NodeId, Duration>,
    /// Services that would go away with a node that asks to be drained.
    pub alone: BTreeMap<NodeId, BTreeSet<String>>,
    /// What joiners read.
    pub stored: Option<Join>,
    /// The tokens that joiners read are those of the swarm.
    pub tokens_agree: bool,
}

impl Observed {
    /// This node leads the swarm.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.node(&self.me).is_some_and(|node| node.vote.as_ref().is_some_and(|vote| vote.leader))
    }

    /// A node that was to be a manager and that nobody has heard from for longer than joining takes. Whoever asked gave up, and may be here
    /// as another node: joining through a manager that just loses its role leaves such a thing behind.
    #[must_use]
    pub fn never_came(&self, node: &Node) -> bool {
        let silent = self.down_for.get(&node.id).is_some_and(|silent| *silent >= JOIN_PATIENCE);
        node.is_manager() && node.vote.is_none() && node.state != State::Ready && silent
    }

    /// Some node is on the way from one role to the other.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.nodes.iter().any(|node| node.is_changing() && !self.never_came(node))
    }

    /// A machine is there that is no node yet: it is about to join.
    #[must_use]
    pub fn awaits_a_node(&self) -> bool {
        self.machines.keys().any(|machine| !self.nodes.iter().any(|node| self.owner(node) == Some(machine)))
    }

    /// The services for whose sake a node is not drained yet: they run nowhere else, and may soon.
    #[must_use]
    pub fn kept_by(&self, node: &NodeId) -> Option<&BTreeSet<String>> {
        let fresh = self.asked_for.get(node).is_none_or(|asked| *asked < ALONE_PATIENCE);
        let drained = self.node(node).is_none_or(|node| node.availability == Availability::Drain);
        self.alone.get(node).filter(|_| fresh && !drained)
    }

    /// A node by its name.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == *id)
    }

    /// The machine a node is, or was, on: by the machine's own word, else by the label that it got while it was there.
    #[must_use]
    pub fn owner<'a>(&'a self, node: &'a Node) -> Option<&'a str> {
        let says = self.members.iter().find(|(_, member)| member.node.as_ref() == Some(&node.id));
        says.map(|(machine, _)| machine.as_str()).or_else(|| node.labels.get(labels::MACHINE).map(String::as_str))
    }

    /// The record of the machine, if that machine says that this is its node.
    #[must_use]
    pub fn member(&self, node: &Node) -> Option<&Member> {
        self.members.values().find(|member| member.node.as_ref() == Some(&node.id))
    }

    /// What the machine wants to be.
    #[must_use]
    pub fn wish(&self, node: &Node) -> Wish {
        self.member(node).map_or(Wish::Auto, |member| member.wish)
    }

    /// The machine is there, and does not say that another node is its own.
    #[must_use]
    pub fn is_claimed(&self, node: &Node) -> bool {
        let Some(machine) = self.owner(node).filter(|machine| self.machines.contains_key(*machine)) else { return false };
        self.members.get(machine).is_none_or(|member| member.node.is_none() || member.node.as_ref() == Some(&node.id))
    }

    /// The machine says that it cannot get back in as this node.
    #[must_use]
    pub fn is_locked_out(&self, node: &Node) -> bool {
        self.member(node).is_some_and(|member| member.standing == Standing::LockedOut)
    }
}
