use super::super::test_support::*;
use super::super::{Effect, Input, Persisted, Phase};
use crate::daemon::host::{Booted, Slot};

/// What is on disk once 1.1.0 is staged in slot B and the machine goes down.
fn flipped() -> Persisted {
    let mut bench = Bench::new();
    bench.stage("1.1.0");
    bench.machine.persisted().clone()
}

fn trial_boot() -> Booted {
    booted(Slot::B, 2, "1.1.0")
}

fn back_again() -> Booted {
    booted(Slot::A, 3, "1.0.0")
}

#[test]
fn a_healthy_trial_is_committed_and_reported() {
    let (mut bench, effects) = Bench::booted(trial_boot(), flipped(), settings());
    assert_eq!(deeds(&effects), ["health"]);
    assert_eq!(bench.state(), "trial");
    assert_eq!(work(&bench.feed(Input::Healthy(healthy())))[..2], ["persist", "commit b"]);
    bench.feed(Input::Committed(Ok(())));
    let persisted = bench.machine.persisted();
    assert_eq!(persisted.committed, Some(Slot::B));
    assert_eq!(persisted.floor, Some(version("1.1.0")));
    assert_eq!(persisted.phase, Phase::Idle);
    let event = persisted.outbox.last().unwrap();
    assert_eq!((event.kind, event.result, event.previous_version.clone()), (3, 2, Some(version("1.0.0"))));
    assert_eq!(bench.state(), "idle");
}

#[test]
fn a_trial_is_not_committed_before_it_is_healthy() {
    let (bench, _) = Bench::booted(trial_boot(), flipped(), settings());
    assert_eq!(bench.machine.persisted().committed, Some(Slot::A));
    assert_eq!(bench.machine.persisted().floor, Some(version("1.0.0")));
}

#[test]
fn an_ill_trial_goes_back_and_is_quarantined_before_the_reboot() {
    let (mut bench, _) = Bench::booted(trial_boot(), flipped(), settings());
    let effects = bench.feed(Input::Healthy(ill("docker did not answer")));
    assert_eq!(work(&effects)[..2], ["persist", "restore a"]);
    assert!(bench.machine.persisted().quarantined(&version("1.1.0")).is_some());
    assert_eq!(deeds(&bench.feed(Input::DefaultRestored(Ok(())))), ["reboot"]);

    let (mut bench, effects) = Bench::booted(back_again(), bench.machine.persisted().clone(), settings());
    assert_eq!(deeds(&effects), ["discard b"]);
    bench.feed(Input::Discarded(Ok(())));
    assert_eq!(bench.state(), "rolled-back");
    let persisted = bench.machine.persisted();
    assert_eq!(persisted.quarantined(&version("1.1.0")).unwrap().cause, "docker did not answer");
    let event = persisted.outbox.last().unwrap();
    assert_eq!((event.kind, event.result, event.error_code), (3, 0, Some(44)));
    assert_eq!((event.release.clone(), event.cause.as_deref()), (Some(version("1.1.0")), Some("docker did not answer")));

    bench.wake();
    assert_eq!(deeds(&bench.feed(offered("1.1.0"))), Vec::<String>::new(), "never again by itself");
}

#[test]
fn a_trial_that_never_spoke_is_quarantined() {
    let (bench, effects) = Bench::booted(back_again(), flipped(), settings());
    assert_eq!(deeds(&effects), ["discard b"]);
    assert!(bench.machine.persisted().quarantined(&version("1.1.0")).unwrap().cause.contains("no word from the trial boot"));
}

#[test]
fn a_trial_whose_health_gate_hangs_is_left() {
    let (mut bench, _) = Bench::booted(trial_boot(), flipped(), settings());
    assert_eq!(deeds(&bench.wake()), ["restore a"]);
    assert_eq!(bench.secs, 6 * 60);
    assert!(bench.machine.persisted().quarantined(&version("1.1.0")).unwrap().cause.contains("no result within"));
}

#[test]
fn a_trial_leaves_even_if_the_default_cannot_be_restored_or_the_reboot_fails() {
    let (mut bench, _) = Bench::booted(trial_boot(), flipped(), settings());
    bench.feed(Input::Healthy(ill("x")));
    assert_eq!(deeds(&bench.feed(Input::DefaultRestored(Err(failure("read-only"))))), ["reboot"]);
    for _ in 0..3 {
        bench.feed(Input::Rebooting(Err(failure("no logind"))));
        assert_eq!(deeds(&bench.wake()), ["reboot"]);
    }
}

#[test]
fn a_slot_that_cannot_be_made_the_default_is_left() {
    let (mut bench, _) = Bench::booted(trial_boot(), flipped(), settings());
    bench.feed(Input::Healthy(healthy()));
    for _ in 0..4 {
        bench.feed(Input::Committed(Err(failure("no space in NVRAM"))));
        assert_eq!(deeds(&bench.wake()), ["commit b"]);
    }
    assert_eq!(deeds(&bench.feed(Input::Committed(Err(failure("no space in NVRAM"))))), ["restore a"]);
    assert!(bench.machine.persisted().quarantined(&version("1.1.0")).unwrap().cause.contains("no space in NVRAM"));
}

