use proptest::prelude::*;

use super::*;

fn seen(max: u32, holders: &[&str], alive: &[&str]) -> Seen {
    let texts = |list: &[&str]| list.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    Seen { semaphore: Semaphore { max, holders: texts(holders) }, revision: 7, alive: texts(alive).into_iter().collect() }
}

#[test]
fn the_json_is_locksmiths() {
    let mut semaphore = Semaphore::new(2);
    assert_eq!(semaphore.to_json(), r#"{"semaphore":2,"max":2,"holders":[]}"#);
    semaphore.holders = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
    assert_eq!(semaphore.to_json(), r#"{"semaphore":-1,"max":2,"holders":["a","b","c"]}"#);
    assert_eq!(Semaphore::parse(semaphore.to_json().as_bytes()).unwrap(), semaphore);
    // What locksmith writes before anybody held it, and what a person may have broken.
    for (json, max, holders) in [
        (r#"{"semaphore":1,"max":1,"holders":null}"#, 1, 0),
        (r#"{"semaphore":99,"max":3,"holders":["a"]}"#, 3, 1),
        (r#"{"semaphore":0,"max":0,"holders":["a","a"]}"#, 1, 1),
    ] {
        let semaphore = Semaphore::parse(json.as_bytes()).unwrap();
        assert_eq!((semaphore.max, semaphore.holders.len()), (max, holders), "{json}");
    }
}

#[test]
fn what_is_no_semaphore_is_no_free_semaphore() {
    let large = format!(r#"{{"semaphore":1,"max":1,"holders":["{}"]}}"#, "a".repeat(VALUE_MAX));
    for json in
        ["", "1", "{}", r#"{"max":1}"#, r#"{"semaphore":1,"max":-1,"holders":[]}"#, r#"{"semaphore":1,"max":1,"holders":[1]}"#, &large]
    {
        assert!(Semaphore::parse(json.as_bytes()).is_err(), "{json:.60}");
    }
}

#[test]
fn one_at_a_time_and_as_often_as_one_likes() {
    assert_eq!(take(&seen(1, &[], &[]), "a"), Taking::With(Change { becomes: seen(1, &["a"], &[]).semaphore, dropped: Vec::new() }));
    assert_eq!(take(&seen(1, &["a"], &["a"]), "a"), Taking::Already);
    assert_eq!(take(&seen(1, &["a"], &["a"]), "b"), Taking::Full { holders: vec!["a".to_owned()] });
}

#[test]
fn the_dead_make_room_and_nobody_else_does() {
    let Taking::With(change) = take(&seen(2, &["a", "b"], &["b"]), "c") else { panic!("no room") };
    assert_eq!((change.becomes.holders, change.dropped), (vec!["b".to_owned(), "c".to_owned()], vec!["a".to_owned()]));
    // Whose own lease is over must take its turn like anybody.
    let Taking::With(change) = take(&seen(1, &["a"], &[]), "a") else { panic!("no room") };
    assert_eq!((change.becomes.holders, change.dropped), (vec!["a".to_owned()], vec!["a".to_owned()]));
    assert_eq!(take(&seen(1, &["a", "b"], &["b"]), "a"), Taking::Full { holders: vec!["b".to_owned()] });
}

#[test]
fn only_the_owner_releases() {
    assert_eq!(release(&seen(1, &["a"], &["a"]), "b"), None);
    assert_eq!(release(&seen(2, &["a", "b"], &["a"]), "a").unwrap().becomes.holders, ["b"]);
}

#[test]
fn a_lower_limit_takes_nobodys_turn_and_gives_none() {
    let before = seen(3, &["a", "b"], &["a", "b"]);
    let lowered = Seen { semaphore: set_max(&before, 1).becomes, ..before };
    assert_eq!(lowered.semaphore.holders.len(), 2);
    assert!(matches!(take(&lowered, "c"), Taking::Full { .. }));
    assert_eq!(set_max(&lowered, 0).becomes.max, 1);
    assert_eq!(set_max(&lowered, u32::MAX).becomes.max, MAX_MAX);
}

/// etcd, as far as the semaphore needs it: a value with a revision, leased keys, and transactions that hold or do not.
#[derive(Debug)]
struct Store {
    json: Option<String>,
    revision: i64,
    clock: i64,
    leased: BTreeSet<String>,
    max: u32,
}

impl Store {
    fn see(&self) -> Seen {
        let semaphore = self.json.as_ref().map_or_else(|| Semaphore::new(self.max), |json| Semaphore::parse(json.as_bytes()).unwrap());
        Seen { semaphore, revision: self.revision, alive: self.leased.clone() }
    }

    /// The transaction that `change` is, as `lock.rs` makes it.
    fn commit(&mut self, seen: &Seen, change: &Change) -> bool {
        let holds = self.revision == seen.revision && change.dropped.iter().all(|id| !self.leased.contains(id));
        if holds {
            self.clock += 1;
            (self.json, self.revision) = (Some(change.becomes.to_json()), self.clock);
        }
        holds
    }
}

#[derive(Debug, Clone, Copy)]
enum Deed {
    /// Looks at the semaphore, to take it or to give it back.
    Look,
    /// Does what it decided when it looked.
    Take,
    Release,
    /// The lease is over: the machine was dead, or away, for too long.
    Expire,
    /// It forgets what it saw.
    Crash,
}

fn deed() -> impl Strategy<Value = (usize, Deed)> {
    let deed = prop_oneof![
        4 => Just(Deed::Look),
        4 => Just(Deed::Take),
        2 => Just(Deed::Release),
        1 => Just(Deed::Expire),
        1 => Just(Deed::Crash),
    ];
    (0..5_usize, deed)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_more_than_max_that_are_alive(max in 1..4_u32, deeds in proptest::collection::vec(deed(), 0..200)) {
        let mut store = Store { json: None, revision: 0, clock: 0, leased: BTreeSet::new(), max };
        let mut looked: Vec<Option<Seen>> = vec![None; 5];
        for (machine, deed) in deeds {
            let id = format!("machine-{machine}");
            match deed {
                Deed::Look => looked[machine] = Some(store.see()),
                Deed::Crash => looked[machine] = None,
                Deed::Expire => drop(store.leased.remove(&id)),
                Deed::Take => {
                    let Some(seen) = looked[machine].take() else { continue };
                    if let Taking::With(change) = take(&seen, &id) && store.commit(&seen, &change) {
                        store.leased.insert(id);
                    }
                }
                Deed::Release => {
                    let Some(seen) = looked[machine].take() else { continue };
                    if let Some(change) = release(&seen, &id) && store.commit(&seen, &change) {
                        store.leased.remove(&id);
                    }
                }
            }
            let holders = store.see().semaphore.holders;
            prop_assert!(holders.len() <= max as usize, "{holders:?}");
            prop_assert!(store.leased.len() <= max as usize, "{:?} are alive", store.leased);
            prop_assert!(store.leased.iter().all(|id| holders.contains(id)), "alive without a turn");
        }
        // Nobody is locked out for ever: when all leases are over, anybody gets it.
        store.leased.clear();
        let seen = store.see();
        prop_assert!(matches!(take(&seen, "another"), Taking::With(change) if store.commit(&seen, &change)));
    }
}
