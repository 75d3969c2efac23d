use super::super::test_support::*;
use super::super::{Effect, Input, Phase};
use crate::daemon::host::{FailureKind, Refusal, RefusalKind, Slot};

#[test]
fn an_update_goes_from_check_to_reboot_with_every_intention_on_disk_first() {
    let mut bench = Bench::new();
    assert_eq!(work(&bench.wake()), ["check"]);
    assert_eq!(work(&bench.feed(offered("1.1.0"))), ["verify 1.1.0"]);
    assert_eq!(work(&bench.feed(verified("1.1.0"))), ["persist", "stage 1.1.0 in b", "persist", "report 13/1"]);
    assert!(matches!(bench.machine.persisted().phase, Phase::Writing { slot: Slot::B, .. }));
    assert_eq!(work(&bench.feed(Input::Staged(Ok(())))), ["persist", "flip b"]);
    assert!(matches!(bench.machine.persisted().phase, Phase::Flipped { confirmed: false, .. }));
    assert_eq!(work(&bench.feed(Input::Flipped(Ok(())))), ["persist", "reboot"]);
    assert!(matches!(bench.machine.persisted().phase, Phase::Flipped { confirmed: true, .. }));
    assert_eq!(bench.state(), "rebooting");
}

#[test]
fn nothing_is_written_before_the_release_is_verified() {
    let mut bench = Bench::new();
    let before = bench.machine.persisted().clone();
    bench.wake();
    bench.feed(offered("1.1.0"));
    assert_eq!(bench.machine.persisted().phase, before.phase);
    assert_eq!(bench.machine.persisted().slot_b, before.slot_b);
}

#[test]
fn refused_metadata_never_reaches_the_slot() {
    let kinds = [
        RefusalKind::WrongKey,
        RefusalKind::Expired,
        RefusalKind::Older,
        RefusalKind::WrongApp,
        RefusalKind::WrongArch,
        RefusalKind::WrongVersion,
        RefusalKind::Missing,
        RefusalKind::Mismatch,
        RefusalKind::Malformed,
    ];
    for kind in kinds {
        let mut bench = Bench::new();
        bench.feed(Input::Apply { despite_quarantine: None });
        bench.feed(offered("1.1.0"));
        let refusal = Refusal { kind, text: "the reason".to_owned() };
        let effects = bench.feed(Input::Verified(Box::new(Err(refusal))));
        assert_eq!(deeds(&effects), Vec::<String>::new(), "{kind}");
        assert_eq!(bench.state(), "idle");
        assert!(bench.outcome().starts_with("refused: version 1.1.0 was refused"), "{}", bench.outcome());
        let event = bench.machine.persisted().outbox.first().unwrap();
        assert_eq!((event.kind, event.result, event.error_code), (3, 0, Some(26)), "{kind}");
    }
}

#[test]
fn a_refusal_is_reported_once_and_not_at_every_check() {
    let mut bench = Bench::new();
    let mut refuse = || {
        bench.wake();
        bench.feed(offered("1.1.0"));
        let refusal = Refusal { kind: RefusalKind::Expired, text: "the reason".to_owned() };
        let effects = bench.feed(Input::Verified(Box::new(Err(refusal))));
        if let Some(Effect::Report(event)) = effects.iter().find(|effect| matches!(effect, Effect::Report(_))) {
            bench.feed(Input::Reported { number: event.number, result: Ok(()) });
        }
        work(&effects).iter().filter(|name| name.starts_with("report")).count()
    };
    assert_eq!([refuse(), refuse(), refuse()], [1, 0, 0]);
}

#[test]
fn metadata_that_cannot_be_fetched_is_no_refusal_of_the_release() {
    let mut bench = Bench::new();
    bench.wake();
    bench.feed(offered("1.1.0"));
    bench.feed(Input::Verified(Box::new(Err(Refusal { kind: RefusalKind::Unreachable, text: "no route".to_owned() }))));
    assert!(bench.machine.persisted().outbox.is_empty());
    assert!(bench.machine.status().last_error.unwrap().contains("no route"));
}

