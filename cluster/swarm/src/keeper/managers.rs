//! Who should be a manager, and which of the steps towards that is safe now.

use std::collections::BTreeSet;

use crate::plan::{MOST_MANAGERS, Wish};
use crate::view::{Node, NodeId, Observed, State};

/// The label by which machines say what fails together with them.
const ZONE: &str = "zone";

/// How many of `managers` must agree.
#[must_use]
pub const fn quorum(managers: usize) -> usize {
    managers / 2 + 1
}

/// How many managers make sense with `able` nodes: odd, because an even number survives no more failures than one fewer.
#[must_use]
pub fn target(wanted: u32, able: usize) -> usize {
    let most = able.min(wanted.clamp(1, MOST_MANAGERS) as usize);
    if most.is_multiple_of(2) { most.saturating_sub(1) } else { most }
}

/// The votes of a swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Votes {
    /// Managers that count for the quorum.
    pub total: usize,
    /// Those that answer the leader.
    pub reachable: usize,
}

impl Votes {
    /// The votes as they are.
    #[must_use]
    pub fn of(nodes: &[Node]) -> Self {
        let votes = nodes.iter().filter_map(|node| node.vote.as_ref());
        Self { total: votes.clone().count(), reachable: votes.filter(|vote| vote.reachable).count() }
    }

    /// The swarm can decide anything.
    #[must_use]
    pub const fn have_quorum(self) -> bool {
        self.reachable >= quorum(self.total)
    }

    /// Everybody answers.
    #[must_use]
    pub const fn all_there(self) -> bool {
        self.reachable == self.total
    }

    /// After one that answers, or does not, gives its vote back.
    #[must_use]
    pub const fn without(self, reachable: bool) -> Self {
        Self { total: self.total.saturating_sub(1), reachable: if reachable { self.reachable.saturating_sub(1) } else { self.reachable } }
    }
}

/// Whether `node` can give its vote back now: nothing else is under way, and the others are enough before and after.
#[must_use]
pub fn may_demote(observed: &Observed, node: &Node) -> bool {
    let votes = Votes::of(&observed.nodes);
    let Some(vote) = &node.vote else { return node.is_manager() && (observed.never_came(node) || !node.is_changing()) };
    let after = votes.without(vote.reachable);
    !observed.is_changing() && votes.have_quorum() && after.total > 0 && after.have_quorum()
}

/// The next change of a role, if one is due and safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It becomes a manager.
    Promote(NodeId),
    /// It becomes a worker.
    Demote(NodeId),
}

/// The next change of a role. New managers come before surplus ones go, one at a time, and only while every manager answers.
#[must_use]
pub fn next(observed: &Observed) -> Option<Change> {
    let votes = Votes::of(&observed.nodes);
    if votes.total == 0 || !votes.all_there() || observed.is_changing() {
        return None;
    }
    let should = chosen(observed);
    let missing = observed.nodes.iter().find(|node| should.contains(&node.id) && !node.is_manager());
    if let Some(node) = missing {
        return Some(Change::Promote(node.id.clone()));
    }
    // While a swarm forms, an even number is about to become odd: giving a seat back now is work for nothing, and whoever joins through the
    // manager that loses its role fails.
    let forms = observed.awaits_a_node() && votes.total <= observed.managers as usize;
    let stays = |node: &Node| forms && node.vote.is_some() && observed.wish(node) != Wish::Worker;
    let surplus = observed.nodes.iter().filter(|node| node.is_manager() && !should.contains(&node.id) && !stays(node));
    // The leader goes last: each change of leader costs an election.
    let first = surplus.min_by_key(|node| (node.vote.as_ref().is_some_and(|vote| vote.leader), &node.id))?;
    may_demote(observed, first).then(|| Change::Demote(first.id.clone()))
}

/// The nodes that should be managers. Never empty while there is one.
#[must_use]
pub fn chosen(observed: &Observed) -> BTreeSet<NodeId> {
    let able: Vec<&Node> = observed.nodes.iter().filter(|node| is_able(observed, node)).collect();
    let forced = able.iter().filter(|node| observed.wish(node) == Wish::Manager).count();
    let mut seats = target(observed.managers, able.len());
    if seats < forced {
        // More are forced than are wanted: one more makes the number odd, where there is one.
        seats = if forced.is_multiple_of(2) && able.len() > forced { forced + 1 } else { forced };
    }
    let mut chosen: Vec<&Node> = Vec::new();
    let mut rest = able;
    while chosen.len() < seats && !rest.is_empty() {
        let zones: BTreeSet<Option<&String>> = chosen.iter().map(|node| node.labels.get(ZONE)).collect();
        let Some(at) = (0..rest.len()).min_by_key(|at| rank(observed, rest[*at], &zones)) else { break };
        chosen.push(rest.swap_remove(at));
    }
    if chosen.is_empty() {
        // Everybody wants to be a worker; somebody has to lead.
        chosen.extend(observed.nodes.iter().find(|node| node.vote.as_ref().is_some_and(|vote| vote.leader)));
    }
    chosen.into_iter().map(|node| node.id.clone()).collect()
}

/// Who can be a manager: those that are, and workers that answer and that our agent looks after.
fn is_able(observed: &Observed, node: &Node) -> bool {
    let stays = node.is_manager() && !observed.never_came(node) && !observed.is_locked_out(node);
    let can = node.state == State::Ready && observed.is_claimed(node);
    observed.wish(node) != Wish::Worker && (stays || can)
}

/// Less is better: forced, already a manager, leading, a voter of etcd, in a zone that has no manager yet.
fn rank<'a>(observed: &Observed, node: &'a Node, zones: &BTreeSet<Option<&String>>) -> (bool, bool, bool, bool, bool, &'a NodeId) {
    let votes_in_etcd = observed.owner(node).is_some_and(|machine| observed.voters.contains(machine));
    (
        observed.wish(node) != Wish::Manager,
        !node.is_manager(),
        !node.vote.as_ref().is_some_and(|vote| vote.leader),
        !votes_in_etcd,
        zones.contains(&node.labels.get(ZONE)),
        &node.id,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_managers_is_odd_and_no_more_than_there_are_nodes() {
        let cases =
            [(3, 1, 1), (3, 2, 1), (3, 3, 3), (3, 9, 3), (4, 9, 3), (5, 4, 3), (5, 5, 5), (0, 3, 1), (99, 99, 7), (1, 5, 1), (3, 0, 0)];
        for (wanted, able, expected) in cases {
            assert_eq!(target(wanted, able), expected, "{wanted} of {able}");
        }
    }

    #[test]
    fn a_majority_is_more_than_half() {
        for (managers, expected) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)] {
            assert_eq!(quorum(managers), expected, "{managers}");
        }
    }
}
