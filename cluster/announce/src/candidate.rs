//! What could be announced, and what of it is.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::{Announcement, Check, Entries, Key};

/// So many failed checks in a row take an announcement back; one lost packet does not.
pub const FAILURES: u32 = 2;

/// What could be announced: it runs, and its check, where it has one, decides the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The key.
    pub key: Key,
    /// The value.
    pub announcement: Announcement,
    /// How to find out whether it works.
    pub check: Option<Check>,
}

/// What checks said so far.
#[derive(Debug, Default)]
pub struct Health(BTreeMap<Key, State>);

#[derive(Debug, Clone)]
struct State {
    /// What was asked; another place or check begins anew.
    asked: Candidate,
    good: bool,
    failures: u32,
}

/// Whether an answer changed what is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It did not.
    None,
    /// The service is announced from now on.
    Up,
    /// It is not any more.
    Down,
}

impl Candidate {
    /// Where a check asks.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.announcement.address, self.announcement.port)
    }
}

impl Health {
    /// Forgets everything that is no candidate any more.
    pub fn keep(&mut self, candidates: &[Candidate]) {
        self.0.retain(|key, state| candidates.iter().any(|candidate| candidate.key == *key && *candidate == state.asked));
    }

    /// Takes down what a check said: a service is up with its first good answer, and down after [`FAILURES`] bad ones.
    pub fn told(&mut self, candidate: &Candidate, good: bool) -> Turn {
        let state = self.0.entry(candidate.key.clone()).or_insert(State { asked: candidate.clone(), good: false, failures: 0 });
        let before = state.good;
        state.failures = if good { 0 } else { state.failures.saturating_add(1) };
        state.good = good || (before && state.failures < FAILURES);
        match (before, state.good) {
            (false, true) => Turn::Up,
            (true, false) => Turn::Down,
            _ => Turn::None,
        }
    }

    /// What to announce. Of two candidates with one key the first counts.
    #[must_use]
    pub fn wanted(&self, candidates: &[Candidate]) -> Entries {
        let mut wanted = Entries::new();
        let works = |candidate: &&Candidate| candidate.check.is_none() || self.0.get(&candidate.key).is_some_and(|state| state.good);
        for candidate in candidates.iter().filter(works) {
            let value = serde_json::to_string(&candidate.announcement).expect("strings and numbers only");
            wanted.entry(candidate.key.to_string()).or_insert(value);
        }
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(port: u16, check: Option<Check>) -> Candidate {
        let announcement =
            Announcement { address: [127, 0, 0, 1].into(), port, protocol: Default::default(), tags: Vec::new(), by: String::new() };
        Candidate { key: Key::new("web", "n1", "a").unwrap(), announcement, check }
    }

    #[test]
    fn what_has_no_check_is_announced_at_once() {
        assert_eq!(Health::default().wanted(&[candidate(1, None)]).len(), 1);
    }

    #[test]
    fn what_has_a_check_is_announced_by_its_first_good_answer_and_until_two_bad_ones() {
        let web = candidate(1, Some(Check::Tcp));
        let mut health = Health::default();
        let table = [
            (false, Turn::None, 0),
            (true, Turn::Up, 1),
            (false, Turn::None, 1),
            (true, Turn::None, 1),
            (false, Turn::None, 1),
            (false, Turn::Down, 0),
            (false, Turn::None, 0),
            (true, Turn::Up, 1),
        ];
        assert_eq!(health.wanted(std::slice::from_ref(&web)).len(), 0);
        for (at, (good, turn, announced)) in table.into_iter().enumerate() {
            assert_eq!(health.told(&web, good), turn, "answer {at}");
            assert_eq!(health.wanted(std::slice::from_ref(&web)).len(), announced, "answer {at}");
        }
    }

    #[test]
    fn a_service_that_moved_must_prove_itself_again() {
        let mut health = Health::default();
        health.told(&candidate(1, Some(Check::Tcp)), true);
        let moved = [candidate(2, Some(Check::Tcp))];
        health.keep(&moved);
        assert_eq!(health.wanted(&moved), Entries::new());
    }

    #[test]
    fn of_two_with_one_key_the_first_counts() {
        let wanted = Health::default().wanted(&[candidate(1, None), candidate(2, None)]);
        assert!(wanted.values().next().unwrap().contains("\"port\":1"));
    }
}
