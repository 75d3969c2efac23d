use proptest::prelude::*;

use super::*;

/// `+` healthy, `-` not, `r` about to reboot; the first is this machine.
fn members(states: &str) -> Members {
    let voter = |(index, state): (usize, char)| Voter {
        id: index as u64 + 1,
        name: format!("n{}", index + 1),
        healthy: state != '-',
        leaving: state == 'r',
    };
    Members { voters: states.chars().enumerate().map(voter).collect(), me: Some(1), changing: false, leader: Some(1) }
}

#[test]
fn quorum_is_never_given_away() {
    for (states, may) in [
        ("+", true),
        ("++", false),
        ("+++", true),
        // Asked again by the machine that was told yes already.
        ("r++", true),
        ("++-", false),
        ("++r", false),
        ("++++", true),
        ("+++-", false),
        ("+++++", true),
        ("++++-", true),
        ("++++r", true),
        ("+++-r", false),
        ("-++", true),
        ("---", false),
    ] {
        assert_eq!(may_leave(&members(states)).is_ok(), may, "{states}");
    }
}

#[test]
fn who_does_not_vote_may_always_go() {
    let mut cluster = members("---");
    cluster.me = None;
    assert_eq!(may_leave(&cluster), Ok(()));
    assert_eq!(successor(&cluster), None);
}

#[test]
fn nobody_goes_while_members_change() {
    let cluster = Members { changing: true, ..members("+++++") };
    assert!(may_leave(&cluster).unwrap_err().to_string().contains("are being changed"));
}

#[test]
fn the_reason_names_who_is_missing() {
    let text = may_leave(&members("++-r+")).unwrap_err().to_string();
    assert_eq!(
        text,
        "etcd would lose its quorum: 3 of 5 voters are needed and 2 would be left (n3 does not answer, n4 is about to reboot)"
    );
    assert!(may_leave(&members("++")).unwrap_err().to_string().contains("add a voter"));
}

#[test]
fn leadership_goes_to_somebody_who_stays() {
    assert_eq!(successor(&members("+-r+")), Some(4));
    assert_eq!(successor(&members("+-r")), None);
    assert_eq!(successor(&Members { leader: Some(2), ..members("+++") }), None, "this machine does not lead");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Up,
    /// It said that it wants to go, and has not looked at the others yet.
    Asking,
    Granted,
    Down,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Machines that say that they leave, then look at the others, then go, in any order, whatever locks they hold.
    #[test]
    fn no_interleaving_takes_the_quorum(count in 2..8_usize, deeds in proptest::collection::vec((0..8_usize, 0..4_u8), 0..200)) {
        let mut machines = vec![At::Up; count];
        for (machine, deed) in deeds {
            let machine = machine % count;
            let at = machines[machine];
            machines[machine] = match (at, deed) {
                (At::Up, _) => At::Asking,
                (At::Asking, 0..3) => {
                    let voter = |(index, at): (usize, &At)| Voter {
                        id: index as u64,
                        name: String::new(),
                        healthy: *at != At::Down,
                        leaving: *at != At::Up,
                    };
                    let voters = machines.iter().enumerate().map(voter).collect();
                    let seen = Members { voters, me: Some(machine as u64), changing: false, leader: None };
                    if may_leave(&seen).is_ok() { At::Granted } else { At::Up }
                }
                // Gives up, or the client is gone.
                (At::Asking, _) => At::Up,
                (At::Granted, 0..3) => At::Down,
                (At::Granted, _) | (At::Down, _) => At::Up,
            };
            let here = machines.iter().filter(|at| **at != At::Down).count();
            prop_assert!(here > count / 2, "{machines:?}");
        }
    }
}
