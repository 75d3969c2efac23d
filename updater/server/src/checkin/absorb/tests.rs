use super::*;
use crate::store::machines::{Facts, Standing};

fn machine() -> Record {
    Record {
        id: 1,
        app: "app".into(),
        machine_id: "m".into(),
        group: "stable".into(),
        version: "1.0.0".into(),
        arch: "amd64".into(),
        oem: String::new(),
        state: Standing::Idle,
        first_seen: Time(0),
        last_seen: Time(0),
        facts: Facts { boot_id: "boot-1".into(), ..Facts::default() },
    }
}

fn said(kind: u32, result: u32, previous: Option<&str>, code: Option<i64>) -> CheckIn {
    let report = Report { kind, result, code, previous: previous.map(str::to_owned), cause: None, release: None };
    CheckIn {
        group: "stable".into(),
        version: "1.0.0".into(),
        arch: "amd64".into(),
        boot_id: "boot-1".into(),
        reports: vec![report],
        ..CheckIn::default()
    }
}

#[test]
fn an_update_is_followed_through_its_events() {
    let mut record = machine();
    for (kind, result, standing) in [(13, 1, Standing::Downloading), (14, 1, Standing::Downloaded), (3, 1, Standing::Staged)] {
        let absorbed = absorb(&mut record, &said(kind, result, None, None), Time(5));
        assert_eq!(record.state, standing, "{kind}/{result}");
        assert_eq!(absorbed.events.len(), 1);
        assert!(absorbed.changed);
    }
    let absorbed = absorb(&mut record, &said(3, 2, Some("0.9.0"), None), Time(6));
    assert_eq!(absorbed.words[0].outcome, Outcome::Completed);
    assert_eq!(record.state, Standing::Idle);
}

#[test]
fn the_event_of_every_ordinary_check_is_no_completion_but_frees_a_stuck_machine() {
    for previous in [None, Some(""), Some("0.0.0.0")] {
        let mut record = machine();
        absorb(&mut record, &said(3, 1, None, None), Time(1));
        let absorbed = absorb(&mut record, &said(3, 2, previous, None), Time(2));
        assert_eq!((absorbed.words.len(), absorbed.events.len()), (0, 0), "{previous:?}");
        assert_eq!(record.state, Standing::Idle, "{previous:?}");
    }
}

#[test]
fn who_asks_for_an_update_is_fetching_none() {
    // The power failed amid a download: after the boot it asks, and says only now that it had begun.
    for (kind, asks, standing) in [
        (13, true, Standing::Idle),
        (14, true, Standing::Idle),
        // A release that waits for its reboot goes on waiting, and who only reports goes on fetching.
        (3, true, Standing::Staged),
        (13, false, Standing::Downloading),
        (14, false, Standing::Downloaded),
    ] {
        let mut record = machine();
        let late = CheckIn { asks, boot_id: "boot-2".into(), ..said(kind, 1, None, None) };
        let absorbed = absorb(&mut record, &late, Time(2));
        assert_eq!((record.state, absorbed.events.len()), (standing, 1), "{kind} {asks}");
        // It says so in a request of its own, and asks in the next.
        let mut record = machine();
        absorb(&mut record, &CheckIn { asks: false, ..late }, Time(2));
        absorb(&mut record, &CheckIn { asks, reports: Vec::new(), boot_id: "boot-2".into(), ..said(0, 0, None, None) }, Time(3));
        assert_eq!(record.state, standing, "{kind} {asks}, in two requests");
    }
}

#[test]
fn a_quiet_check_changes_nothing_but_the_time() {
    let mut record = machine();
    let absorbed = absorb(&mut record, &said(3, 2, Some(""), None), Time(9));
    assert!(!absorbed.changed);
    assert_eq!(record.last_seen, Time(9));
}

#[test]
fn a_rollback_is_kept_with_its_cause_and_version() {
    let mut record = machine();
    let mut back = said(3, 0, None, Some(44));
    back.reports[0].cause = Some("docker did not answer".into());
    back.reports[0].release = Some("2.0.0".into());
    let absorbed = absorb(&mut record, &back, Time(3));
    assert_eq!(absorbed.words[0].outcome, Outcome::RolledBack);
    assert_eq!(record.state, Standing::RolledBack);
    assert_eq!(record.facts.quarantined, [lenient_version("2.0.0")]);
    assert_eq!(record.facts.failure.as_ref().unwrap().cause.as_deref(), Some("docker did not answer"));
    assert_eq!(absorbed.events[0].release.as_deref(), Some("2.0.0"));
}

#[test]
fn other_failures_quarantine_nothing_and_unknown_events_are_dropped() {
    let mut record = machine();
    let absorbed = absorb(&mut record, &said(3, 0, None, Some(37)), Time(3));
    assert_eq!((absorbed.words[0].outcome, record.state), (Outcome::Retrying, Standing::Failed));
    assert!(record.facts.quarantined.is_empty());
    for (kind, result) in [(0, 0), (99, 1), (54, 1), (4_000_000_000, 7)] {
        let absorbed = absorb(&mut record, &said(kind, result, None, None), Time(4));
        assert!(absorbed.events.is_empty() && absorbed.words.is_empty(), "{kind}/{result}");
    }
    assert_eq!(absorb(&mut record, &said(3, 9, None, Some(36)), Time(5)).events.len(), 1, "deferred is kept, and no failure");
}

#[test]
fn a_new_boot_ends_what_was_in_progress_and_an_old_one_shows_a_cloned_disk() {
    let mut record = machine();
    absorb(&mut record, &said(3, 1, None, None), Time(1));
    let boot = |id: &str| CheckIn { boot_id: id.into(), reports: vec![], ..said(0, 0, None, None) };
    absorb(&mut record, &boot("boot-2"), Time(2));
    assert_eq!(record.state, Standing::Idle);
    assert_eq!(record.facts.duplicates, 0, "a reboot is no clone");
    for (id, duplicates) in [("boot-1", 1), ("boot-2", 2), ("boot-2", 2), ("boot-1", 3)] {
        absorb(&mut record, &boot(id), Time(3));
        assert_eq!(record.facts.duplicates, duplicates, "{id}");
    }
}

#[test]
fn an_operators_group_is_not_overruled_by_the_machine() {
    let mut record = machine();
    record.facts.group_fixed = true;
    absorb(&mut record, &CheckIn { group: "beta".into(), ..said(0, 0, None, None) }, Time(1));
    assert_eq!(record.group, "stable");
    record.facts.group_fixed = false;
    absorb(&mut record, &CheckIn { group: "beta".into(), ..said(0, 0, None, None) }, Time(1));
    assert_eq!(record.group, "beta");
}
