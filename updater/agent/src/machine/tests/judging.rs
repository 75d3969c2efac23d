use super::super::judge::{ATTEMPTS_MAX, ATTEMPTS_PAUSE};
use super::super::test_support::*;
use super::super::{Input, Persisted};
use crate::config::Settings;

/// What becomes of the offer of `offer` on a machine that runs 1.0.0: `verify`, or the beginning of the outcome.
fn check(persisted: Persisted, settings: Settings, input: Input, offer: &str, expected: &str) {
    let mut bench = Bench::with(persisted, settings);
    bench.feed(input);
    let deeds = deeds(&bench.feed(offered(offer)));
    let seen = if deeds.is_empty() { bench.outcome() } else { deeds.join(" ") };
    assert!(seen.starts_with(expected), "{offer}: expected {expected:?}, got {seen:?}");
}

#[test]
fn downgrades_and_quarantined_releases_are_refused() {
    let plain = || settled("1.0.0");
    let floor = || Persisted { floor: Some(version("1.5.0")), ..plain() };
    let quarantined = || {
        let mut persisted = plain();
        persisted.put_into_quarantine(version("1.1.0"), "docker did not answer", now(0).wall);
        persisted
    };
    let apply = || Input::Apply { despite_quarantine: None };
    let despite = |text: &str| Input::Apply { despite_quarantine: Some(version(text)) };
    type Row<'a> = (Persisted, Input, &'a str, &'a str);
    let table: [Row<'_>; 12] = [
        (plain(), Input::Check, "1.0.1", "verify 1.0.1"),
        (plain(), Input::Check, "1.0.0", "up-to-date"),
        (plain(), apply(), "0.9.0", "refused: version 0.9.0 is older than the running version"),
        (plain(), despite("0.9.0"), "0.9.0", "refused: version 0.9.0 is older"),
        (floor(), apply(), "1.4.9", "refused: version 1.4.9 is older than 1.5.0"),
        (floor(), despite("1.4.9"), "1.4.9", "refused: version 1.4.9 is older than 1.5.0"),
        (floor(), apply(), "1.5.0", "verify 1.5.0"),
        (floor(), apply(), "1.5.0-rc.1", "refused: version 1.5.0-rc.1 is older"),
        (quarantined(), Input::Check, "1.1.0", "refused: version 1.1.0 is in quarantine on this machine (docker did not answer)"),
        (quarantined(), apply(), "1.1.0", "refused: version 1.1.0 is in quarantine"),
        (quarantined(), despite("1.2.0"), "1.1.0", "refused: version 1.1.0 is in quarantine"),
        (quarantined(), despite("1.1.0"), "1.1.0", "verify 1.1.0"),
    ];
    for (persisted, input, offer, expected) in table {
        check(persisted, settings(), input, offer, expected);
    }
}

#[test]
fn a_pin_admits_one_version() {
    let mut settings = settings();
    settings.pin = Some(version("1.2.0"));
    for (offer, expected) in [("1.2.0", "verify 1.2.0"), ("1.3.0", "refused: version 1.3.0 is not the pinned version 1.2.0")] {
        check(settled("1.0.0"), settings.clone(), Input::Check, offer, expected);
    }
}

#[test]
fn a_release_that_must_not_be_reached_directly_is_refused_after_verification() {
    let verify = |minimum: Option<&str>, index: u64, signed: &str| {
        let mut bench = Bench::with(Persisted { rollback_index: 3, ..settled("1.0.0") }, settings());
        bench.feed(Input::Check);
        bench.feed(offered("2.0.0"));
        let mut release = release(signed);
        release.release.minimum_version = minimum.map(version);
        release.release.rollback_index = index;
        let deeds = deeds(&bench.feed(Input::Verified(Box::new(Ok(release)))));
        if deeds.is_empty() { bench.outcome() } else { deeds.join(" ") }
    };
    assert_eq!(verify(Some("1.0.0"), 3, "2.0.0"), "stage 2.0.0 in b");
    assert_eq!(verify(None, 9, "2.0.0"), "stage 2.0.0 in b");
    assert!(verify(Some("1.5.0"), 3, "2.0.0").starts_with("refused: version 2.0.0 can only be reached from version 1.5.0"));
    assert!(verify(None, 2, "2.0.0").starts_with("refused: version 2.0.0 has rollback index 2"));
    assert!(verify(None, 3, "1.9.0").contains("another version than the one offered"));
}

#[test]
fn a_release_that_cannot_be_installed_gets_its_budget_and_then_a_rest() {
    let failed = |failures: u32| {
        let mut persisted = settled("1.0.0");
        for _ in 0..failures {
            persisted.fail_attempt(&version("1.1.0"), "the disk is full", now(0).wall);
        }
        persisted
    };
    let outcome = |failures: u32, secs: u64, offer: &str| {
        let mut bench = Bench::with(failed(failures), settings());
        bench.secs = secs.max(3600);
        bench.feed(Input::Tick);
        let deeds = deeds(&bench.feed(offered(offer)));
        if deeds.is_empty() { bench.machine.status().outcome.unwrap().result } else { deeds.join(" ") }
    };
    assert_eq!(outcome(ATTEMPTS_MAX - 1, 0, "1.1.0"), "verify 1.1.0");
    assert_eq!(outcome(ATTEMPTS_MAX, 0, "1.1.0"), "refused");
    assert_eq!(outcome(ATTEMPTS_MAX, 0, "1.2.0"), "verify 1.2.0", "the budget is per release");
    assert_eq!(outcome(ATTEMPTS_MAX, ATTEMPTS_PAUSE.as_secs() - 1, "1.1.0"), "refused");
    assert_eq!(outcome(ATTEMPTS_MAX, ATTEMPTS_PAUSE.as_secs(), "1.1.0"), "verify 1.1.0");
    check(failed(ATTEMPTS_MAX), settings(), Input::Apply { despite_quarantine: None }, "1.1.0", "verify 1.1.0");
}

#[test]
fn a_clock_that_went_back_does_not_prolong_the_rest() {
    let mut persisted = settled("1.0.0");
    for _ in 0..ATTEMPTS_MAX {
        persisted.fail_attempt(&version("1.1.0"), "x", now(400 * 24 * 3600).wall);
    }
    let mut bench = Bench::with(persisted, settings());
    bench.wake();
    assert_eq!(deeds(&bench.feed(offered("1.1.0"))), ["verify 1.1.0"]);
}
