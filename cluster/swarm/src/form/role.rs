//! Whether a machine that joins becomes a manager.

use std::collections::{BTreeMap, BTreeSet};

use crate::keeper::managers::target;
use crate::plan::Wish;
use crate::record::{Member, Standing};
use crate::view::Role;

/// What a machine that joins looks at, under the lock.
#[derive(Debug, Clone)]
pub struct Applicant<'a> {
    /// Its id.
    pub machine: &'a str,
    /// What it wants.
    pub wish: Wish,
    /// How many managers are wanted.
    pub managers: u32,
    /// Machines that are there.
    pub present: &'a BTreeSet<String>,
    /// What machines say about themselves.
    pub members: &'a BTreeMap<String, Member>,
    /// Machines that vote in etcd.
    pub voters: &'a BTreeSet<String>,
}

/// The role to join with. Seats are kept for voters of etcd that are about to come; the keeper corrects what was guessed wrongly.
#[must_use]
pub fn role(applicant: &Applicant<'_>) -> Role {
    match applicant.wish {
        Wish::Manager => return Role::Manager,
        Wish::Worker => return Role::Worker,
        Wish::Auto => {}
    }
    let others = || applicant.members.iter().filter(|(machine, _)| *machine != applicant.machine);
    // A machine that died on the way in holds no seat.
    let holds = |machine: &str, member: &Member| {
        member.manager && member.standing == Standing::In && (member.node.is_some() || applicant.present.contains(machine))
    };
    let seated = others().filter(|(machine, member)| holds(machine, member)).count();
    let workers = others().filter(|(machine, member)| member.wish == Wish::Worker && applicant.present.contains(*machine)).count();
    let able = applicant.present.len().saturating_sub(workers).max(seated + 1);
    let free = target(applicant.managers, able).saturating_sub(seated);
    let expected = applicant.voters.iter().filter(|machine| {
        *machine != applicant.machine && applicant.present.contains(*machine) && !applicant.members.contains_key(*machine)
    });
    let reserved = if applicant.voters.contains(applicant.machine) { 0 } else { expected.count() };
    if free > reserved { Role::Manager } else { Role::Worker }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(manager: bool) -> Member {
        Member {
            node: Some(crate::view::NodeId("n".into())),
            cluster: None,
            manager,
            wish: Wish::Auto,
            labels: BTreeMap::new(),
            standing: Standing::In,
            address: [10, 0, 0, 1].into(),
        }
    }

    /// `present`, `managers`, `workers` and `voters` are machines by their letters.
    fn check(who: &str, wanted: u32, present: &str, managers: &str, workers: &str, voters: &str, expected: Role) {
        let set = |text: &str| text.chars().map(String::from).collect::<BTreeSet<String>>();
        let mut members: BTreeMap<String, Member> = set(managers).into_iter().map(|machine| (machine, member(true))).collect();
        members.extend(set(workers).into_iter().map(|machine| (machine, member(false))));
        let (present, voters) = (set(present), set(voters));
        let applicant =
            Applicant { machine: who, wish: Wish::Auto, managers: wanted, present: &present, members: &members, voters: &voters };
        assert_eq!(role(&applicant), expected, "{who} of {present:?}, managers {managers}, voters {voters:?}");
        assert_eq!(role(&Applicant { wish: Wish::Worker, ..applicant.clone() }), Role::Worker);
        assert_eq!(role(&Applicant { wish: Wish::Manager, ..applicant }), Role::Manager);
    }

    #[test]
    fn seats_are_taken_until_there_are_enough() {
        use Role::{Manager, Worker};
        check("b", 3, "abc", "a", "", "abc", Manager);
        check("c", 3, "abc", "ab", "", "abc", Manager);
        check("d", 3, "abcd", "abc", "", "abc", Worker);
        check("d", 5, "abcde", "abc", "", "abc", Manager);
        check("b", 1, "abc", "a", "", "abc", Worker);
    }

    #[test]
    fn two_machines_have_one_manager() {
        check("b", 3, "ab", "a", "", "ab", Role::Worker);
        check("c", 3, "abc", "a", "b", "abc", Role::Manager);
        check("d", 3, "abcd", "ab", "", "abd", Role::Manager);
    }

    #[test]
    fn voters_of_etcd_find_their_seats_free() {
        check("d", 3, "abcd", "a", "", "abc", Role::Worker);
        check("d", 3, "abcd", "ab", "", "abc", Role::Worker);
        check("c", 3, "abcd", "ab", "d", "abc", Role::Manager);
        check("d", 3, "abd", "ab", "", "abc", Role::Manager);
    }

    #[test]
    fn who_died_on_the_way_in_holds_no_seat() {
        let present = BTreeSet::from(["a", "c", "d"].map(String::from));
        let mut members = BTreeMap::from([("a".to_owned(), member(true)), ("b".to_owned(), Member { node: None, ..member(true) })]);
        let voters = BTreeSet::new();
        let seat = |members: &BTreeMap<String, Member>| {
            role(&Applicant { machine: "c", wish: Wish::Auto, managers: 3, present: &present, members, voters: &voters })
        };
        assert_eq!(seat(&members), Role::Manager);
        members.insert("d".into(), Member { node: None, ..member(true) });
        assert_eq!(seat(&members), Role::Manager);
        members.insert("b".into(), Member { standing: Standing::Removed, ..member(true) });
        assert_eq!(seat(&members), Role::Manager);
        members.insert("b".into(), member(true));
        assert_eq!(seat(&members), Role::Worker);
    }
}
