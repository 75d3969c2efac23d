//! The keeper's decisions: a table of situations, and what holds in every one of many thousands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cluster_store::Machine;
use proptest::prelude::*;

use super::managers::{Votes, target};
use super::{Action, Why, decide};
use crate::labels;
use crate::plan::Wish;
use crate::record::{Join, Leave, Member, Standing};
use crate::view::{ALONE_PATIENCE, Availability, JOIN_PATIENCE, Node, NodeId, Observed, Role, State, Vote};

const HOUR: Duration = Duration::from_secs(3600);

fn id(number: usize) -> NodeId {
    NodeId(format!("n{number}"))
}

/// A swarm of healthy nodes, the first ones managers, the very first leading, with nothing left to do.
fn swarm(nodes: usize, managers: usize) -> Observed {
    let mut observed = Observed {
        me: id(0),
        cluster: "c".into(),
        managers: 3,
        replace_after: HOUR,
        nodes: Vec::new(),
        down_for: BTreeMap::new(),
        machines: BTreeMap::new(),
        members: BTreeMap::new(),
        voters: BTreeSet::new(),
        leaving: BTreeMap::new(),
        asked_for: BTreeMap::new(),
        alone: BTreeMap::new(),
        stored: None,
        tokens_agree: true,
    };
    for number in 0..nodes {
        add(&mut observed, number, number < managers);
    }
    publish(&mut observed);
    observed
}

fn add(observed: &mut Observed, number: usize, manager: bool) {
    let address = format!("10.0.0.{}", number + 1).parse().unwrap();
    let machine = format!("m{number}");
    observed.nodes.push(Node {
        address: Some(address),
        role: if manager { Role::Manager } else { Role::Worker },
        vote: manager.then(|| Vote { leader: number == 0, reachable: true, address: format!("{address}:2377") }),
        labels: BTreeMap::from([(labels::MACHINE.to_owned(), machine.clone())]),
        ..Node::example(number)
    });
    let member = Member {
        node: Some(id(number)),
        cluster: None,
        manager,
        wish: Wish::Auto,
        labels: BTreeMap::new(),
        standing: Standing::In,
        address,
    };
    observed.machines.insert(machine.clone(), Machine { id: machine.clone(), name: machine.clone(), address, metadata: BTreeMap::new() });
    observed.members.insert(machine, member);
}

/// As if what joiners read were up to date.
fn publish(observed: &mut Observed) {
    if let Some(Action::Publish(join)) = decide(observed) {
        observed.stored = Some(join);
    }
}

/// The machine loses its power.
fn fail(observed: &mut Observed, number: usize, since: Duration) {
    let node = &mut observed.nodes[number];
    node.state = State::Down;
    if let Some(vote) = &mut node.vote {
        vote.reachable = false;
    }
    observed.down_for.insert(id(number), since);
    observed.machines.remove(&format!("m{number}"));
    publish(observed);
}

/// What Docker does after an action, when nothing fails.
fn apply(observed: &mut Observed, action: &Action) {
    let at = |observed: &Observed, id: &NodeId| observed.nodes.iter().position(|node| node.id == *id).unwrap();
    match action {
        Action::Drain(id) | Action::Undrain(id) => {
            let drain = matches!(action, Action::Drain(_));
            let at = at(observed, id);
            let node = &mut observed.nodes[at];
            node.availability = if drain { Availability::Drain } else { Availability::Active };
            if drain {
                node.labels.insert(labels::DRAINED.into(), "reboot".into());
            } else {
                node.labels.remove(labels::DRAINED);
            }
        }
        Action::Acknowledge(id) => drop(observed.leaving.insert(id.clone(), Leave::Drained)),
        Action::Forget(id) => drop(observed.leaving.remove(id)),
        Action::Demote(id, _) => {
            let at = at(observed, id);
            observed.nodes[at].role = Role::Worker;
            let led = observed.nodes[at].vote.take().is_some_and(|vote| vote.leader);
            let next = observed
                .nodes
                .iter_mut()
                .find_map(|node| node.vote.as_mut().filter(|vote| vote.reachable).map(|vote| (node.id.clone(), vote)));
            if let Some((next, vote)) = next.filter(|_| led) {
                vote.leader = true;
                observed.me = next;
            }
        }
        Action::Promote(id) => {
            let at = at(observed, id);
            let node = &mut observed.nodes[at];
            node.role = Role::Manager;
            node.vote = Some(Vote { leader: false, reachable: true, address: format!("{}:2377", node.address.unwrap()) });
        }
        Action::Remove(id, _) => observed.nodes.retain(|node| node.id != *id),
        Action::Label(id, labels) => {
            let at = at(observed, id);
            observed.nodes[at].labels = labels.clone();
        }
        Action::Publish(join) => {
            observed.stored = Some(join.clone());
            observed.tokens_agree = true;
        }
    }
}

