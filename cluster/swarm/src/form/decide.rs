//! The next step of a machine into the swarm, or back into it. Pure: nothing happens here.

use crate::engine::{Local, LocalState};
use crate::plan::Wish;
use crate::record::{Join, Member, Standing};

/// Docker says one of these when a certificate is past its end. Nodes renew theirs while they run; it lasts 90 days.
const EXPIRED: [&str; 2] = ["certificates have expired", "certificate has expired"];
/// Docker says one of these to a node that is no longer on the swarm's list.
const NOT_LISTED: [&str; 3] = ["node is not registered", "removed from the swarm", "member was removed"];

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is in, and etcd says so.
    Keep,
    /// It is in a swarm that etcd does not know yet, as a manager: write it there.
    Publish,
    /// Start a swarm, if nobody else does.
    Initialise,
    /// Join the swarm that etcd knows.
    Join,
    /// Forget the swarm that this machine cannot get back into, and join again.
    Leave(Lost),
    /// Ask the others to remove this node, because it must not take its vote with it.
    AskToBeRemoved,
    /// Look again later; why, in words for a person.
    Wait(&'static str, String),
}

/// How a node lost its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// A worker with a certificate that is too old.
    Expired,
    /// The others removed it.
    Removed,
}

/// The next step, from what Docker says, what etcd says about the swarm, and what this machine wrote about itself before.
#[must_use]
pub fn decide(local: &Local, stored: Option<&Join>, before: Option<&Member>, wish: Wish) -> Step {
    let says = |words: &[&str]| words.iter().any(|word| local.error.contains(word));
    let removed = before.is_some_and(|member| member.standing == Standing::Removed && (local.node.is_none() || local.node == member.node));
    match (local.state, stored) {
        (LocalState::Inactive, Some(_)) => Step::Join,
        (LocalState::Inactive, None) if wish == Wish::Worker => Step::Wait("waiting", "no machine has started a swarm yet".to_owned()),
        (LocalState::Inactive, None) => Step::Initialise,
        (LocalState::Locked, _) => {
            Step::Wait("locked", "a person locked the swarm's managers; `docker swarm unlock` with their key lets this one in".to_owned())
        }
        (LocalState::Pending | LocalState::Error, _) if removed => Step::Leave(Lost::Removed),
        (LocalState::Error, _) if says(&NOT_LISTED) => Step::Leave(Lost::Removed),
        (LocalState::Error, _) if says(&EXPIRED) => match before {
            Some(member) if !member.manager => Step::Leave(Lost::Expired),
            Some(member) if member.standing == Standing::LockedOut => Step::Wait(
                "waiting",
                "this manager's certificate has expired; waiting until the other managers have removed its node".to_owned(),
            ),
            Some(_) => Step::AskToBeRemoved,
            None => Step::Wait(
                "failed",
                "the node's certificate has expired, and it is not known whether it is a manager; \
                 `docker swarm leave` (with `--force` if the other managers are well) lets it join again"
                    .to_owned(),
            ),
        },
        (LocalState::Pending, _) => Step::Wait("joining", "Docker is looking for the managers".to_owned()),
        (LocalState::Error, _) => Step::Wait("failed", format!("Docker cannot work in the swarm: {}", local.error)),
        (LocalState::Active, None) if local.manager => Step::Publish,
        (LocalState::Active, None) => Step::Wait("waiting", "waiting until a manager writes the swarm into etcd".to_owned()),
        (LocalState::Active, Some(join)) => match &local.cluster {
            Some(cluster) if *cluster != join.cluster => Step::Wait(
                "failed",
                format!(
                    "this machine is in swarm {cluster}, and the cluster has {}; if nothing in {cluster} is needed, \
                     `docker swarm leave --force` lets this machine join the cluster's",
                    join.cluster
                ),
            ),
            _ => Step::Keep,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::view::NodeId;

    fn local(state: LocalState) -> Local {
        Local { state, node: Some(NodeId("n".into())), manager: false, cluster: None, error: String::new() }
    }

    fn error(text: &str) -> Local {
        Local { node: None, error: text.to_owned(), ..local(LocalState::Error) }
    }

    fn member(manager: bool, standing: Standing) -> Member {
        Member {
            node: Some(NodeId("n".into())),
            cluster: None,
            manager,
            wish: Wish::Auto,
            labels: BTreeMap::new(),
            standing,
            address: [10, 0, 0, 1].into(),
        }
    }

    fn join() -> Join {
        Join { cluster: "c".into(), managers: vec!["10.0.0.1:2377".into()] }
    }

    fn waits(step: &Step, word: &str) {
        assert!(matches!(step, Step::Wait(_, reason) if reason.contains(word)), "{step:?} does not say {word}");
    }

    #[test]
    fn a_machine_in_no_swarm_starts_or_joins() {
        let local = Local { node: None, ..local(LocalState::Inactive) };
        assert_eq!(decide(&local, None, None, Wish::Auto), Step::Initialise);
        assert_eq!(decide(&local, None, None, Wish::Manager), Step::Initialise);
        waits(&decide(&local, None, None, Wish::Worker), "no machine");
        for before in [None, Some(&member(true, Standing::Removed)), Some(&member(false, Standing::In))] {
            assert_eq!(decide(&local, Some(&join()), before, Wish::Auto), Step::Join);
        }
    }

    #[test]
    fn a_machine_in_a_swarm_stays() {
        let manager = Local { manager: true, cluster: Some("c".into()), ..local(LocalState::Active) };
        assert_eq!(decide(&manager, Some(&join()), None, Wish::Auto), Step::Keep);
        assert_eq!(decide(&manager, None, None, Wish::Auto), Step::Publish);
        assert_eq!(decide(&local(LocalState::Active), Some(&join()), None, Wish::Auto), Step::Keep);
        waits(&decide(&local(LocalState::Active), None, None, Wish::Auto), "manager writes");
        let stranger = Local { cluster: Some("d".into()), ..manager };
        waits(&decide(&stranger, Some(&join()), None, Wish::Auto), "swarm leave");
    }

    #[test]
    fn a_worker_with_an_old_certificate_leaves_and_a_manager_asks_first() {
        let old = error("Swarm certificates have expired. To replace them, leave the swarm and join again.");
        let step = |member: Option<&Member>| decide(&old, Some(&join()), member, Wish::Auto);
        assert_eq!(step(Some(&member(false, Standing::In))), Step::Leave(Lost::Expired));
        assert_eq!(step(Some(&member(true, Standing::In))), Step::AskToBeRemoved);
        waits(&step(Some(&member(true, Standing::LockedOut))), "other managers");
        assert_eq!(step(Some(&member(true, Standing::Removed))), Step::Leave(Lost::Removed));
        waits(&step(None), "--force");
    }

    #[test]
    fn only_who_was_removed_leaves_with_its_vote() {
        for state in [LocalState::Pending, LocalState::Error] {
            let step = |standing| decide(&local(state), Some(&join()), Some(&member(true, standing)), Wish::Auto);
            assert_eq!(step(Standing::Removed), Step::Leave(Lost::Removed));
            assert!(matches!(step(Standing::In), Step::Wait(..)), "{state:?}");
        }
        let another = Local { node: Some(NodeId("new".into())), ..local(LocalState::Pending) };
        let step = decide(&another, Some(&join()), Some(&member(true, Standing::Removed)), Wish::Auto);
        assert!(matches!(step, Step::Wait(..)), "the record is about an earlier node");
        waits(&decide(&error("no route to host"), Some(&join()), Some(&member(true, Standing::In)), Wish::Auto), "no route");
    }

    #[test]
    fn a_locked_manager_waits_for_a_person() {
        waits(&decide(&local(LocalState::Locked), Some(&join()), None, Wish::Auto), "unlock");
    }
}
