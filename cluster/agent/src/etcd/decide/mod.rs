//! What to do next: one step, from what is seen.
//!
//! The rules that keep data safe:
//!
//! - etcd with data is started as it is, and with nothing else.
//! - A new cluster is founded only when every other seat says that it is as new as we are. A machine that lost its disk looks new too;
//!   would it start with an empty log under its old identity, it could vote for what it has forgotten.
//! - Members change one at a time: never while somebody is on the way in, and only when all others who vote are healthy.
//! - A healthy voter is never removed; nothing is changed when no quorum answers.
//! - Where another cluster answers in the place of ours, somebody has begun again: old members do not start, for together they might be a
//!   quorum of what was.

#[cfg(test)]
mod tests;

use cluster_store::duration;

use super::init::Running;
use super::seen::{Health, Live, Member, Neighbour, Roster, Seat, Seen};
use crate::config::Role;

/// From so many restarts on, an etcd is not starting but failing.
const RESTARTS_ODD: u32 = 3;

/// What to do next, or what is waited for. The texts are sentences for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Start etcd as the member that its data says.
    Start,
    /// Start a cluster that has not been there before, with these members.
    Found(Vec<Seat>),
    /// Start etcd as a member that the cluster knows already and that has never run.
    Join,
    /// Make this machine a member that follows; take `remove` out first.
    TakeSeat {
        /// The member whose seat it is: dead, or ourselves without our data.
        remove: Option<u64>,
        /// Why.
        why: String,
    },
    /// Let this machine's member vote.
    Promote(u64),
    /// Take out a member that was on the way in and went away.
    Drop {
        /// The member.
        learner: u64,
        /// Why.
        why: String,
    },
    /// Stop etcd and put its data aside: the cluster goes on without this member.
    Retire,
    /// All is well here, or as well as it gets.
    Member(String),
    /// Serve as a client of the members.
    Client(String),
    /// Nothing can be done but wait.
    Wait {
        /// One word for programs.
        state: &'static str,
        /// What is waited for.
        reason: String,
    },
}

/// What to do next.
#[must_use]
pub fn decide(seen: &Seen) -> Step {
    match (seen.data, &seen.live) {
        (true, live) => with_data(seen, live.as_ref()),
        // It was started a moment ago and has not written its log yet.
        (false, _) if seen.running.is_some() => starting(seen, "etcd is starting"),
        (false, Some(live)) => without_data(seen, live),
        (false, None) if !seen.remembered.is_empty() => no_quorum(seen, false),
        (false, None) => new(seen),
    }
}

fn with_data(seen: &Seen, live: Option<&Live>) -> Step {
    if let (Some(live), Some(was)) = (live, seen.was)
        && live.cluster == was.cluster
        && !live.members.iter().any(|member| member.id == was.member)
    {
        return Step::Retire;
    }
    let foreign = || {
        let reason = "this machine's data belongs to another cluster than the one that answers; if that one is right, \
                      `cluster-agent rejoin` puts the data aside and joins it";
        wait("foreign", reason)
    };
    if seen.running.is_none() {
        let began_again = live.zip(seen.was).is_some_and(|(live, was)| live.cluster != was.cluster);
        return if began_again { foreign() } else { Step::Start };
    }
    let Some(live) = live else { return no_quorum(seen, true) };
    let Some(own) = own(seen, live) else { return foreign() };
    if own.learner {
        return Step::Promote(own.id);
    }
    if let (Some(limit), None) = (seen.replace_after, live.voters().find(|voter| voter.health != Health::Healthy))
        && let Some(learner) = live.learners().find(|learner| silent_for(learner, limit))
    {
        let why = format!("{} was to become a member and has not answered for {}", learner.called(), duration::format(limit));
        return Step::Drop { learner: learner.id, why };
    }
    Step::Member(wellbeing(live))
}

/// No data here, and a quorum answers.
fn without_data(seen: &Seen, live: &Live) -> Step {
    let taken = |member: &&Member| member.peer_urls.contains(&seen.me.peer_url) || member.name == seen.me.name;
    if let Some(own) = live.members.iter().find(taken) {
        if !own.has_run() {
            return Step::Join;
        }
        if !matches!(own.health, Health::Silent(_)) && own.peer_urls.contains(&seen.me.peer_url) {
            let reason = "this machine's data is gone, and the cluster still thinks it is there; that takes half a minute to pass";
            return wait("joining", reason);
        }
        if !matches!(own.health, Health::Silent(_)) {
            let reason = format!("another machine is called {} and is a member: give this one another `name`", seen.me.name);
            return Step::Client(reason);
        }
        let why = format!("this machine is member {} and its data is gone", own.called());
        return take(live, Some(own), why, seen);
    }
    if seen.role == Role::Client {
        return Step::Client("this machine never votes (role = \"client\")".to_owned());
    }
    let voters = live.voters().count();
    let size = seen.size.unwrap_or(voters);
    if voters < size {
        return take(live, None, format!("{voters} of {size} seats are taken"), seen);
    }
    let dead = seen.replace_after.and_then(|limit| live.voters().find(|voter| silent_for(voter, limit)));
    match (dead, seen.replace_after) {
        (Some(dead), Some(limit)) if voters == size => {
            let why = format!("{} has not answered for {}", dead.called(), duration::format(limit));
            take(live, Some(dead), why, seen)
        }
        _ => Step::Client(format!("all {size} seats are taken; {}", wellbeing(live))),
    }
}

