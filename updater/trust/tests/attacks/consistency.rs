//! T15: files that do not belong together, and bodies that are not what was signed.

use serde_json::json;
use trust::limits::{MAX_ROOT_BYTES, MAX_SNAPSHOT_BYTES, MAX_TARGETS_BYTES, MAX_TIMESTAMP_BYTES};
use trust::{Answer, Error, Kind, Refresh, Role, Target};

use crate::support::{CONTENT, NOW, Repo, TARGET, bump, time};

#[test]
fn t15_one_old_file_among_new_ones() {
    let old = Repo::new();
    let mut new = old.clone();
    new.release();
    for path in ["snapshot.json", "targets.json"] {
        let mut mixed = new.clone();
        mixed.files.insert(path.to_owned(), old.files[path].clone());
        for trusted in [mixed.newcomer(), old.regular()] {
            let error = mixed.run(trusted).refused();
            assert!(matches!(&error, Error::Digest { name, .. } if name == path), "{error}");
            assert_eq!(error.kind(), Kind::Mismatch);
        }
    }
    // The root may list no hashes at all; then the version decides.
    for (role, parent) in [(Role::Snapshot, Role::Timestamp), (Role::Targets, Role::Snapshot)] {
        let mut mixed = new.clone();
        mixed.signed(parent)["meta"][role.file_name()] = json!({"version": 2});
        match parent {
            Role::Snapshot => mixed.relink_snapshot(),
            _ => mixed.relink_timestamp(),
        }
        mixed.files.insert(role.file_name(), old.files[&role.file_name()].clone());
        let expected = Error::VersionMismatch { role, listed_by: parent, listed: 2, found: 1 };
        assert_eq!(mixed.refusal(), expected);
    }
}

#[test]
fn t15_lengths_and_digests_are_exact() {
    for (role, parent) in [(Role::Snapshot, Role::Timestamp), (Role::Targets, Role::Snapshot)] {
        for (what, change) in [
            ("shorter", json!({"length": 10})),
            ("longer", json!({"length": 100_000})),
            ("digest", json!({"hashes": {"sha256": "00".repeat(32)}})),
            ("short digest", json!({"hashes": {"sha256": "00"}})),
            ("no sha256", json!({"hashes": {"sha1": "00"}})),
            ("no hashes in hashes", json!({"hashes": {}})),
            ("version 0", json!({"version": 0})),
            ("negative length", json!({"length": -1})),
            ("text length", json!({"length": "1"})),
        ] {
            let mut repo = Repo::new();
            let entry = &mut repo.signed(parent)["meta"][role.file_name()];
            for (name, value) in change.as_object().unwrap() {
                entry[name] = value.clone();
            }
            match parent {
                Role::Snapshot => repo.relink_snapshot(),
                _ => repo.relink_timestamp(),
            }
            let run = repo.run(repo.newcomer());
            assert_eq!(run.trusted.get(role), None, "{role} {what}");
            assert!(run.outcome.is_err(), "{role} {what}");
        }
    }
}

#[test]
fn t15_no_request_is_unbounded() {
    let repo = Repo::new();
    let mut refresh = Refresh::new(repo.newcomer(), time(NOW)).unwrap();
    let mut limits = Vec::new();
    while let Some(want) = refresh.want() {
        limits.push((want.path.clone(), want.max_bytes));
        let file = repo.files.get(&want.path).cloned();
        // One byte too many is refused, whatever the bytes are.
        let mut endless = refresh.clone();
        let flood = vec![b' '; usize::try_from(want.max_bytes).unwrap() + 1];
        assert_eq!(endless.supply(Answer::Bytes(flood)), Err(Error::TooLarge { name: want.path.clone(), limit: want.max_bytes }));
        refresh.supply(file.map_or(Answer::Missing, Answer::Bytes)).unwrap();
    }
    let exact = |path: &str| (path.to_owned(), repo.files[path].len() as u64);
    let known = [("2.root.json".to_owned(), MAX_ROOT_BYTES), ("timestamp.json".to_owned(), MAX_TIMESTAMP_BYTES)];
    assert_eq!(limits, [known[0].clone(), known[1].clone(), exact("snapshot.json"), exact("targets.json")]);
}

#[test]
fn t15_a_signed_length_cannot_ask_for_more_than_the_limit() {
    for (role, parent, limit) in [(Role::Snapshot, Role::Timestamp, MAX_SNAPSHOT_BYTES), (Role::Targets, Role::Snapshot, MAX_TARGETS_BYTES)]
    {
        for length in [limit + 1, u64::MAX] {
            let mut repo = Repo::new();
            repo.signed(parent)["meta"][role.file_name()]["length"] = json!(length);
            match parent {
                Role::Snapshot => repo.relink_snapshot(),
                _ => repo.relink_timestamp(),
            }
            assert_eq!(repo.refusal(), Error::TooLarge { name: role.file_name(), limit });
        }
    }
}