/// All actions until nothing is left to do.
fn settle(observed: &mut Observed) -> Vec<Action> {
    let mut done = Vec::new();
    while let Some(action) = decide(observed) {
        apply(observed, &action);
        done.push(action);
        assert!(done.len() < 100, "it never ends: {done:?}");
    }
    done
}

/// `settle`, without what joiners read.
fn check(mut observed: Observed, expected: &[Action]) {
    let done: Vec<Action> = settle(&mut observed).into_iter().filter(|action| !matches!(action, Action::Publish(_))).collect();
    assert_eq!(done, expected);
}

#[test]
fn a_healthy_swarm_is_left_alone() {
    for (nodes, managers) in [(1, 1), (2, 1), (3, 3), (5, 3), (20, 3)] {
        check(swarm(nodes, managers), &[]);
    }
}

#[test]
fn workers_become_managers_while_managers_are_missing() {
    check(swarm(3, 1), &[Action::Promote(id(1)), Action::Promote(id(2))]);
    check(swarm(5, 2), &[Action::Promote(id(2))]);
    let mut five = swarm(5, 3);
    five.managers = 5;
    check(five, &[Action::Promote(id(3)), Action::Promote(id(4))]);
}

#[test]
fn voters_of_etcd_and_other_zones_come_first() {
    let mut observed = swarm(5, 1);
    observed.voters = BTreeSet::from(["m3".into(), "m4".into()]);
    check(observed.clone(), &[Action::Promote(id(3)), Action::Promote(id(4))]);
    observed.voters.clear();
    for (number, zone) in ["a", "a", "a", "b", "c"].into_iter().enumerate() {
        observed.nodes[number].labels.insert("zone".into(), zone.into());
    }
    check(observed, &[Action::Promote(id(3)), Action::Promote(id(4))]);
}

#[test]
fn an_even_number_of_managers_becomes_odd() {
    check(swarm(2, 2), &[Action::Demote(id(1), Why::Surplus)]);
    check(swarm(4, 4), &[Action::Demote(id(3), Why::Surplus)]);
}

#[test]
fn a_second_manager_keeps_its_seat_while_a_third_machine_is_about_to_join() {
    let mut observed = swarm(2, 2);
    let third = Machine { id: "m2".into(), name: "m2".into(), address: [10, 0, 0, 3].into(), metadata: BTreeMap::new() };
    observed.machines.insert("m2".into(), third);
    check(observed.clone(), &[]);
    observed.members.get_mut("m1").unwrap().wish = Wish::Worker;
    check(observed.clone(), &[Action::Demote(id(1), Why::Surplus)]);
    let mut many = swarm(4, 4);
    many.machines.extend(observed.machines);
    many.machines
        .insert("m9".into(), Machine { id: "m9".into(), name: "m9".into(), address: [10, 0, 0, 9].into(), metadata: BTreeMap::new() });
    check(many, &[Action::Demote(id(3), Why::Surplus)]);
}

#[test]
fn who_asked_to_be_a_manager_and_never_came_takes_nobodys_seat() {
    let mut observed = swarm(4, 2);
    let ghost = &mut observed.nodes[3];
    (ghost.role, ghost.vote, ghost.state) = (Role::Manager, None, State::Unknown);
    ghost.labels.clear();
    observed.members.remove("m3");
    observed.machines.remove("m3");
    observed.down_for.insert(id(3), JOIN_PATIENCE - Duration::from_secs(1));
    check(observed.clone(), &[]);
    observed.down_for.insert(id(3), JOIN_PATIENCE);
    check(observed, &[Action::Promote(id(2)), Action::Demote(id(3), Why::Surplus)]);
}

