use super::super::persisted::Trial;
use super::super::test_support::*;
use super::super::{Input, Persisted, Phase};
use crate::daemon::host::Slot;

fn trial(slot: Slot) -> Trial {
    Trial { slot, version: Some(version("1.1.0")), previous: version("1.0.0"), rollback_index: 0, rollback: false, flipped_at: None }
}

/// What a machine does first when it starts in `slot` with `phase` on disk.
fn check(phase: Phase, slot: Slot, boot: u32, running: &str, expected: &[&str]) {
    let persisted = Persisted { phase: phase.clone(), ..settled("1.0.0") };
    let (_, effects) = Bench::booted(booted(slot, boot, running), persisted, settings());
    assert_eq!(deeds(&effects), expected, "{phase:?} in slot {slot}, boot {boot}");
}

#[test]
fn every_phase_is_taken_up_again() {
    let flipped = |boot: u32, confirmed| Phase::Flipped { trial: trial(Slot::B), boot_id: format!("boot-{boot}"), confirmed };
    check(Phase::Idle, Slot::A, 1, "1.0.0", &[]);
    check(Phase::Writing { version: version("1.1.0"), slot: Slot::B }, Slot::A, 2, "1.0.0", &[]);
    check(flipped(1, false), Slot::A, 1, "1.0.0", &["flip b"]);
    check(flipped(1, true), Slot::A, 1, "1.0.0", &["reboot"]);
    check(flipped(1, false), Slot::B, 2, "1.1.0", &["health"]);
    check(flipped(1, true), Slot::B, 2, "1.1.0", &["health"]);
    check(flipped(1, false), Slot::A, 2, "1.0.0", &["discard b"]);
    check(flipped(1, true), Slot::A, 2, "1.0.0", &["discard b"]);
    check(Phase::Committing { trial: trial(Slot::B) }, Slot::B, 2, "1.1.0", &["commit b"]);
    check(Phase::Committing { trial: trial(Slot::B) }, Slot::A, 3, "1.0.0", &[]);
    let discarding = |boot: u32, trial| Phase::Discarding { slot: Slot::B, trial, boot_id: format!("boot-{boot}") };
    check(discarding(1, None), Slot::A, 1, "1.0.0", &["discard b"]);
    check(discarding(1, Some(trial(Slot::B))), Slot::A, 1, "1.0.0", &["discard b"]);
    check(discarding(1, Some(trial(Slot::B))), Slot::B, 2, "1.1.0", &["health"]);
}

#[test]
fn an_interrupted_download_is_resumed_soon() {
    let persisted = Persisted { phase: Phase::Writing { version: version("1.1.0"), slot: Slot::B }, ..settled("1.0.0") };
    let (mut bench, _) = Bench::booted(booted(Slot::A, 2, "1.0.0"), persisted, settings());
    assert_eq!(deeds(&bench.wake()), ["check"]);
    assert!(bench.secs <= 60, "{}", bench.secs);
}

#[test]
fn a_machine_without_state_makes_its_slot_the_default_and_its_version_the_floor() {
    let (mut bench, effects) = Bench::booted(booted(Slot::B, 1, "1.3.0"), Persisted::default(), settings());
    assert_eq!(deeds(&effects), ["commit b"]);
    bench.feed(Input::Committed(Ok(())));
    assert_eq!(bench.machine.persisted().floor, Some(version("1.3.0")));
    assert!(bench.machine.persisted().outbox.is_empty(), "nothing was updated");
}

#[test]
fn a_cancelled_release_that_was_booted_all_the_same_is_on_trial() {
    let mut persisted = settled("1.0.0");
    persisted.slot_b = Some(version("1.1.0"));
    let (_, effects) = Bench::booted(booted(Slot::B, 2, "1.1.0"), persisted, settings());
    assert_eq!(deeds(&effects), ["health"]);
}

#[test]
fn an_older_slot_chosen_by_hand_is_adopted_and_the_floor_stays() {
    let mut persisted = settled("1.0.0");
    persisted.committed = Some(Slot::B);
    persisted.slot_b = Some(version("1.1.0"));
    persisted.floor = Some(version("1.1.0"));
    let (mut bench, effects) = Bench::booted(booted(Slot::A, 5, "1.0.0"), persisted, settings());
    assert_eq!(deeds(&effects), ["commit a"]);
    bench.feed(Input::Committed(Ok(())));
    assert_eq!(bench.machine.persisted().floor, Some(version("1.1.0")));
}

#[test]
fn the_machine_starts_once() {
    let mut bench = Bench::new();
    assert!(bench.refused(Input::Start).contains("no meaning"));
}

#[test]
fn answers_to_questions_nobody_asked_change_nothing() {
    let answers = [
        nothing(),
        offered("1.1.0"),
        verified("1.1.0"),
        Input::Staged(Ok(())),
        Input::Flipped(Ok(())),
        Input::Discarded(Ok(())),
        Input::Probed(Ok(true)),
        Input::Rebooting(Ok(())),
        Input::Healthy(healthy()),
        Input::Committed(Ok(())),
        Input::DefaultRestored(Ok(())),
        Input::Progress { done: 1, total: 2 },
    ];
    for answer in answers {
        let mut bench = Bench::new();
        let before = (bench.machine.persisted().clone(), bench.machine.status());
        bench.refused(answer);
        assert_eq!((bench.machine.persisted().clone(), bench.machine.status()), before);
    }
}
