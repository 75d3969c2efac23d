use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::etcd::seen::Was;

const LIMIT: Duration = Duration::from_secs(600);
const RUNS: Option<Running> = Some(Running { restarts: 0 });

fn seat(number: usize) -> Seat {
    Seat { name: format!("n{number}"), peer_url: format!("http://10.0.0.{number}:2380") }
}

fn member(number: usize, health: Health) -> Member {
    let Seat { name, peer_url } = seat(number);
    Member {
        id: number as u64,
        name,
        peer_urls: vec![peer_url],
        client_urls: vec![format!("http://10.0.0.{number}:2379")],
        learner: false,
        health,
    }
}

fn live(members: Vec<Member>) -> Option<Live> {
    Some(Live { cluster: 7, members })
}

fn healthy(numbers: impl IntoIterator<Item = usize>) -> Vec<Member> {
    numbers.into_iter().map(|number| member(number, Health::Healthy)).collect()
}

/// Machine 1 of a cluster for three, with nothing on it.
fn fresh() -> Seen {
    Seen {
        me: seat(1),
        role: Role::Auto,
        data: false,
        running: None,
        was: None,
        size: Some(3),
        live: None,
        remembered: BTreeMap::new(),
        roster: Ok(Roster { size: 3, seats: vec![seat(1), seat(2), seat(3)] }),
        neighbours: [2, 3].map(|number| (seat(number).peer_url, Neighbour::Fresh)).into(),
        replace_after: Some(LIMIT),
    }
}

fn standby() -> Seen {
    Seen { me: seat(4), live: live(healthy(1..=3)), ..fresh() }
}

/// The step in one word, and what it says.
fn told(seen: &Seen) -> (String, String) {
    match decide(seen) {
        Step::Wait { state, reason } => (state.to_owned(), reason),
        Step::Client(reason) => ("client".to_owned(), reason),
        Step::Member(reason) => ("member".to_owned(), reason),
        Step::TakeSeat { remove, why } => (format!("take {remove:?}"), why),
        Step::Drop { learner, why } => (format!("drop {learner}"), why),
        other => (format!("{other:?}"), String::new()),
    }
}

#[track_caller]
fn check(seen: &Seen, state: &str, words: &str) {
    let (found, reason) = told(seen);
    assert_eq!(found, state, "{reason}");
    assert!(reason.contains(words), "{reason}");
}

#[test]
fn a_cluster_is_founded_when_every_seat_is_new() {
    assert_eq!(decide(&fresh()), Step::Found(vec![seat(1), seat(2), seat(3)]));
    let late = Seen { neighbours: [(seat(2).peer_url, Neighbour::Awaits), (seat(3).peer_url, Neighbour::Fresh)].into(), ..fresh() };
    assert!(matches!(decide(&late), Step::Found(_)), "the others were a moment earlier");
    let alone = Seen { roster: Ok(Roster { size: 1, seats: vec![seat(1)] }), neighbours: BTreeMap::new(), ..fresh() };
    assert_eq!(decide(&alone), Step::Found(vec![seat(1)]));
}

#[test]
fn nothing_is_founded_otherwise() {
    let roster = |size, numbers: &[usize]| Ok(Roster { size, seats: numbers.iter().map(|number| seat(*number)).collect() });
    let says = |what| BTreeMap::from([(seat(2).peer_url, what), (seat(3).peer_url, Neighbour::Fresh)]);
    check(&Seen { roster: Err("discovery is away".to_owned()), ..fresh() }, "waiting", "discovery is away");
    check(&Seen { roster: roster(3, &[1, 2]), ..fresh() }, "waiting", "2 of 3 machines are there");
    check(&Seen { roster: roster(3, &[1, 1, 2]), ..fresh() }, "waiting", "two machines are called n1");
    check(&Seen { roster: roster(3, &[2, 3, 4]), ..fresh() }, "waiting", "others");
    check(&Seen { role: Role::Client, ..fresh() }, "waiting", "others");
    check(&Seen { neighbours: says(Neighbour::Silent), ..fresh() }, "waiting", "until n2 answers");
    check(&Seen { neighbours: says(Neighbour::Knows), ..fresh() }, "waiting", "its data is gone; n2 cannot");
    check(&Seen { neighbours: BTreeMap::new(), ..fresh() }, "waiting", "n2 and n3");
}