#[test]
fn a_failed_download_is_reported_and_tried_again_later() {
    let mut bench = Bench::new();
    bench.wake();
    bench.feed(offered("1.1.0"));
    bench.feed(verified("1.1.0"));
    let failure = crate::daemon::host::Failure::new(FailureKind::Digest, "frame 3 of root");
    let effects = bench.feed(Input::Staged(Err(failure)));
    assert_eq!(deeds(&effects), Vec::<String>::new());
    let persisted = bench.machine.persisted();
    assert_eq!(persisted.phase, Phase::Idle);
    assert_eq!(persisted.slot_b, None, "a half-written slot is nobody's");
    assert_eq!(persisted.attempts.as_ref().unwrap().failures, 1);
    assert_eq!(persisted.outbox.last().unwrap().error_code, Some(10));
    assert_eq!(work(&bench.wake())[0], "check");
}

#[test]
fn a_flip_that_fails_leaves_no_intention_behind() {
    let mut bench = Bench::new();
    bench.wake();
    bench.feed(offered("1.1.0"));
    bench.feed(verified("1.1.0"));
    bench.feed(Input::Staged(Ok(())));
    assert_eq!(deeds(&bench.feed(Input::Flipped(Err(failure("logind said no"))))), ["discard b"]);
    bench.feed(Input::Discarded(Ok(())));
    assert_eq!(bench.machine.persisted().phase, Phase::Idle);
    assert_eq!(bench.state(), "idle");
}

#[test]
fn progress_is_shown_and_never_runs_over() {
    let mut bench = Bench::new();
    bench.wake();
    bench.feed(offered("1.1.0"));
    bench.feed(verified("1.1.0"));
    bench.feed(Input::Progress { done: 500, total: 300 });
    let progress = bench.machine.status().progress.unwrap();
    assert_eq!((progress.done, progress.total), (300, 300));
}

#[test]
fn the_running_slot_is_made_the_default_before_the_other_is_written() {
    let mut persisted = settled("1.0.0");
    persisted.committed = None;
    let (mut bench, effects) = Bench::booted(booted(Slot::A, 1, "1.0.0"), persisted, settings());
    assert_eq!(deeds(&effects), ["commit a"]);
    for _ in 0..4 {
        bench.feed(Input::Committed(Err(failure("no EFI variables"))));
        assert_eq!(deeds(&bench.wake()), ["commit a"]);
    }
    bench.feed(Input::Committed(Err(failure("no EFI variables"))));
    assert_eq!(bench.state(), "idle");
    bench.wake();
    bench.feed(offered("1.1.0"));
    assert_eq!(deeds(&bench.feed(verified("1.1.0"))), ["commit a"], "not staged: a power cut would find no default to boot");
    bench.feed(Input::Committed(Ok(())));
    bench.wake();
    bench.feed(offered("1.1.0"));
    assert_eq!(deeds(&bench.feed(verified("1.1.0"))), ["stage 1.1.0 in b"]);
}

#[test]
fn with_updates_off_a_check_only_looks_and_apply_installs() {
    let mut settings = settings();
    settings.enabled = false;
    let mut bench = Bench::with(settled("1.0.0"), settings);
    assert_eq!(bench.machine.sleep(bench.now()), None, "nothing is planned");
    bench.feed(Input::Check);
    bench.feed(offered("1.1.0"));
    assert_eq!(deeds(&bench.feed(verified("1.1.0"))), Vec::<String>::new());
    assert_eq!(bench.outcome(), "available: version 1.1.0 is available");
    bench.feed(Input::Apply { despite_quarantine: None });
    bench.feed(offered("1.1.0"));
    assert_eq!(deeds(&bench.feed(verified("1.1.0"))), ["stage 1.1.0 in b"]);
}

#[test]
fn a_check_that_finds_nothing_writes_at_most_once_per_hour() {
    let mut bench = Bench::new();
    let mut writes = 0;
    for _ in 0..32 {
        bench.wake();
        writes += work(&bench.feed(nothing())).iter().filter(|name| *name == "persist").count();
    }
    let hours = bench.secs / 3600;
    assert!((hours - 12..=hours + 1).contains(&(writes as u64)), "{writes} writes in {hours} hours");
}
