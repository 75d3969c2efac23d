//! The next thing to do for a swarm, from what its leader sees. Pure: nothing happens here.

use std::collections::BTreeMap;
use std::fmt;

use crate::keeper::managers::{self, Change};
use crate::labels;
use crate::record::{Join, Leave};
use crate::view::{Availability, Node, NodeId, Observed, State};

/// One change. After each, everything is looked at again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// No more tasks for a node that will reboot.
    Drain(NodeId),
    /// The node may go: it is drained, by us or by a person.
    Acknowledge(NodeId),
    /// Tasks again for a node that we drained.
    Undrain(NodeId),
    /// Forget the wish of a node that is back, or gone for good.
    Forget(NodeId),
    /// A manager becomes a worker.
    Demote(NodeId, Why),
    /// A worker becomes a manager.
    Promote(NodeId),
    /// A node that is no more leaves the list.
    Remove(NodeId, Why),
    /// The labels of a node become these.
    Label(NodeId, BTreeMap<String, String>),
    /// What joiners read becomes this, with the tokens as they are now.
    Publish(Join),
}

/// Why a node loses its seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is down for longer than `replace-after`, and its machine is gone from etcd.
    Gone,
    /// Its machine is here as another node.
    Reinstalled,
    /// Its machine says that it cannot get back in.
    LockedOut,
    /// There are more managers than wanted, or it wants to be a worker.
    Surplus,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gone => "it is gone for longer than `replace-after`",
            Self::Reinstalled => "its machine is here as another node",
            Self::LockedOut => "its certificate is too old to come back with",
            Self::Surplus => "there are managers enough without it",
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Drain(node) => write!(f, "draining node {node} before its reboot"),
            Self::Acknowledge(node) => write!(f, "telling node {node} that it is drained"),
            Self::Undrain(node) => write!(f, "giving tasks to node {node} again"),
            Self::Forget(node) => write!(f, "forgetting that node {node} was to be drained"),
            Self::Demote(node, why) => write!(f, "making manager {node} a worker: {why}"),
            Self::Promote(node) => write!(f, "making worker {node} a manager"),
            Self::Remove(node, why) => write!(f, "removing node {node}: {why}"),
            Self::Label(node, _) => write!(f, "setting the labels of node {node}"),
            Self::Publish(join) => write!(f, "publishing managers {}", join.managers.join(", ")),
        }
    }
}

/// The next thing to do; nothing when this node does not lead, or when etcd knows another swarm.
#[must_use]
pub fn decide(observed: &Observed) -> Option<Action> {
    if !observed.leads() || observed.stored.as_ref().is_some_and(|join| join.cluster != observed.cluster) {
        return None;
    }
    publish(observed).or_else(|| reboots(observed)).or_else(|| dead(observed)).or_else(|| roles(observed)).or_else(|| set_labels(observed))
}

/// Joiners find the managers that answer.
fn publish(observed: &Observed) -> Option<Action> {
    let votes = observed.nodes.iter().filter_map(|node| node.vote.as_ref());
    let mut managers: Vec<String> = votes.filter(|vote| vote.reachable).map(|vote| vote.address.clone()).collect();
    managers.sort();
    let join = Join { cluster: observed.cluster.clone(), managers };
    let agrees = observed.tokens_agree && observed.stored.as_ref() == Some(&join);
    (!agrees && !join.managers.is_empty()).then_some(Action::Publish(join))
}

/// Availability follows the nodes that reboot. Only a drain with our mark is undone.
fn reboots(observed: &Observed) -> Option<Action> {
    for (id, leave) in &observed.leaving {
        let Some(node) = observed.node(id) else { return Some(Action::Forget(id.clone())) };
        let drained = node.availability == Availability::Drain;
        match leave {
            Leave::Asked if drained => return Some(Action::Acknowledge(id.clone())),
            Leave::Asked if observed.kept_by(id).is_some() => {}
            Leave::Asked => return Some(Action::Drain(id.clone())),
            // Whoever has made it active since then has a reason.
            Leave::Drained => {}
            Leave::Back if is_marked(node) => return Some(Action::Undrain(id.clone())),
            Leave::Back => return Some(Action::Forget(id.clone())),
        }
    }
    // A mark without a wish: etcd was restored to a time before the reboot.
    let lost = observed.nodes.iter().find(|node| {
        is_marked(node) && !observed.leaving.contains_key(&node.id) && node.state == State::Ready && observed.is_claimed(node)
    });
    lost.map(|node| Action::Undrain(node.id.clone()))
}

fn is_marked(node: &Node) -> bool {
    node.labels.contains_key(labels::DRAINED)
}

/// A node that will not come back loses its vote first and its place after that.
fn dead(observed: &Observed) -> Option<Action> {
    for node in &observed.nodes {
        let Some(why) = is_dead(observed, node) else { continue };
        match (node.is_manager(), &node.vote) {
            (true, _) if managers::may_demote(observed, node) => return Some(Action::Demote(node.id.clone(), why)),
            (false, None) => return Some(Action::Remove(node.id.clone(), why)),
            // Without a majority nothing can be done; a change that is under way is waited for.
            _ => {}
        }
    }
    None
}

/// Why a node will not come back, if so.
fn is_dead(observed: &Observed, node: &Node) -> Option<Why> {
    if node.state != State::Down || node.id == observed.me {
        return None;
    }
    if observed.is_locked_out(node) {
        return Some(Why::LockedOut);
    }
    if observed.is_claimed(node) {
        return None;
    }
    let replaced = observed.nodes.iter().any(|other| {
        let same_machine = observed.owner(node).is_some() && observed.owner(other) == observed.owner(node);
        let same_address = other.address.is_some() && other.address == node.address;
        other.id != node.id && other.state == State::Ready && observed.is_claimed(other) && (same_machine || same_address)
    });
    let late = observed.down_for.get(&node.id).is_some_and(|down| *down >= observed.replace_after);
    // A node whose machine is not known belongs to a person.
    let gone = late && observed.owner(node).is_some();
    if replaced { Some(Why::Reinstalled) } else { gone.then_some(Why::Gone) }
}

fn roles(observed: &Observed) -> Option<Action> {
    Some(match managers::next(observed)? {
        Change::Promote(node) => Action::Promote(node),
        Change::Demote(node) => Action::Demote(node, Why::Surplus),
    })
}

/// Labels of nodes whose machine is there; what a machine that is away wants is not known.
fn set_labels(observed: &Observed) -> Option<Action> {
    observed.nodes.iter().find_map(|node| {
        let machine = observed.owner(node).filter(|_| observed.is_claimed(node))?;
        let mut wanted = observed.machines.get(machine)?.metadata.clone();
        wanted.extend(observed.member(node).map(|member| member.labels.clone()).unwrap_or_default());
        let next = labels::next(&node.labels, &wanted, machine);
        (next != node.labels).then(|| Action::Label(node.id.clone(), next))
    })
}
