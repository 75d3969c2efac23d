//! Whether etcd keeps its quorum while this machine is away, and who leads meanwhile: pure.

use crate::Reason;

/// One voting member of etcd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voter {
    /// Its id.
    pub id: u64,
    /// Its name, for people.
    pub name: String,
    /// It answers, and knows a leader.
    pub healthy: bool,
    /// Its machine was told that it may reboot, and may be away at any moment.
    pub leaving: bool,
}

/// The members of etcd as they are now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// Those that vote.
    pub voters: Vec<Voter>,
    /// The voter on this machine, if there is one.
    pub me: Option<u64>,
    /// The members are being changed just now.
    pub changing: bool,
    /// Who leads, if anybody does.
    pub leader: Option<u64>,
}

/// Whether this machine may be away without costing etcd its quorum.
///
/// A cluster of one is the exception: nothing can keep its quorum, and a machine that never reboots gets no updates.
///
/// # Errors
/// It may not, and why.
pub fn may_leave(members: &Members) -> Result<(), Reason> {
    let Some(me) = members.me else { return Ok(()) };
    if members.changing {
        return Err(Reason::new("the members of etcd are being changed"));
    }
    let total = members.voters.len();
    if total <= 1 {
        return Ok(());
    }
    let needed = total / 2 + 1;
    let (there, away): (Vec<&Voter>, Vec<&Voter>) =
        members.voters.iter().filter(|voter| voter.id != me).partition(|voter| voter.healthy && !voter.leaving);
    if there.len() >= needed {
        return Ok(());
    }
    let names = away.iter().map(|voter| format!("{} {}", voter.name, if voter.healthy { "is about to reboot" } else { "does not answer" }));
    let names: Vec<String> = names.collect();
    let why = if names.is_empty() { "add a voter".to_owned() } else { names.join(", ") };
    Err(Reason::new(format!("etcd would lose its quorum: {needed} of {total} voters are needed and {} would be left ({why})", there.len())))
}

/// Who is to lead etcd instead of this machine; `None` when this machine does not lead, or is alone.
#[must_use]
pub fn successor(members: &Members) -> Option<u64> {
    let me = members.me?;
    if members.leader != Some(me) {
        return None;
    }
    members.voters.iter().find(|voter| voter.id != me && voter.healthy && !voter.leaving).map(|voter| voter.id)
}

#[cfg(test)]
#[path = "quorum_tests.rs"]
mod tests;
