//! T07 and T08: from an old root to the newest.

use serde_json::json;
use trust::limits::MAX_ROOT_ROTATIONS;
use trust::repository::{self, RootDraft};
use trust::{Error, KeySigner, PublicKey, Refresh, Role, Root, Signer, Trusted};

use crate::support::{LATER, NOW, Repo, bytes, id, key, set_role, sign, time};

/// A repository whose root key changed at each of `steps` rotations.
fn chain(steps: u8) -> Repo {
    let mut repo = Repo::new();
    for step in 1..=steps {
        repo.rotate(Role::Root, 100 + step);
    }
    repo
}

#[test]
fn t07_follows_1_3_and_50_rotations() {
    for steps in [0, 1, 3, 50] {
        let repo = chain(steps);
        let run = repo.run(repo.newcomer());
        assert!(run.outcome.is_ok(), "{steps}");
        let roots: Vec<String> = (2..=u64::from(steps) + 2).map(|version| format!("{version}.root.json")).collect();
        assert_eq!(run.asked[..roots.len()], roots, "one version after the other, until there is none");
        assert_eq!(run.trusted.root, repo.files[&format!("{}.root.json", steps + 1)]);
    }
}

#[test]
fn t07_an_offline_host_catches_up_from_where_it_was() {
    let mut repo = chain(2);
    let trusted = repo.regular();
    for step in [50, 51, 52] {
        repo.rotate(Role::Root, step);
    }
    let run = repo.run(trusted);
    assert_eq!(run.asked[..4], ["4.root.json", "5.root.json", "6.root.json", "7.root.json"]);
    assert!(run.outcome.is_ok());
}

#[test]
fn t07_a_missing_middle_ends_the_chain() {
    let mut repo = chain(3);
    repo.rotate(Role::Targets, 30);
    repo.relink();
    repo.files.remove("3.root.json");
    let run = repo.run(repo.newcomer());
    assert_eq!(run.trusted.root, repo.files["2.root.json"], "what comes before it counts");
    // What root 5 names is not believed on the word of root 2.
    assert!(matches!(run.refused(), Error::Signatures { role: Role::Targets, .. }));
}

#[test]
fn t07_a_root_in_the_place_of_another() {
    let good = chain(3);
    for (place, instead) in [(2, 3), (2, 1), (3, 2), (3, 4), (4, 2), (4, 1)] {
        let mut repo = good.clone();
        repo.files.insert(format!("{place}.root.json"), good.files[&format!("{instead}.root.json")].clone());
        let run = repo.run(repo.newcomer());
        assert_eq!(run.trusted.root, good.files[&format!("{}.root.json", place - 1)], "{instead} at {place}");
        assert!(matches!(run.refused(), Error::Signatures { role: Role::Root, .. } | Error::RootVersion { .. }), "{instead} at {place}");
    }
}

#[test]
fn t07_versions_must_be_the_very_next() {
    // The same root key throughout, so that only the version is wrong.
    for version in [1, 3, 4, 1000, trust::limits::MAX_VERSION] {
        let mut repo = Repo::new();
        repo.root["version"] = json!(version);
        repo.files.insert("2.root.json".to_owned(), bytes(&sign(&repo.root, &[1])));
        assert_eq!(repo.refusal(), Error::RootVersion { trusted: 1, found: version });
    }
}

#[test]
fn t07_signed_by_one_side_only() {
    for (who, keys) in
        [("the new key only", &[60][..]), ("the old key only", &[1]), ("a stranger", &[99]), ("the targets key", &[2]), ("nobody", &[])]
    {
        let mut repo = Repo::new();
        repo.next_root(keys, |root| set_role(root, Role::Root, 1, &[60]));
        let run = repo.run(repo.newcomer());
        assert_eq!(run.trusted.root, repo.files["1.root.json"], "{who}");
        let error = run.refused();
        assert!(matches!(&error, Error::Signatures { role: Role::Root, version: Some(2), .. }), "{who}: {error}");
    }
}

#[test]
fn t07_thresholds_of_both_sides() {
    // Old: two of 41, 42, 43. New: two of 43, 44, 45.
    let cases = [
        (&[41, 42, 44, 45][..], true),
        (&[41, 43, 44], true),
        (&[43, 44], false),
        (&[41, 42, 44], false),
        (&[41, 44, 45], false),
        (&[41, 42, 43], false),
        (&[44, 45, 99], false),
    ];
    for (keys, good) in cases {
        let mut repo = Repo::new();
        set_role(&mut repo.root, Role::Root, 2, &[41, 42, 43]);
        repo.put_root(&[41, 42]);
        repo.next_root(keys, |root| set_role(root, Role::Root, 2, &[43, 44, 45]));
        assert_eq!(repo.run(repo.newcomer()).outcome.is_ok(), good, "{keys:?}");
    }
}