#[test]
fn t15_missing_files() {
    for path in ["timestamp.json", "snapshot.json", "targets.json"] {
        let mut repo = Repo::new();
        repo.files.remove(path);
        assert_eq!(repo.refusal(), Error::Missing { path: path.to_owned() });
    }
}

#[test]
fn t15_a_target_is_exactly_its_bytes() {
    let repo = Repo::new();
    let targets = repo.run(repo.newcomer()).outcome.unwrap();
    let target = targets.find(TARGET).unwrap();
    assert_eq!(target.check(CONTENT).unwrap().into_inner(), CONTENT);
    let name = || "the target".to_owned();
    assert_eq!(target.check(b"").unwrap_err(), Error::Length { name: name(), listed: 19, found: 0 });
    assert!(matches!(target.check(b"{\"version\":\"1.0.1\"}").unwrap_err(), Error::Digest { .. }));
    for (position, _) in CONTENT.iter().enumerate() {
        let mut flipped = CONTENT.to_vec();
        flipped[position] ^= 1;
        assert!(target.check(&flipped).is_err());
    }
    assert!(target.check(&[CONTENT, b" "].concat()).is_err());
    assert_eq!(Target::of(CONTENT), *target);
}

#[test]
fn t15_interleaved_releases_during_one_run() {
    // The repository changes between two requests: either the run fails, or it gives one of the two releases as a whole.
    let mut new = Repo::new();
    let old = new.clone();
    new.release();
    for switch_after in 0..=4 {
        let mut refresh = Refresh::new(old.newcomer(), time(NOW)).unwrap();
        let mut requests = 0;
        let run: Result<(), Error> = refresh.run(|want| {
            requests += 1;
            let now = if requests > switch_after { &new } else { &old };
            Ok(now.files.get(&want.path).cloned().map_or(Answer::Missing, Answer::Bytes))
        });
        match run {
            Ok(()) => assert!([1, 2].contains(&refresh.finish().unwrap().version)),
            Err(error) => assert_eq!(error.kind(), Kind::Mismatch, "{error}"),
        }
    }
}

#[test]
fn consistent_snapshots_put_versions_in_names() {
    let mut repo = Repo::new();
    repo.files.clear();
    repo.root["consistent_snapshot"] = json!(true);
    repo.put_root(&[1]);
    repo.relink();
    bump(&mut repo.targets);
    for _ in 0..4 {
        bump(&mut repo.snapshot);
    }
    bump(&mut repo.timestamp);
    repo.relink();
    let run = repo.run(repo.newcomer());
    assert_eq!(run.asked, ["2.root.json", "timestamp.json", "5.snapshot.json", "2.targets.json"]);
    let targets = run.outcome.unwrap();
    let (name, target) = targets.iter().next().unwrap();
    let digest = hex::encode(target.sha256);
    assert_eq!(target.path(name, true), format!("slipway-vm-1.0.0-amd64/{digest}.release.json"));
    assert_eq!(target.path(name, false), TARGET);
    let top = trust::TargetName::new("release.json").unwrap();
    assert_eq!(target.path(&top, true), format!("{digest}.release.json"));
    // Without them the same files are not even looked for.
    let mut plain = repo.clone();
    plain.next_root(&[1], |root| root["consistent_snapshot"] = json!(false));
    assert_eq!(plain.refusal(), Error::Missing { path: "snapshot.json".to_owned() });
}

#[test]
fn supplying_out_of_order() {
    let repo = Repo::new();
    let fresh = Refresh::new(repo.newcomer(), time(NOW)).unwrap();
    assert_eq!(fresh.clone().finish().unwrap_err(), Error::OutOfOrder);
    let mut done = fresh;
    let run: Result<(), Error> = done.run(|want| Ok(repo.files.get(&want.path).cloned().map_or(Answer::Missing, Answer::Bytes)));
    run.unwrap();
    assert_eq!(done.supply(Answer::Missing), Err(Error::OutOfOrder));
    let mut failed = Refresh::new(repo.newcomer(), time(NOW)).unwrap();
    let error = failed.supply(Answer::Bytes(b"x".to_vec())).unwrap_err();
    assert_eq!(failed.want(), None);
    assert_eq!(failed.supply(Answer::Missing), Err(Error::OutOfOrder));
    assert_eq!(failed.finish().unwrap_err(), error);
}
