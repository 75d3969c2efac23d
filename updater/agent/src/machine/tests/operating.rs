use super::super::test_support::*;
use super::super::{Input, Persisted, Phase};
use crate::config::Strategy;
use crate::daemon::host::Slot;

fn waiting() -> Bench {
    let mut settings = settings();
    settings.reboot.strategy = Strategy::Off;
    let mut bench = Bench::with(settled("1.0.0"), settings);
    bench.stage("1.1.0");
    bench
}

#[test]
fn apply_turns_a_check_that_is_under_way_into_an_installation() {
    let mut settings = settings();
    settings.enabled = false;
    let mut bench = Bench::with(settled("1.0.0"), settings);
    bench.feed(Input::Check);
    bench.feed(Input::Apply { despite_quarantine: None });
    bench.feed(offered("1.1.0"));
    assert_eq!(deeds(&bench.feed(verified("1.1.0"))), ["stage 1.1.0 in b"]);
}

#[test]
fn every_operation_has_its_own_end() {
    let mut bench = Bench::new();
    for number in 1..=3 {
        bench.feed(Input::Check);
        assert_eq!(bench.machine.operation(), number);
        assert!(bench.machine.status().outcome.is_none_or(|ended| ended.operation < number));
        bench.feed(nothing());
        assert_eq!(bench.machine.status().outcome.unwrap().operation, number);
    }
}

#[test]
fn cancelling_a_staged_release_takes_back_the_flip_and_the_boot_entry() {
    let mut bench = waiting();
    let effects = bench.feed(Input::Cancel);
    assert_eq!(work(&effects), ["cancel work", "persist", "discard b"]);
    assert!(matches!(bench.machine.persisted().phase, Phase::Discarding { slot: Slot::B, .. }));
    bench.feed(Input::Discarded(Ok(())));
    assert_eq!(bench.state(), "idle");
    assert!(bench.machine.persisted().quarantine.is_empty());
}

#[test]
fn a_cancelled_release_that_could_not_be_discarded_is_discarded_at_the_next_start() {
    let mut bench = waiting();
    bench.feed(Input::Cancel);
    bench.feed(Input::Discarded(Err(failure("read-only"))));
    assert_eq!(bench.state(), "idle");
    let (_, effects) = Bench::booted(booted(Slot::A, 1, "1.0.0"), bench.machine.persisted().clone(), settings());
    assert_eq!(deeds(&effects), ["discard b"]);
}

#[test]
fn what_can_be_cancelled_is_and_what_cannot_says_why() {
    let mut bench = Bench::new();
    assert!(bench.refused(Input::Cancel).contains("nothing to cancel"));
    bench.feed(Input::Check);
    bench.feed(Input::Cancel);
    assert_eq!(bench.state(), "idle");
    bench.feed(Input::Check);
    bench.feed(offered("1.1.0"));
    bench.feed(verified("1.1.0"));
    bench.feed(Input::Cancel);
    assert_eq!((bench.state(), &bench.machine.persisted().phase), ("idle", &Phase::Idle));

    let (mut bench, _) = Bench::booted(booted(Slot::B, 2, "1.1.0"), waiting().machine.persisted().clone(), settings());
    for input in [Input::Cancel, Input::Check, Input::Apply { despite_quarantine: None }, Input::Rollback, Input::Reboot { now: false }] {
        assert!(bench.refused(input).contains("this boot is a trial"));
    }
}

#[test]
fn a_reboot_needs_something_to_reboot_into() {
    assert!(Bench::new().refused(Input::Reboot { now: false }).contains("nothing is staged"));
}

#[test]
fn with_something_staged_the_answer_names_the_way_out() {
    let text = waiting().refused(Input::Apply { despite_quarantine: None });
    assert!(text.contains("version 1.1.0 waits for a reboot") && text.contains("updater cancel"), "{text}");
}

/// A machine that was updated from 1.0.0 in slot A to 1.1.0 in slot B.
fn updated() -> Persisted {
    Persisted {
        committed: Some(Slot::B),
        floor: Some(version("1.1.0")),
        slot_a: Some(version("1.0.0")),
        slot_b: Some(version("1.1.0")),
        metadata_checked: Some(now(0).wall),
        ..Persisted::default()
    }
}

#[test]
fn rolling_back_is_a_trial_of_the_other_slot_and_quarantines_what_was_left() {
    let (mut bench, _) = Bench::booted(booted(Slot::B, 2, "1.1.0"), updated(), settings());
    assert_eq!(deeds(&bench.feed(Input::Rollback)), ["probe a"]);
    assert_eq!(work(&bench.feed(Input::Probed(Ok(true)))), ["persist", "flip a"]);
    assert_eq!(deeds(&bench.feed(Input::Flipped(Ok(())))), ["reboot"]);

    let (mut bench, effects) = Bench::booted(booted(Slot::A, 3, "1.0.0"), bench.machine.persisted().clone(), settings());
    assert_eq!(deeds(&effects), ["health"]);
    assert!(bench.machine.persisted().quarantine.is_empty(), "not before it is certain");
    bench.feed(Input::Healthy(healthy()));
    bench.feed(Input::Committed(Ok(())));
    let persisted = bench.machine.persisted();
    assert_eq!(persisted.committed, Some(Slot::A));
    assert_eq!(persisted.floor, Some(version("1.1.0")), "the floor does not sink");
    assert!(persisted.quarantined(&version("1.1.0")).unwrap().cause.contains("an operator went back"));

    bench.wake();
    assert_eq!(deeds(&bench.feed(offered("1.1.0"))), Vec::<String>::new());
    bench.wake();
    assert_eq!(deeds(&bench.feed(offered("1.2.0"))), ["verify 1.2.0"]);
}

#[test]
fn rolling_back_needs_an_intact_slot() {
    for answer in [Ok(false), Err(failure("cannot look"))] {
        let (mut bench, _) = Bench::booted(booted(Slot::B, 2, "1.1.0"), updated(), settings());
        bench.feed(Input::Rollback);
        assert_eq!(deeds(&bench.feed(Input::Probed(answer))), Vec::<String>::new());
        assert!(bench.outcome().starts_with("failed: slot a"), "{}", bench.outcome());
        assert_eq!(bench.machine.persisted().phase, Phase::Idle);
    }
}

#[test]
fn a_rollback_that_fails_its_trial_comes_back_without_blaming_what_runs() {
    let (mut bench, _) = Bench::booted(booted(Slot::B, 2, "1.1.0"), updated(), settings());
    bench.feed(Input::Rollback);
    bench.feed(Input::Probed(Ok(true)));
    bench.feed(Input::Flipped(Ok(())));
    let (bench, _) = Bench::booted(booted(Slot::B, 3, "1.1.0"), bench.machine.persisted().clone(), settings());
    assert!(bench.machine.persisted().quarantined(&version("1.1.0")).is_none());
    assert!(bench.machine.persisted().quarantined(&version("1.0.0")).is_some());
}
