//! T12 and T13: freezing, and clocks that are wrong.

use jiff::Timestamp;
use serde_json::json;
use trust::{Error, Kind, Role, clock};

use crate::support::{LATER, NOW, Repo, bump, time};

#[test]
fn t12_a_frozen_repository_ends_in_an_alarm() {
    let repo = Repo::new();
    let trusted = repo.regular();
    // Served again and again: fine until the first file expires.
    assert!(repo.run_at(trusted.clone(), time("2027-01-31T23:59:59Z")).outcome.is_ok());
    let run = repo.run_at(trusted.clone(), time(LATER));
    assert_eq!(run.trusted, trusted, "an alarm, not amnesia");
    let error = run.refused();
    assert_eq!(error.kind(), Kind::Expired);
}

#[test]
fn t12_each_file_expires_by_itself() {
    for role in Role::ALL {
        for reuse in [false, true] {
            let mut repo = Repo::new();
            let before = repo.regular();
            repo.signed(role)["expires"] = json!("2026-12-31T00:00:00Z");
            match role {
                Role::Root => {
                    bump(&mut repo.root);
                    repo.put_root(&[1]);
                }
                _ => repo.release(),
            }
            let run = repo.run(if reuse { before } else { repo.newcomer() });
            if role != Role::Root {
                assert_ne!(run.trusted.get(role), Some(&repo.files[&role.file_name()][..]), "{role}: not kept");
            }
            let error = run.refused();
            let expected = Error::Expired { role, version: 2, expires: time("2026-12-31T00:00:00Z"), now: time(NOW) };
            assert_eq!(error, expected);
            for part in [role.name(), "version 2", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z", "clock"] {
                assert!(error.to_string().contains(part), "{error}");
            }
        }
    }
}

#[test]
fn t12_local_copies_expire_too() {
    let mut repo = Repo::new();
    for (role, day) in [(Role::Targets, "05"), (Role::Snapshot, "04"), (Role::Timestamp, "03")] {
        repo.signed(role)["expires"] = json!(format!("2027-01-{day}T00:00:00Z"));
    }
    repo.relink();
    let trusted = repo.regular();
    // Each time the file that expired is renewed, and those below are reused until their own day comes.
    let mut when = |now: &str, expected: Option<Role>| {
        let run = repo.run_at(trusted.clone(), time(now));
        match (run.outcome, expected) {
            (Ok(_), None) => {}
            (Err(Error::Expired { role, .. }), Some(expected)) => assert_eq!(role, expected),
            (outcome, expected) => panic!("{now}: {outcome:?} instead of {expected:?}"),
        }
        if let Some(role) = expected {
            for role in [Some(role), (role == Role::Snapshot).then_some(Role::Timestamp)].into_iter().flatten() {
                bump(repo.signed(role));
                repo.signed(role)["expires"] = json!(LATER);
            }
            repo.relink();
        }
    };
    when("2027-01-02T00:00:00Z", None);
    when("2027-01-03T00:00:00Z", Some(Role::Timestamp));
    when("2027-01-03T00:00:00Z", None);
    when("2027-01-04T00:00:00Z", Some(Role::Snapshot));
    when("2027-01-04T00:00:00Z", None);
    when("2027-01-05T00:00:00Z", Some(Role::Targets));
}

#[test]
fn t12_the_first_expiry_is_reported_ahead() {
    let mut repo = Repo::new();
    repo.snapshot["expires"] = json!("2027-01-09T00:00:00Z");
    repo.relink();
    let mut refresh = trust::Refresh::new(repo.newcomer(), time(NOW)).unwrap();
    assert_eq!(refresh.summary().next_expiry, (Role::Root, time(LATER)));
    let run: Result<(), Error> =
        refresh.run(|want| Ok(repo.files.get(&want.path).cloned().map_or(trust::Answer::Missing, trust::Answer::Bytes)));
    run.unwrap();
    let summary = refresh.summary();
    assert_eq!((summary.root, summary.timestamp, summary.snapshot, summary.targets), (1, Some(1), Some(1), Some(1)));
    assert_eq!(summary.next_expiry, (Role::Snapshot, time("2027-01-09T00:00:00Z")));
}

#[test]
fn t13_clocks() {
    let built = time("2026-12-01T00:00:00Z");
    let seen = time("2026-12-24T00:00:00Z");
    let stale = time("2026-12-20T00:00:00Z");
    let epoch = Timestamp::UNIX_EPOCH;
    let future = time("2100-01-01T00:00:00Z");
    // The hardware clock, and whether fresh and stale metadata pass.
    let cases = [
        ("right", time(NOW), true, false),
        ("dead battery", epoch, true, false),
        ("before the epoch", epoch - jiff::Span::new().hours(24), true, false),
        ("stepped back behind the build", time("2026-06-01T00:00:00Z"), true, false),
        ("a day ahead", time("2027-01-02T00:00:00Z"), true, false),
        ("far ahead", future, false, false),
    ];
    for (what, rtc, fresh_passes, stale_passes) in cases {
        let now = clock::latest(rtc, [built, seen]);
        assert!(now >= built && now >= seen && now >= rtc, "{what}");
        let fresh = Repo::new();
        assert_eq!(fresh.run_at(fresh.newcomer(), now).outcome.is_ok(), fresh_passes, "{what}");
        let mut old = Repo::new();
        old.timestamp["expires"] = json!(stale.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        old.relink();
        assert_eq!(old.run_at(old.newcomer(), now).outcome.is_ok(), stale_passes, "{what}");
    }
    // Nothing of a wrong clock sticks: once it is right again, the same files pass.
    let repo = Repo::new();
    let run = repo.run_at(repo.regular(), future);
    assert!(run.outcome.is_err());
    assert!(repo.run(run.trusted).outcome.is_ok());
}