#[test]
fn who_wants_to_be_a_worker_becomes_one_after_another_has_taken_its_seat() {
    let mut observed = swarm(4, 3);
    observed.members.get_mut("m0").unwrap().wish = Wish::Worker;
    check(observed, &[Action::Promote(id(3)), Action::Demote(id(0), Why::Surplus)]);
    let mut alone = swarm(1, 1);
    alone.members.get_mut("m0").unwrap().wish = Wish::Worker;
    check(alone, &[]);
}

#[test]
fn who_wants_to_be_a_manager_becomes_one_beyond_the_number() {
    let mut observed = swarm(5, 3);
    observed.managers = 1;
    for machine in ["m0", "m3"] {
        observed.members.get_mut(machine).unwrap().wish = Wish::Manager;
    }
    check(observed, &[Action::Promote(id(3)), Action::Demote(id(2), Why::Surplus)]);
}

#[test]
fn a_dead_manager_is_replaced_after_a_while() {
    let mut observed = swarm(4, 3);
    fail(&mut observed, 2, HOUR - Duration::from_secs(1));
    check(observed.clone(), &[]);
    observed.down_for.insert(id(2), HOUR);
    check(observed, &[Action::Demote(id(2), Why::Gone), Action::Remove(id(2), Why::Gone), Action::Promote(id(3))]);
}

#[test]
fn a_machine_that_is_in_etcd_is_not_dead() {
    let mut observed = swarm(4, 3);
    fail(&mut observed, 3, HOUR * 100);
    let address = "10.0.0.4".parse().unwrap();
    observed.machines.insert("m3".into(), Machine { id: "m3".into(), name: "m3".into(), address, metadata: BTreeMap::new() });
    check(observed.clone(), &[]);
    observed.members.get_mut("m3").unwrap().standing = Standing::LockedOut;
    check(observed, &[Action::Remove(id(3), Why::LockedOut)]);
}

#[test]
fn a_node_that_a_person_brought_stays() {
    let mut observed = swarm(4, 3);
    fail(&mut observed, 3, HOUR * 100);
    observed.members.remove("m3");
    observed.nodes[3].labels.clear();
    check(observed, &[]);
}

#[test]
fn without_a_majority_nothing_is_given_away() {
    let mut observed = swarm(4, 3);
    fail(&mut observed, 1, HOUR * 2);
    fail(&mut observed, 2, HOUR * 2);
    check(observed, &[]);
}

#[test]
fn nothing_happens_while_a_role_changes() {
    let mut observed = swarm(5, 3);
    observed.managers = 5;
    observed.nodes[3].role = Role::Manager;
    publish(&mut observed);
    check(observed, &[]);
    let mut observed = swarm(5, 3);
    fail(&mut observed, 1, HOUR * 2);
    observed.nodes[2].role = Role::Worker;
    check(observed, &[]);
}

#[test]
fn the_ghost_of_a_machine_that_was_installed_again_goes_at_once() {
    let mut same_address = swarm(5, 3);
    fail(&mut same_address, 3, Duration::ZERO);
    same_address.nodes[4].address = same_address.nodes[3].address;
    check(same_address, &[Action::Remove(id(3), Why::Reinstalled)]);

    let mut same_machine = swarm(4, 3);
    fail(&mut same_machine, 2, Duration::ZERO);
    same_machine.members.remove("m2");
    add(&mut same_machine, 9, false);
    same_machine.members.get_mut("m9").unwrap().node = None;
    let machine = same_machine.machines.remove("m9").unwrap();
    same_machine.machines.insert("m2".into(), machine);
    let member = same_machine.members.remove("m9").unwrap();
    same_machine.members.insert("m2".into(), Member { node: Some(id(9)), ..member });
    same_machine.nodes[4].labels.insert(labels::MACHINE.into(), "m2".into());
    check(same_machine, &[Action::Demote(id(2), Why::Reinstalled), Action::Remove(id(2), Why::Reinstalled), Action::Promote(id(3))]);
}

#[test]
fn the_same_address_proves_nothing_while_the_machine_is_there() {
    let mut observed = swarm(5, 3);
    observed.nodes[3].state = State::Down;
    observed.nodes[4].address = observed.nodes[3].address;
    check(observed, &[]);
}