#[test]
fn data_is_started_as_it_is() {
    let stored = Seen { data: true, roster: Err("away".to_owned()), ..fresh() };
    assert_eq!(decide(&stored), Step::Start);
    check(&Seen { running: RUNS, ..stored.clone() }, "starting", "no quorum");
    for (restarts, state, words) in [(RESTARTS_ODD - 1, "starting", "no quorum"), (RESTARTS_ODD, "failing", "ended 3 times")] {
        let running = Some(Running { restarts });
        check(&Seen { running, ..stored.clone() }, state, words);
    }
    check(&Seen { data: false, running: Some(Running { restarts: 9 }), ..stored.clone() }, "failing", "journalctl -u etcd");
    check(&Seen { running: RUNS, live: live(healthy(1..=3)), ..stored.clone() }, "member", "all 3 members are well");
    let was = Some(Was { cluster: 7, member: 1 });
    let removed = Seen { was, live: live(healthy(2..=4)), ..stored };
    assert_eq!(decide(&removed), Step::Retire);
    assert_eq!(decide(&Seen { running: RUNS, ..removed.clone() }), Step::Retire);
    let foreign = Seen { running: RUNS, was: Some(Was { cluster: 8, member: 1 }), ..removed };
    check(&foreign, "foreign", "rejoin");
    let asleep = Seen { running: None, ..foreign };
    check(&asleep, "foreign", "rejoin");
    let nobody_answers = Seen { live: None, ..asleep };
    assert_eq!(decide(&nobody_answers), Step::Start, "only somebody who answers shows that the cluster began again");
}

#[test]
fn a_member_on_its_way_in_votes_when_it_can() {
    let mut members = healthy(1..=3);
    members[0].learner = true;
    let learner = Seen { data: true, running: RUNS, live: live(members.clone()), ..fresh() };
    assert_eq!(decide(&learner), Step::Promote(1));
    members[0].client_urls.clear();
    members[0].name.clear();
    assert_eq!(decide(&Seen { live: live(members), ..fresh() }), Step::Join, "killed before etcd was ever started");
}

#[test]
fn a_machine_without_its_data_takes_its_own_seat_again() {
    let mut members = healthy(1..=3);
    members[0].health = Health::Silent(Duration::ZERO);
    check(&Seen { live: live(members.clone()), ..fresh() }, "take Some(1)", "its data is gone");
    check(&Seen { role: Role::Client, live: live(members.clone()), ..fresh() }, "client", "never votes");
    // The new disk has a new machine-id, and so another name.
    let me = Seat { name: "other".to_owned(), ..seat(1) };
    check(&Seen { me, live: live(members.clone()), ..fresh() }, "take Some(1)", "its data is gone");
    let mut early = members.clone();
    early[0].health = Health::Sick;
    check(&Seen { live: live(early), ..fresh() }, "joining", "still thinks");
    members[1].health = Health::Sick;
    check(&Seen { live: live(members.clone()), ..fresh() }, "client", "while n2 is not well");
    members[1] = Member { learner: true, ..member(2, Health::Healthy) };
    check(&Seen { live: live(members), ..fresh() }, "client", "one comes at a time");
    let twin = Seen { me: Seat { peer_url: "http://10.0.0.9:2380".to_owned(), ..seat(1) }, live: live(healthy(1..=3)), ..fresh() };
    check(&twin, "client", "another machine is called n1");
}

#[test]
fn a_standby_replaces_the_dead_and_nobody_else() {
    check(&standby(), "client", "all 3 seats are taken");
    check(&Seen { live: live(healthy(1..=2)), ..standby() }, "take None", "2 of 3 seats");
    check(&Seen { live: live(healthy(1..=2)), role: Role::Client, ..standby() }, "client", "never votes");
    check(&Seen { me: seat(6), live: live(healthy(1..=5)), size: None, ..standby() }, "client", "all 5 seats");
    for (health, replace_after, state) in [
        (Health::Silent(LIMIT), Some(LIMIT), "take Some(2)"),
        (Health::Silent(LIMIT - Duration::from_secs(1)), Some(LIMIT), "client"),
        (Health::Silent(LIMIT), None, "client"),
        (Health::Sick, Some(LIMIT), "client"),
    ] {
        let mut members = healthy(1..=3);
        members[1].health = health;
        check(&Seen { live: live(members.clone()), replace_after, ..standby() }, state, "n2");
        members[2].health = Health::Silent(Duration::ZERO);
        check(&Seen { live: live(members), replace_after, ..standby() }, "client", "n");
    }
}

#[test]
fn without_a_quorum_nothing_changes_and_the_reason_names_who_is_away() {
    let remembered = BTreeMap::from([("n1".to_owned(), true), ("n2".to_owned(), false), ("n3".to_owned(), false)]);
    let lost = Seen { data: true, running: RUNS, remembered, ..fresh() };
    check(&lost, "no-quorum", "2 of 3 members do not answer (n2, n3); nothing is changed by itself");
    check(&Seen { data: false, running: None, ..lost }, "no-quorum", "recover");
}

#[test]
fn who_went_away_on_the_way_in_is_taken_out() {
    let mut members = healthy(1..=3);
    members.push(Member { learner: true, ..member(4, Health::Silent(LIMIT)) });
    let voter = Seen { data: true, running: RUNS, live: live(members.clone()), ..fresh() };
    check(&voter, "drop 4", "has not answered for 10m");
    check(&Seen { replace_after: None, ..voter.clone() }, "member", "well");
    members[1].health = Health::Sick;
    check(&Seen { live: live(members), ..voter }, "member", "not n2");
}