#[test]
fn a_slot_that_keeps_coming_back_does_not_reboot_for_ever() {
    let mut persisted = flipped();
    let mut reboots = 0;
    for boot in 2..20 {
        let (mut bench, effects) = Bench::booted(booted(Slot::B, boot, "1.1.0"), persisted, settings());
        if deeds(&effects) == ["health"] {
            bench.feed(Input::Healthy(ill("x")));
        }
        if bench.state() == "leaving-trial" {
            reboots += 1;
            bench.feed(Input::DefaultRestored(Ok(())));
        } else {
            assert!(rests(&bench.machine));
            assert!(bench.machine.status().last_error.unwrap().contains("staying here"));
        }
        persisted = bench.machine.persisted().clone();
    }
    assert_eq!(reboots, 3);
}

#[test]
fn a_daemon_that_restarts_in_the_trial_judges_again() {
    let (bench, _) = Bench::booted(trial_boot(), flipped(), settings());
    let (bench, effects) = Bench::booted(trial_boot(), bench.machine.persisted().clone(), settings());
    assert_eq!(deeds(&effects), ["health"]);
    assert!(matches!(bench.machine.persisted().phase, Phase::Trial { boots: 1, .. }));
}

#[test]
fn a_commit_that_was_interrupted_is_finished() {
    let (mut bench, _) = Bench::booted(trial_boot(), flipped(), settings());
    bench.feed(Input::Healthy(healthy()));
    let (mut bench, effects) = Bench::booted(booted(Slot::B, 3, "1.1.0"), bench.machine.persisted().clone(), settings());
    assert_eq!(deeds(&effects), ["commit b"]);
    bench.feed(Input::Committed(Ok(())));
    assert_eq!(bench.machine.persisted().committed, Some(Slot::B));
}

#[test]
fn a_commit_that_was_lost_is_no_fault_of_the_release() {
    let (mut bench, _) = Bench::booted(trial_boot(), flipped(), settings());
    bench.feed(Input::Healthy(healthy()));
    let (mut bench, effects) = Bench::booted(back_again(), bench.machine.persisted().clone(), settings());
    assert_eq!(deeds(&effects), Vec::<String>::new());
    assert!(bench.machine.persisted().quarantine.is_empty());
    bench.wake();
    assert_eq!(deeds(&bench.feed(offered("1.1.0"))), ["verify 1.1.0"]);
}

#[test]
fn a_commit_that_the_disk_does_not_know_of_is_not_made() {
    let (mut bench, _) = Bench::booted(trial_boot(), flipped(), settings());
    let mut effects = bench.feed(Input::Healthy(healthy()));
    for _ in 0..4 {
        assert_eq!(work(&effects)[..2], ["persist", "commit b"], "the intention is written at every attempt");
        let Some(Effect::Work(commit)) = effects.iter().find(|effect| matches!(effect, Effect::Work(_))) else { panic!("no work") };
        let refused = crate::daemon::not_begun(commit, "no space left on device").expect("not begun");
        assert!(bench.feed(refused).is_empty());
        effects = bench.wake();
    }
    let commit = crate::daemon::not_begun(&super::super::Work::Commit(Slot::B), "no space left on device").expect("not begun");
    assert_eq!(deeds(&bench.feed(commit)), ["restore a"], "back to the slot that the disk knows");
    assert_eq!(bench.machine.persisted().committed, Some(Slot::A));
}

#[test]
fn what_leads_back_is_done_whether_it_can_be_written_or_not() {
    use super::super::Work;
    for work in [Work::Discard(Slot::B), Work::RestoreDefault(Slot::A), Work::Reboot, Work::Health] {
        assert!(crate::daemon::not_begun(&work, "no space left on device").is_none(), "{work:?}");
    }
    // The old slot on a disk that is still full: what it reads is what was written before the trial, boot after boot.
    for boot in 3..6 {
        let (bench, effects) = Bench::booted(booted(Slot::A, boot, "1.0.0"), flipped(), settings());
        assert_eq!(deeds(&effects), ["discard b"]);
        assert!(bench.machine.persisted().quarantined(&version("1.1.0")).is_some());
    }
}

#[test]
fn committing_a_release_takes_it_out_of_quarantine() {
    let mut persisted = flipped();
    persisted.put_into_quarantine(version("1.1.0"), "x", now(0).wall);
    let (mut bench, _) = Bench::booted(trial_boot(), persisted, settings());
    bench.feed(Input::Healthy(healthy()));
    bench.feed(Input::Committed(Ok(())));
    assert!(bench.machine.persisted().quarantine.is_empty());
}

#[test]
fn the_history_tells_of_the_rollback() {
    let (_, effects) = Bench::booted(back_again(), flipped(), settings());
    let told = effects.iter().any(|effect| matches!(effect, Effect::Log(entry) if entry.what == crate::history::What::RolledBack));
    assert!(told, "{effects:?}");
}