#[test]
fn a_reboot_drains_and_brings_back() {
    let mut observed = swarm(3, 3);
    observed.leaving.insert(id(1), Leave::Asked);
    check(observed.clone(), &[Action::Drain(id(1)), Action::Acknowledge(id(1))]);
    settle(&mut observed);
    assert!(observed.nodes[1].labels.contains_key(labels::DRAINED));
    observed.leaving.insert(id(1), Leave::Back);
    check(observed, &[Action::Undrain(id(1)), Action::Forget(id(1))]);
}

#[test]
fn what_runs_nowhere_else_is_waited_for_and_not_for_ever() {
    let mut observed = swarm(3, 3);
    observed.leaving.insert(id(1), Leave::Asked);
    observed.alone.insert(id(1), BTreeSet::from(["web".to_owned()]));
    check(observed.clone(), &[]);
    observed.asked_for.insert(id(1), ALONE_PATIENCE - Duration::from_secs(1));
    check(observed.clone(), &[]);
    // Others do not wait for it.
    let mut both = observed.clone();
    both.leaving.insert(id(2), Leave::Asked);
    check(both, &[Action::Drain(id(2)), Action::Acknowledge(id(2))]);
    let drains = [Action::Drain(id(1)), Action::Acknowledge(id(1))];
    check(Observed { alone: BTreeMap::new(), ..observed.clone() }, &drains);
    observed.asked_for.insert(id(1), ALONE_PATIENCE);
    check(observed.clone(), &drains);
    // A person drained it: there is nothing to keep any more.
    observed.asked_for.clear();
    observed.nodes[1].availability = Availability::Drain;
    check(observed, &[Action::Acknowledge(id(1))]);
}

#[test]
fn a_drain_of_a_person_is_not_undone() {
    let mut observed = swarm(3, 3);
    observed.nodes[1].availability = Availability::Drain;
    observed.leaving.insert(id(1), Leave::Asked);
    check(observed.clone(), &[Action::Acknowledge(id(1))]);
    observed.leaving.insert(id(1), Leave::Back);
    settle(&mut observed);
    assert_eq!(observed.nodes[1].availability, Availability::Drain);
    assert_eq!(observed.leaving, BTreeMap::new());
}

#[test]
fn a_drain_that_a_person_ended_stays_ended() {
    let mut observed = swarm(3, 3);
    observed.leaving.insert(id(1), Leave::Drained);
    observed.nodes[1].labels.insert(labels::DRAINED.into(), "reboot".into());
    check(observed, &[]);
}

#[test]
fn a_mark_whose_wish_was_lost_is_undone_when_the_node_is_there() {
    let mut observed = swarm(3, 3);
    observed.nodes[1].availability = Availability::Drain;
    observed.nodes[1].labels.insert(labels::DRAINED.into(), "reboot".into());
    check(observed.clone(), &[Action::Undrain(id(1))]);
    fail(&mut observed, 1, Duration::ZERO);
    check(observed, &[]);
}

#[test]
fn labels_follow_the_metadata_and_the_plan() {
    let mut observed = swarm(2, 1);
    observed.machines.get_mut("m1").unwrap().metadata = BTreeMap::from([("frontend".into(), "true".into()), ("zone".into(), "x".into())]);
    observed.members.get_mut("m1").unwrap().labels = BTreeMap::from([("zone".into(), "a".into())]);
    settle(&mut observed);
    assert_eq!(observed.nodes[1].labels["frontend"], "true");
    assert_eq!(observed.nodes[1].labels["zone"], "a", "the plan wins");
    let before = observed.nodes[1].labels.clone();
    fail(&mut observed, 1, Duration::ZERO);
    settle(&mut observed);
    assert_eq!(observed.nodes[1].labels, before, "what an absent machine wants is not known");
}

#[test]
fn joiners_read_the_managers_that_answer() {
    let mut observed = swarm(3, 3);
    observed.nodes[2].vote.as_mut().unwrap().reachable = false;
    let expected = Join { cluster: "c".into(), managers: vec!["10.0.0.1:2377".into(), "10.0.0.2:2377".into()] };
    assert_eq!(decide(&observed), Some(Action::Publish(expected)));
    let mut observed = swarm(3, 3);
    observed.tokens_agree = false;
    assert!(matches!(decide(&observed), Some(Action::Publish(_))));
}