fn any_health() -> impl Strategy<Value = Health> {
    prop_oneof![
        3 => Just(Health::Healthy),
        1 => Just(Health::Sick),
        2 => (0u64..1200).prop_map(|seconds| Health::Silent(Duration::from_secs(seconds))),
    ]
}

fn any_member() -> impl Strategy<Value = (Health, bool, bool)> {
    (any_health(), prop::bool::weighted(0.15), prop::bool::weighted(0.9))
}

prop_compose! {
    fn any_seen()(
        members in prop::collection::vec(any_member(), 0..7),
        me in 1usize..8,
        (data, running, votes, live_is_there) in (any::<bool>(), prop::option::of(0u32..5), prop::bool::weighted(0.8), prop::bool::weighted(0.8)),
        was in prop::option::of((6u64..8, 1u64..8)),
        size in prop::option::of(1usize..6),
        limit in prop::option::of(60u64..1000),
        said in prop::collection::vec(0usize..4, 2),
        answers in prop::collection::vec(any::<bool>(), 0..4),
    ) -> Seen {
        const SAID: [Neighbour; 4] = [Neighbour::Fresh, Neighbour::Awaits, Neighbour::Knows, Neighbour::Silent];
        let members = members.into_iter().enumerate().map(|(index, (health, learner, has_run))| {
            let known = member(index + 1, health);
            let client_urls = if has_run { known.client_urls.clone() } else { Vec::new() };
            Member { learner, client_urls, ..known }
        });
        Seen {
            me: seat(me),
            role: if votes { Role::Auto } else { Role::Client },
            data,
            running: running.map(|restarts| Running { restarts }),
            was: was.map(|(cluster, member)| Was { cluster, member }),
            size,
            live: live_is_there.then(|| Live { cluster: 7, members: members.collect() }),
            remembered: answers.into_iter().enumerate().map(|(index, answers)| (format!("n{index}"), answers)).collect(),
            neighbours: [2, 3].into_iter().zip(said).map(|(number, said)| (seat(number).peer_url, SAID[said])).collect(),
            replace_after: limit.map(Duration::from_secs),
            ..fresh()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5000))]

    #[test]
    fn the_rules_hold_whatever_is_seen(seen in any_seen()) {
        let step = decide(&seen);
        match (&step, &seen.live) {
            (Step::TakeSeat { remove, .. }, Some(live)) => {
                prop_assert!(!seen.data && seen.role == Role::Auto);
                let left: Vec<_> = live.members.iter().filter(|member| Some(member.id) != *remove).collect();
                prop_assert!(left.iter().all(|member| !member.learner), "two changes at once");
                prop_assert!(left.iter().all(|member| member.health == Health::Healthy), "somebody else is not well");
                // After the removal a quorum of those who are left is a quorum that answers; before it, too.
                let healthy = live.voters().filter(|voter| voter.health == Health::Healthy).count();
                prop_assert!(left.len() > left.len() / 2 && !left.is_empty());
                prop_assert!(healthy > 0);
                if let Some(gone) = remove.and_then(|id| live.members.iter().find(|member| member.id == id)) {
                    let own = gone.peer_urls.contains(&seen.me.peer_url) || gone.name == seen.me.name;
                    let dead = seen.replace_after.is_some_and(|limit| silent_for(gone, limit));
                    prop_assert!(own || dead, "removes who is neither dead nor ourselves");
                    prop_assert!(matches!(gone.health, Health::Silent(_)), "removes a voter that answers");
                }
            }
            (Step::Drop { learner, .. }, Some(live)) => {
                let gone = live.members.iter().find(|member| member.id == *learner);
                prop_assert!(gone.is_some_and(|gone| gone.learner && matches!(gone.health, Health::Silent(_))));
                prop_assert!(live.voters().all(|voter| voter.health == Health::Healthy));
            }
            (Step::TakeSeat { .. } | Step::Drop { .. } | Step::Promote(_) | Step::Retire | Step::Join, None) => {
                prop_assert!(false, "{step:?} without a quorum");
            }
            (Step::Found(seats), _) => {
                prop_assert!(!seen.data && seen.live.is_none() && seen.remembered.is_empty() && seats.len() == 3);
                let new = |said: &Neighbour| matches!(said, Neighbour::Fresh | Neighbour::Awaits);
                prop_assert!(seen.neighbours.values().all(new));
            }
            (Step::Start, live) => {
                prop_assert!(seen.data && seen.running.is_none());
                let began_again = live.as_ref().zip(seen.was).is_some_and(|(live, was)| live.cluster != was.cluster);
                prop_assert!(!began_again, "an old member starts beside the new cluster");
            }
            _ => {}
        }
    }

    #[test]
    fn data_is_never_given_up_but_for_a_quorum_that_says_so(seen in any_seen()) {
        if decide(&seen) == Step::Retire {
            let (live, was) = (seen.live.unwrap(), seen.was.unwrap());
            prop_assert!(live.cluster == was.cluster && live.members.iter().all(|member| member.id != was.member));
        }
    }
}
