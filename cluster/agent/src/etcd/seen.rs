//! What is known about the machine and the cluster at one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use super::init::Running;
use crate::config::Role;

/// A place among the members: a name, and where the other members reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The member's name.
    pub name: String,
    /// Where the other members reach it, such as `http://10.0.0.5:2380`.
    pub peer_url: String,
}

/// Who was to found the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    /// How many vote.
    pub size: usize,
    /// Those that have a seat, in the order that all machines see; fewer than `size` while some have not come yet.
    pub seats: Vec<Seat>,
}

/// What another seat's machine says of itself while no quorum answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbour {
    /// It has no data either, and waits as we do.
    Fresh,
    /// etcd runs there and has never seen our seat's member at work.
    Awaits,
    /// etcd runs there and has seen our seat's member at work, or does not know our seat.
    Knows,
    /// It does not answer, or makes no sense.
    Silent,
}

/// How a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It answers, knows a leader and complains of nothing.
    Healthy,
    /// It answers and is not well, or its machine is there and etcd does not answer.
    Sick,
    /// Neither etcd nor the machine's presence has been seen, for so long as we have been looking.
    Silent(Duration),
}

/// A member, as the cluster knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// etcd's number for it.
    pub id: u64,
    /// Its name; empty while it has never run.
    pub name: String,
    /// Where the other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it; empty while it has never run.
    pub client_urls: Vec<String>,
    /// Whether it follows without voting.
    pub learner: bool,
    /// How it is.
    pub health: Health,
}

impl Member {
    /// Whether it has ever been at work.
    #[must_use]
    pub fn has_run(&self) -> bool {
        !self.client_urls.is_empty()
    }

    /// What to call it in a sentence.
    #[must_use]
    pub fn called(&self) -> String {
        if self.name.is_empty() { self.peer_urls.join(",") } else { self.name.clone() }
    }
}

/// The members, as a quorum of them agrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// etcd's number for the cluster.
    pub cluster: u64,
    /// Everyone in it.
    pub members: Vec<Member>,
}

impl Live {
    /// Those who vote.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| !member.learner)
    }

    /// Those who follow without voting.
    pub fn learners(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.learner)
    }
}

/// Which member this machine was when it last was one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Was {
    /// etcd's number for the cluster.
    pub cluster: u64,
    /// etcd's number for the member.
    pub member: u64,
}

/// What is known about the machine and the cluster at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// This machine's own place, if it has one or gets one.
    pub me: Seat,
    /// Whether it may vote.
    pub role: Role,
    /// Whether etcd's data is on its disk.
    pub data: bool,
    /// Whether etcd runs.
    pub running: Option<Running>,
    /// Which member it was.
    pub was: Option<Was>,
    /// How many shall vote, when that is known.
    pub size: Option<usize>,
    /// The members, when a quorum answers.
    pub live: Option<Live>,
    /// Members that are remembered, by name, and whether they answer at all; looked at while no quorum answers.
    pub remembered: BTreeMap<String, bool>,
    /// Who was to found the cluster, or why nobody says; looked at while there is neither data nor a quorum nor a memory.
    pub roster: Result<Roster, String>,
    /// What the other seats say, by their peer URLs; looked at while the roster is complete.
    pub neighbours: BTreeMap<String, Neighbour>,
    /// A voter that is silent for so long is replaced; `None` is never.
    pub replace_after: Option<Duration>,
}