/// The seat of `remove`, or a free one, if the members may be changed now; otherwise this machine serves as a client and says why.
fn take(live: &Live, remove: Option<&Member>, why: String, seen: &Seen) -> Step {
    let others = |member: &&Member| remove.is_none_or(|gone| gone.id != member.id);
    let but = |reason: String| Step::Client(format!("{why}; {reason}"));
    if seen.role == Role::Client {
        return but("this machine never votes (role = \"client\")".to_owned());
    }
    if let Some(learner) = live.learners().find(others) {
        return but(format!("{} is on the way in, and one comes at a time", learner.called()));
    }
    if let Some(ill) = live.voters().filter(others).find(|voter| voter.health != Health::Healthy) {
        return but(format!("members are not changed while {} is not well", ill.called()));
    }
    if !live.voters().any(|voter| others(&voter)) {
        return but("nobody else votes".to_owned());
    }
    Step::TakeSeat { remove: remove.map(|member| member.id), why }
}

/// Neither data nor a quorum, nor a memory of one.
fn new(seen: &Seen) -> Step {
    let roster = match &seen.roster {
        Ok(roster) => roster,
        Err(reason) => return wait("waiting", reason),
    };
    if let Some(name) = twice(roster) {
        return wait("waiting", format!("two machines are called {name}; give each its own `name`, or its own /etc/machine-id"));
    }
    if roster.seats.len() < roster.size {
        return wait("waiting", format!("{} of {} machines are there", roster.seats.len(), roster.size));
    }
    if seen.role == Role::Client || !roster.seats.contains(&seen.me) {
        return wait("waiting", "the members are others, and do not answer yet");
    }
    let others = || roster.seats.iter().filter(|seat| **seat != seen.me);
    let said = |seat: &Seat| seen.neighbours.get(&seat.peer_url).copied().unwrap_or(Neighbour::Silent);
    let those = |what: Neighbour| others().filter(|seat| said(seat) == what).map(|seat| seat.name.as_str()).collect::<Vec<_>>();
    let knows = those(Neighbour::Knows);
    if !knows.is_empty() {
        let reason = format!(
            "this machine was a member before and its data is gone; {} cannot take it back without a quorum. If the others do not come \
             back: `cluster-agent recover` there",
            knows.join(" and ")
        );
        return wait("waiting", reason);
    }
    let silent = those(Neighbour::Silent);
    if !silent.is_empty() {
        let all = format!("all {} machines are registered; waiting until {} answers", roster.size, silent.join(" and "));
        return wait("waiting", all);
    }
    Step::Found(roster.seats.clone())
}

fn no_quorum(seen: &Seen, member: bool) -> Step {
    let away: Vec<&str> = seen.remembered.iter().filter(|(_, answers)| !**answers).map(|(name, _)| name.as_str()).collect();
    let all = seen.remembered.len();
    if away.len() * 2 < all || all == 0 {
        let reason = "no quorum of members answers yet";
        return if member { starting(seen, reason) } else { wait("waiting", reason) };
    }
    let reason = format!(
        "no quorum: {} of {all} members do not answer ({}); nothing is changed by itself. Bring them back; if they are lost for good, \
         `cluster-agent recover` on one that is left",
        away.len(),
        away.join(", ")
    );
    wait("no-quorum", reason)
}

/// etcd may take a while to start, but not to end again and again.
fn starting(seen: &Seen, reason: &str) -> Step {
    match seen.running {
        Some(Running { restarts: times @ RESTARTS_ODD.. }) => {
            wait("failing", format!("etcd ended {times} times and was started again; `journalctl -u etcd` says why"))
        }
        _ => wait("starting", reason),
    }
}

fn own<'l>(seen: &Seen, live: &'l Live) -> Option<&'l Member> {
    match seen.was {
        Some(was) if was.cluster == live.cluster => live.members.iter().find(|member| member.id == was.member),
        Some(_) => None,
        None => live.members.iter().find(|member| member.peer_urls.contains(&seen.me.peer_url)),
    }
}

fn silent_for(member: &Member, limit: std::time::Duration) -> bool {
    matches!(member.health, Health::Silent(since) if since >= limit)
}

fn wellbeing(live: &Live) -> String {
    let voters = live.voters().count();
    let ill: Vec<String> = live.voters().filter(|voter| voter.health != Health::Healthy).map(Member::called).collect();
    if ill.is_empty() {
        format!("all {voters} members are well")
    } else {
        format!("{} of {voters} members are well, not {}", voters - ill.len(), ill.join(", "))
    }
}

fn twice(roster: &Roster) -> Option<&str> {
    let twice = |seat: &&Seat| roster.seats.iter().filter(|other| other.name == seat.name).count() > 1;
    roster.seats.iter().find(twice).map(|seat| seat.name.as_str())
}

fn wait(state: &'static str, reason: impl Into<String>) -> Step {
    Step::Wait { state, reason: reason.into() }
}
