//! What is here already is not fetched again, and what is kept is what was verified.

use serde_json::json;
use trust::{Answer, Error, Refresh, Trusted};

use crate::support::{NOW, Repo, bump, time};

#[test]
fn nothing_new_costs_two_requests() {
    let repo = Repo::new();
    let run = repo.run(repo.regular());
    assert_eq!(run.asked, ["2.root.json", "timestamp.json"]);
    assert!(run.outcome.is_ok());
}

#[test]
fn only_what_changed_is_fetched() {
    let mut repo = Repo::new();
    let trusted = repo.regular();
    bump(&mut repo.timestamp);
    repo.relink();
    let run = repo.run(trusted);
    assert_eq!(run.asked, ["2.root.json", "timestamp.json"]);
    assert_eq!(run.trusted.timestamp.as_deref(), Some(&repo.files["timestamp.json"][..]));
    bump(&mut repo.timestamp);
    bump(&mut repo.snapshot);
    repo.relink();
    let run = repo.run(run.trusted);
    assert_eq!(run.asked, ["2.root.json", "timestamp.json", "snapshot.json"]);
    repo.release();
    let run = repo.run(run.trusted);
    assert_eq!(run.asked, ["2.root.json", "timestamp.json", "snapshot.json", "targets.json"]);
    assert_eq!(run.outcome.unwrap().version, 2);
}

#[test]
fn a_lost_file_is_fetched_again() {
    let repo = Repo::new();
    let all = repo.regular();
    let without = |change: fn(&mut Trusted)| {
        let mut trusted = all.clone();
        change(&mut trusted);
        trusted
    };
    for (trusted, asked) in [
        (without(|trusted| trusted.timestamp = None), &["2.root.json", "timestamp.json"][..]),
        (without(|trusted| trusted.snapshot = None), &["2.root.json", "timestamp.json", "snapshot.json"]),
        (without(|trusted| trusted.targets = None), &["2.root.json", "timestamp.json", "targets.json"]),
    ] {
        let run = repo.run(trusted);
        assert_eq!(run.asked, asked);
        assert_eq!(run.trusted, all);
    }
}

#[test]
fn a_kept_file_that_is_not_the_listed_one_is_not_used() {
    // Same version, other bytes on our disk (an attacker cannot sign such a thing, but a lost power supply or a test system can).
    let mut repo = Repo::new();
    let mut trusted = repo.regular();
    let mut other = repo.clone();
    other.targets["expires"] = json!("2027-03-03T00:00:00Z");
    other.relink();
    trusted.targets = Some(other.files["targets.json"].clone());
    bump(&mut repo.timestamp);
    repo.relink();
    let run = repo.run(trusted);
    assert_eq!(run.asked.last().unwrap(), "targets.json");
    assert_eq!(run.trusted.targets.as_deref(), Some(&repo.files["targets.json"][..]));
}

#[test]
fn what_is_kept_survives_a_failure_anywhere() {
    let mut repo = Repo::new();
    let before = repo.regular();
    repo.rotate(trust::Role::Targets, 80);
    repo.release();
    let after = repo.regular();
    let files = ["2.root.json", "timestamp.json", "snapshot.json", "targets.json"];
    for (bad, path) in files.iter().enumerate() {
        let mut broken = repo.clone();
        broken.files.insert((*path).to_owned(), b"captive portal".to_vec());
        let run = broken.run(before.clone());
        let new = |position: usize| bad > position;
        assert_eq!(run.trusted.root, if new(0) { &after } else { &before }.root, "{path}");
        assert_eq!(run.trusted.timestamp, if new(1) { &after } else { &before }.timestamp, "{path}");
        assert_eq!(run.trusted.snapshot, if new(2) { &after } else { &before }.snapshot, "{path}");
        assert!(run.outcome.is_err());
        // The next run, with the portal gone, gets there.
        let next = repo.run(run.trusted);
        assert!(next.outcome.is_ok(), "{path}: {:?}", next.outcome);
        assert_eq!(next.trusted, after);
    }
}

#[test]
fn a_fetch_error_ends_the_run_as_it_is() {
    #[derive(Debug, PartialEq)]
    enum Trouble {
        Network,
        Trust(Error),
    }
    impl From<Error> for Trouble {
        fn from(error: Error) -> Self {
            Self::Trust(error)
        }
    }
    let repo = Repo::new();
    let mut refresh = Refresh::new(repo.newcomer(), time(NOW)).unwrap();
    assert_eq!(refresh.run(|_| Err(Trouble::Network)), Err(Trouble::Network));
    assert!(refresh.run::<Trouble>(|_| Ok(Answer::Bytes(vec![b'{']))).is_err());
    assert!(matches!(refresh.run(|_| Err(Trouble::Network)), Err(Trouble::Trust(Error::Json { .. }))));
}