#[test]
fn t07_a_fork() {
    // Two successors of root 1, both well signed; a host that took one never takes the other's children.
    let mut left = Repo::new();
    left.rotate(Role::Root, 61);
    left.rotate(Role::Targets, 63);
    left.relink();
    let mut right = Repo::new();
    right.rotate(Role::Root, 62);
    right.rotate(Role::Targets, 64);
    right.relink();
    assert!(left.run(left.newcomer()).outcome.is_ok());
    let mut took_left = left.newcomer();
    took_left.root = left.files["2.root.json"].clone();
    assert!(matches!(right.run(took_left).refused(), Error::Signatures { role: Role::Root, .. }));
    // Nor does one that is all the way on one side find its way on the other.
    assert!(right.run(left.regular()).outcome.is_err());
}

#[test]
fn t07_a_new_root_that_cannot_meet_its_own_threshold() {
    for role in Role::ALL {
        let mut repo = Repo::new();
        repo.next_root(&[1], |root| root["roles"][role.name()]["threshold"] = json!(2));
        let run = repo.run(repo.newcomer());
        assert_eq!(run.trusted.root, repo.files["1.root.json"]);
        assert_eq!(run.refused(), Error::Unmeetable { root_version: 2, role, threshold: 2, keys: 1 });
    }
}

#[test]
fn t08_an_expired_root_on_the_way_does_no_harm() {
    let mut repo = Repo::new();
    repo.root["expires"] = json!("2020-01-01T00:00:00Z");
    repo.put_root(&[1]);
    repo.next_root(&[1], |root| root["expires"] = json!("2021-01-01T00:00:00Z"));
    repo.next_root(&[1], |root| root["expires"] = json!(LATER));
    assert!(repo.run(repo.newcomer()).outcome.is_ok());
}

#[test]
fn t08_the_last_root_must_be_valid() {
    let mut repo = Repo::new();
    let trusted = repo.regular();
    repo.next_root(&[1], |root| root["expires"] = json!(NOW));
    let run = repo.run(trusted);
    assert_eq!(run.trusted.root, repo.files["2.root.json"], "kept: the way on leads over it");
    let (role, version, expires, now) = (Role::Root, 2, time(NOW), time(NOW));
    assert_eq!(run.outcome, Err(Error::Expired { role, version, expires, now }));
    // A valid successor mends it.
    repo.next_root(&[1], |root| root["expires"] = json!(LATER));
    assert!(repo.run(run.trusted).outcome.is_ok());
}

#[test]
fn the_number_of_rotations_in_one_run_is_bounded() {
    let keys = |role: Role| -> PublicKey { key(role as u8 + 1).public_key() };
    let signer: KeySigner = key(1);
    let mut draft = RootDraft::new(time(LATER));
    for role in Role::ALL {
        draft = draft.role(role, 1, [keys(role)]);
    }
    let first = draft.sign(&[&signer]).unwrap();
    let mut newest = first.clone();
    let mut refresh = Refresh::new(Trusted::new(first), time(NOW)).unwrap();
    for step in 0..=MAX_ROOT_ROTATIONS {
        assert_eq!(refresh.want().unwrap().path, format!("{}.root.json", step + 2));
        newest = RootDraft::after(&newest, time(LATER)).unwrap().sign(&[&signer]).unwrap();
        let taken = refresh.supply(trust::Answer::Bytes(newest.clone()));
        assert_eq!(taken, if step < MAX_ROOT_ROTATIONS { Ok(()) } else { Err(Error::TooManyRoots) });
    }
    assert!(refresh.want().is_none());
    // The next run goes on from what this one kept.
    let again = Refresh::new(refresh.trusted().clone(), time(NOW)).unwrap();
    assert_eq!(again.want().unwrap().path, format!("{}.root.json", MAX_ROOT_ROTATIONS + 2));
    assert!(repository::check_next_root(&Root::open(&refresh.trusted().root).unwrap(), &newest).is_ok());
}

#[test]
fn the_message_names_keys_and_a_way_out() {
    let mut repo = Repo::new();
    repo.next_root(&[60], |root| set_role(root, Role::Root, 1, &[60]));
    let text = repo.refusal().to_string();
    for part in ["root metadata version 2", "0 of the 1 keys", "trusted root (version 1)", &id(1), "publish"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}