#[test]
fn only_the_leader_of_the_swarm_that_etcd_knows_does_anything() {
    let mut observed = swarm(3, 1);
    observed.me = id(1);
    assert_eq!(decide(&observed), None);
    let mut observed = swarm(3, 1);
    observed.stored = Some(Join { cluster: "another".into(), managers: Vec::new() });
    assert_eq!(decide(&observed), None);
}

/// What can be true of a node, in numbers that `arbitrary` reads.
fn arbitrary() -> impl Strategy<Value = Observed> {
    let node = (0..4_u8, 0..8_u8, 0..4_u8, 0..8_u8, 0..4_u8, 0..200_u64);
    (prop::collection::vec(node, 1..9), 0..9_u32).prop_map(|(nodes, managers)| {
        let mut observed = swarm(nodes.len(), 0);
        observed.managers = managers;
        for (number, (role, health, wish, presence, leave, minutes)) in nodes.into_iter().enumerate() {
            let machine = format!("m{number}");
            let up = number == 0 || health < 5;
            {
                let node = &mut observed.nodes[number];
                let manager = number == 0 || role == 0;
                node.role = if manager { Role::Manager } else { Role::Worker };
                let address = format!("{}:2377", node.address.unwrap());
                node.vote = manager.then_some(Vote { leader: number == 0, reachable: up, address });
                node.state = if up { State::Ready } else { State::Down };
            }
            // Now and then a change is under way.
            if number > 0 && role == 1 && health == 0 {
                observed.nodes[number].role = Role::Manager;
            }
            observed.members.get_mut(&machine).unwrap().wish = [Wish::Auto, Wish::Auto, Wish::Manager, Wish::Worker][wish as usize];
            if !up {
                observed.down_for.insert(id(number), Duration::from_secs(minutes * 60));
                if presence < 5 {
                    observed.machines.remove(&machine);
                }
                if presence == 5 {
                    observed.members.get_mut(&machine).unwrap().standing = Standing::LockedOut;
                }
            }
            if presence == 6 {
                observed.members.remove(&machine);
                observed.nodes[number].labels.clear();
            }
            match leave {
                1 => drop(observed.leaving.insert(id(number), Leave::Asked)),
                2 => drop(observed.leaving.insert(id(number), Leave::Back)),
                _ => {}
            }
        }
        observed
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_majority_is_never_given_away(mut observed in arbitrary()) {
        for _ in 0..200 {
            let before = Votes::of(&observed.nodes);
            let changing = observed.is_changing();
            let Some(action) = decide(&observed) else { return Ok(()) };
            if let Action::Promote(_) | Action::Demote(..) = action {
                prop_assert!(before.have_quorum(), "{action} without a majority");
                prop_assert!(!changing, "{action} while another role changes");
            }
            if let Action::Remove(id, _) = &action {
                let node = observed.node(id).unwrap();
                prop_assert!(node.state == State::Down && node.vote.is_none() && !node.is_manager(), "{action}");
                prop_assert!(observed.owner(node).is_some(), "{action}: it is nobody's");
                prop_assert!(observed.is_locked_out(node) || !observed.is_claimed(node), "{action}: its machine is there");
            }
            let nodes = observed.nodes.len();
            apply(&mut observed, &action);
            let after = Votes::of(&observed.nodes);
            prop_assert!(after.total > 0);
            prop_assert!(after.total.abs_diff(before.total) + (nodes - observed.nodes.len()) <= 1, "{action} is more than one change");
            prop_assert!(after.have_quorum() || !before.have_quorum(), "{action} gave the majority away");
            // Each vote that is lost to nobody's good makes the swarm weaker; only votes that were dead may go then.
            let spare = |votes: Votes| votes.reachable as i64 - super::managers::quorum(votes.total) as i64;
            prop_assert!(before.all_there() || spare(after) >= spare(before), "{action} made a weak swarm weaker");
        }
        prop_assert!(false, "it never ends");
    }

    #[test]
    fn healthy_nodes_end_with_an_odd_number_of_managers(nodes in 1_usize..9, managers in 1_usize..9, wanted in 0_u32..9) {
        let mut observed = swarm(nodes, managers.min(nodes));
        observed.managers = wanted;
        settle(&mut observed);
        prop_assert_eq!(Votes::of(&observed.nodes).total, target(wanted, nodes));
    }
}
