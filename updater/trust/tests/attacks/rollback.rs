//! T10 and T11: going back, and running too far ahead.

use serde_json::json;
use trust::limits::MAX_VERSION;
use trust::{Error, Kind, Role};

use crate::support::{Repo, bump, set_role};

#[test]
fn t10_an_older_copy_of_everything() {
    let mut repo = Repo::new();
    let old = repo.clone();
    repo.release();
    let run = old.run(repo.regular());
    assert_eq!(run.trusted, repo.regular(), "what is newer stays");
    let error = run.refused();
    assert_eq!(error, Error::Rollback { role: Role::Timestamp, listed_by: Role::Timestamp, trusted: 2, found: 1 });
    assert_eq!(error.kind(), Kind::Older);
    for part in ["timestamp version 1", "version 2 was accepted before", "publish a version above 2"] {
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn t10_fresh_signatures_over_older_content() {
    // What a thief of the online keys can try: versions that go up over lists that go back.
    let mut repo = Repo::new();
    repo.release();
    repo.release();
    let trusted = repo.regular();

    let mut older_snapshot = repo.clone();
    bump(&mut older_snapshot.timestamp);
    older_snapshot.timestamp["meta"]["snapshot.json"]["version"] = json!(2);
    older_snapshot.relink_timestamp();
    let expected = Error::Rollback { role: Role::Snapshot, listed_by: Role::Timestamp, trusted: 3, found: 2 };
    assert_eq!(older_snapshot.run(trusted.clone()).refused(), expected);

    let mut older_targets = repo.clone();
    bump(&mut older_targets.timestamp);
    bump(&mut older_targets.snapshot);
    older_targets.targets["version"] = json!(2);
    older_targets.relink();
    let expected = Error::Rollback { role: Role::Targets, listed_by: Role::Snapshot, trusted: 3, found: 2 };
    assert_eq!(older_targets.run(trusted.clone()).refused(), expected);

    // Also when the timestamp of the earlier run was lost: the snapshot alone remembers.
    let mut forgetful = trusted;
    forgetful.timestamp = None;
    assert_eq!(older_targets.run(forgetful.clone()).refused(), expected);
    let mut older_version = repo.clone();
    bump(&mut older_version.timestamp);
    older_version.snapshot["version"] = json!(2);
    older_version.relink();
    let expected = Error::Rollback { role: Role::Snapshot, listed_by: Role::Timestamp, trusted: 3, found: 2 };
    assert_eq!(older_version.run(forgetful).refused(), expected);
}

#[test]
fn t10_a_delegated_file_goes_back_or_vanishes() {
    let mut repo = Repo::new();
    repo.snapshot["meta"]["oem.json"] = json!({"version": 5});
    repo.relink();
    let trusted = repo.regular();
    let (role, listed_by) = (Role::Targets, Role::Snapshot);
    let back = Error::Rollback { role, listed_by, trusted: 5, found: 4 };
    for (expected, change) in [(back, json!({"version": 4})), (Error::Vanished { name: "oem.json".to_owned() }, json!(null))] {
        let mut evil = repo.clone();
        bump(&mut evil.snapshot);
        bump(&mut evil.timestamp);
        evil.snapshot["meta"]["oem.json"] = change;
        if evil.snapshot["meta"]["oem.json"].is_null() {
            evil.snapshot["meta"].as_object_mut().unwrap().remove("oem.json");
        }
        evil.relink();
        assert_eq!(evil.run(trusted.clone()).refused(), expected);
    }
    let mut evil = repo.clone();
    evil.snapshot["meta"].as_object_mut().unwrap().remove("targets.json");
    evil.relink_snapshot();
    assert!(matches!(evil.refusal(), Error::Malformed { role: Role::Snapshot, .. }));
}

#[test]
fn t10_two_contents_under_one_version() {
    let repo = Repo::new();
    let trusted = repo.regular();
    for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
        let mut evil = repo.clone();
        evil.signed(role)["expires"] = json!("2027-03-03T00:00:00Z");
        // The files above get new versions, so that only `role` has two contents under one.
        if role != Role::Timestamp {
            bump(&mut evil.timestamp);
        }
        if role == Role::Targets {
            bump(&mut evil.snapshot);
        }
        evil.relink();
        let run = evil.run(trusted.clone());
        assert_eq!(run.trusted.get(role), trusted.get(role), "{role}: the first one stays");
        assert_eq!(run.refused(), Error::SameVersion { role, version: 1 });
        assert!(evil.run(evil.newcomer()).outcome.is_ok(), "a host that has seen nothing cannot know");
    }
}

#[test]
fn t10_a_snapshot_without_hashes_changes_under_its_version() {
    let mut repo = Repo::new();
    let strip = |repo: &mut Repo| {
        repo.timestamp["meta"]["snapshot.json"] = json!({"version": repo.snapshot["version"]});
        repo.relink_timestamp();
    };
    strip(&mut repo);
    let trusted = repo.regular();
    let mut evil = repo;
    bump(&mut evil.timestamp);
    evil.snapshot["expires"] = json!("2027-03-03T00:00:00Z");
    evil.relink();
    strip(&mut evil);
    // Nothing says that it changed, so our own copy is used.
    let run = evil.run(trusted.clone());
    assert!(run.outcome.is_ok());
    assert_eq!(run.trusted.snapshot, trusted.snapshot);
}

#[test]
fn t10_the_same_once_more_is_no_rollback() {
    let repo = Repo::new();
    let trusted = repo.regular();
    let run = repo.run(trusted.clone());
    assert!(run.outcome.is_ok());
    assert_eq!(run.trusted, trusted);
}

#[test]
fn t10_damaged_local_files_are_forgotten_and_fetched_again() {
    let repo = Repo::new();
    let good = repo.regular();
    for garbage in [&b""[..], b"{}", b"garbage", &repo.files["1.root.json"]] {
        let mut trusted = good.clone();
        trusted.timestamp = Some(garbage.to_vec());
        trusted.snapshot = Some(garbage.to_vec());
        trusted.targets = Some(garbage.to_vec());
        let run = repo.run(trusted.clone());
        assert!(run.outcome.is_ok());
        assert_eq!(run.trusted, good);
        // Without a server nothing unverified stays behind.
        let mut silent = repo.clone();
        silent.files.clear();
        assert_eq!(silent.run(trusted).trusted, trust::Trusted::new(good.root.clone()));
    }
}

/// A thief of the online keys makes versions run far ahead.
fn fast_forwarded() -> (Repo, trust::Trusted) {
    let honest = Repo::new();
    let mut evil = honest.clone();
    for role in [Role::Snapshot, Role::Timestamp] {
        evil.signed(role)["version"] = json!(MAX_VERSION);
    }
    evil.relink();
    let trusted = evil.regular();
    (honest, trusted)
}

#[test]
fn t11_fast_forward_is_noticed() {
    let (mut honest, trusted) = fast_forwarded();
    honest.release();
    assert!(matches!(honest.run(trusted).refused(), Error::Rollback { role: Role::Timestamp, trusted: MAX_VERSION, .. }));
}

#[test]
fn t11_rotating_either_online_key_recovers() {
    for (role, also) in [(Role::Timestamp, Role::Snapshot), (Role::Snapshot, Role::Timestamp)] {
        let (mut honest, trusted) = fast_forwarded();
        honest.rotate(role, 70);
        honest.rotate(also, 71);
        honest.release();
        let run = honest.run(trusted);
        assert!(run.outcome.is_ok(), "{role} first: {:?}", run.outcome);
        assert_eq!(run.trusted, honest.regular());
    }
}

#[test]
fn t11_rotating_one_of_two_keys_forgets_both_files() {
    // The timestamp key was stolen, or the snapshot key was and the honest timestamp lists what the thief signed: each time the other file,
    // although its own key stays, still holds a version that must be forgotten.
    for role in [Role::Timestamp, Role::Snapshot] {
        let mut honest = Repo::new();
        let mut evil = honest.clone();
        evil.signed(role)["version"] = json!(MAX_VERSION);
        evil.relink();
        let trusted = evil.regular();
        honest.release();
        assert!(matches!(honest.run(trusted.clone()).refused(), Error::Rollback { .. }), "{role}");
        honest.rotate(role, 70);
        honest.relink();
        let run = honest.run(trusted);
        assert!(run.outcome.is_ok(), "{role}: {:?}", run.outcome);
    }
}

#[test]
fn t11_a_key_that_is_only_added_or_comes_back_recovers_as_well() {
    // A and B replace A, then A again: at the end the keys are those of the start.
    let (mut honest, trusted) = fast_forwarded();
    honest.next_root(&[1], |root| set_role(root, Role::Timestamp, 1, &[4, 70]));
    honest.next_root(&[1], |root| set_role(root, Role::Timestamp, 1, &[4]));
    honest.release();
    assert!(honest.run(trusted).outcome.is_ok());
}

#[test]
fn t11_other_rotations_forget_nothing() {
    for role in [Role::Root, Role::Targets] {
        let mut repo = Repo::new();
        repo.release();
        let trusted = repo.regular();
        let mut old = Repo::new();
        old.rotate(role, 70);
        old.relink();
        assert!(matches!(old.run(trusted).refused(), Error::Rollback { .. }), "{role}");
    }
}

#[test]
fn t11_the_memory_is_gone_as_soon_as_the_root_is_in() {
    let (mut honest, trusted) = fast_forwarded();
    honest.rotate(Role::Timestamp, 70);
    honest.files.remove("timestamp.json");
    let run = honest.run(trusted);
    assert_eq!(run.trusted, trust::Trusted::new(honest.files["2.root.json"].clone()));
    assert_eq!(run.refused(), Error::Missing { path: "timestamp.json".to_owned() });
}

#[test]
fn t11_versions_beyond_the_cap() {
    for version in [MAX_VERSION + 1, u64::MAX] {
        for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
            let mut repo = Repo::new();
            let trusted = repo.regular();
            repo.signed(role)["version"] = json!(version);
            repo.relink();
            let run = repo.run(trusted.clone());
            assert!(run.trusted.timestamp == trusted.timestamp || role != Role::Timestamp);
            let error = run.refused();
            assert!(error.kind() == Kind::Malformed || error.kind() == Kind::Older, "{role} {version}: {error}");
            assert!(repo.run(repo.newcomer()).outcome.is_err());
        }
    }
    // Nothing that was listed beyond the cap is remembered: the next honest release is taken without any rotation.
    let mut repo = Repo::new();
    let mut evil = repo.clone();
    evil.timestamp["version"] = json!(u64::MAX);
    evil.relink();
    let run = evil.run(repo.regular());
    repo.release();
    assert!(repo.run(run.trusted).outcome.is_ok());
}
