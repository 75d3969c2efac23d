use super::super::evidence::PROVEN_MIN;
use super::super::persisted::BootCount;
use super::super::test_support::*;
use super::super::{Effect, Input, Persisted, Phase, Trial};
use crate::daemon::host::{Booted, Firmware, Slot};

/// The firmware's count in the boot in which the flip is made.
const COUNT: u32 = 7;

fn proven() -> Option<BootCount> {
    Some(BootCount { boot_id: "boot-1".to_owned(), count: COUNT, proven: PROVEN_MIN })
}

fn with_firmware(booted: Booted, boots: Option<u32>, one_shot: Option<Slot>) -> Booted {
    Booted { firmware: Firmware { boots, one_shot }, ..booted }
}

/// A machine whose firmware counts, at rest in its first boot.
fn counting() -> Bench {
    let persisted = Persisted { boot_count: proven(), ..settled("1.0.0") };
    Bench::booted(with_firmware(booted(Slot::A, 1, "1.0.0"), Some(COUNT), None), persisted, settings()).0
}

/// The old slot again, with the firmware's count at `boots`.
fn back(boot: u32, boots: u32, persisted: &Persisted) -> (Bench, Vec<Effect>) {
    Bench::booted(with_firmware(booted(Slot::A, boot, "1.0.0"), Some(boots), None), persisted.clone(), settings())
}

#[test]
fn every_piece_of_evidence_and_every_lack_of_it() {
    let trial = |flipped_at| Trial {
        slot: Slot::B,
        version: Some(version("1.1.0")),
        previous: version("1.0.0"),
        rollback_index: 0,
        rollback: false,
        flipped_at,
    };
    let flipped = |at, confirmed| Phase::Flipped { trial: trial(at), boot_id: "boot-1".to_owned(), confirmed };
    let discarding = |at| Phase::Discarding { slot: Slot::B, trial: Some(trial(at)), boot_id: "boot-1".to_owned() };
    let (b, n) = (Some(Slot::B), None);
    let table = [
        ("one boot since: this one", flipped(Some(7), false), Some(8), n, "flip b", false),
        ("two boots since: one may have been the trial", flipped(Some(7), false), Some(9), n, "discard b", true),
        ("none since: kexec", flipped(Some(7), false), Some(7), n, "flip b", false),
        ("the count went back: another firmware", flipped(Some(7), false), Some(3), n, "discard b", true),
        ("the count wrapped", flipped(Some(u32::MAX), false), Some(0), n, "flip b", false),
        ("no count any more", flipped(Some(7), false), None, n, "discard b", true),
        ("the count was not reliable then", flipped(None, false), Some(8), n, "discard b", true),
        ("no count at all", flipped(None, false), None, n, "discard b", true),
        ("the loader never ran", flipped(None, false), None, b, "flip b", false),
        ("the one-shot choice is another one", flipped(None, false), None, Some(Slot::A), "discard b", true),
        ("the choice is there, but somebody booted", flipped(Some(7), false), Some(9), b, "discard b", true),
        ("the flip is known to have worked", flipped(Some(7), true), Some(8), n, "discard b", true),
        ("being taken back, one boot since", discarding(Some(7)), Some(8), n, "discard b", false),
        ("being taken back, two boots since", discarding(Some(7)), Some(9), n, "discard b", true),
        ("being taken back, no count", discarding(None), None, n, "discard b", true),
    ];
    for (name, phase, boots, one_shot, deed, quarantined) in table {
        let machine = with_firmware(booted(Slot::A, 2, "1.0.0"), boots, one_shot);
        let (bench, effects) = Bench::booted(machine, Persisted { phase, ..settled("1.0.0") }, settings());
        assert_eq!(deeds(&effects), [deed], "{name}");
        assert_eq!(bench.machine.persisted().quarantined(&version("1.1.0")).is_some(), quarantined, "{name}");
    }
}

/// Where the power is cut, what was booted until the old slot came back, and what must follow.
#[test]
fn a_power_cut_at_each_step_of_the_flip() {
    // Before the flip is written down: the slot is written anew.
    let mut bench = counting();
    bench.feed(Input::Apply { despite_quarantine: None });
    bench.feed(offered("1.1.0"));
    bench.feed(verified("1.1.0"));
    let (next, effects) = back(2, 8, bench.machine.persisted());
    assert_eq!(deeds(&effects), Vec::<String>::new());
    assert!(next.machine.persisted().quarantine.is_empty());

    // Written down and not made, or made and lost with the firmware's cache: nobody booted it, so it is tried now.
    bench.feed(Input::Staged(Ok(())));
    let before_the_flip = bench.machine.persisted().clone();
    let (mut next, effects) = back(2, 8, &before_the_flip);
    assert_eq!(work(&effects)[..2], ["persist", "flip b"], "the intention is on disk before the deed");
    assert_eq!(deeds(&next.feed(Input::Flipped(Ok(())))), ["reboot"]);
    let confirmed = next.machine.persisted().clone();
    assert!(confirmed.quarantine.is_empty());
    assert_eq!(confirmed.attempts.as_ref().map(|attempts| attempts.failures), Some(1));

    // Made, not yet known to have worked, and the trial panicked: one boot more.
    let (ill, effects) = back(3, 9, &before_the_flip);
    assert_eq!(deeds(&effects), ["discard b"]);
    assert!(ill.machine.persisted().quarantined(&version("1.1.0")).is_some());

    // Made, not yet known, and the trial boots: it is a trial like any other.
    let trial = with_firmware(booted(Slot::B, 2, "1.1.0"), Some(8), None);
    let (_, effects) = Bench::booted(trial, before_the_flip, settings());
    assert_eq!(deeds(&effects), ["health"]);

    // Known to have worked: whatever came back without a word is the release's fault, also after a flip that was made twice.
    let (ill, effects) = back(4, 9, &confirmed);
    assert_eq!(deeds(&effects), ["discard b"]);
    assert!(ill.machine.persisted().quarantined(&version("1.1.0")).is_some());
}

#[test]
fn a_machine_that_dies_of_the_flip_gives_up_without_blaming_the_release() {
    let mut bench = counting();
    bench.stage("1.1.0");
    let mut persisted = bench.machine.persisted().clone();
    if let Phase::Flipped { confirmed, .. } = &mut persisted.phase {
        *confirmed = false;
    }
    let mut flips = 0;
    for boot in 2..30 {
        let (bench, effects) = back(boot, COUNT + boot - 1, &persisted);
        flips += deeds(&effects).iter().filter(|deed| *deed == "flip b").count();
        persisted = bench.machine.persisted().clone();
        if deeds(&effects) == ["discard b"] {
            break;
        }
    }
    assert_eq!(flips, 11);
    assert!(persisted.quarantine.is_empty() && matches!(persisted.phase, Phase::Discarding { .. }));
}

#[test]
fn an_operators_way_back_is_taken_up_again_however_often_the_power_fails() {
    let mut persisted = Persisted { boot_count: proven(), ..settled("1.0.0") };
    persisted.slot_b = Some(version("0.9.0"));
    let first = with_firmware(booted(Slot::A, 1, "1.0.0"), Some(COUNT), None);
    let (mut bench, _) = Bench::booted(first, persisted, settings());
    bench.feed(Input::Rollback);
    bench.feed(Input::Probed(Ok(true)));
    let mut persisted = bench.machine.persisted().clone();
    for boot in 2..30 {
        let (bench, effects) = back(boot, COUNT + boot - 1, &persisted);
        assert_eq!(deeds(&effects), ["flip b"]);
        persisted = bench.machine.persisted().clone();
    }
    assert!(persisted.quarantine.is_empty() && persisted.attempts.is_none());
}

/// Boots with these counts; how often in a row the count was then seen to go up.
fn proof(counts: &[Option<u32>]) -> Option<u32> {
    let mut persisted = settled("1.0.0");
    for (boot, count) in (1..).zip(counts) {
        let machine = with_firmware(booted(Slot::A, boot, "1.0.0"), *count, None);
        let (bench, effects) = Bench::booted(machine.clone(), persisted.clone(), settings());
        let changed = bench.machine.persisted().boot_count != persisted.boot_count;
        assert_eq!(effects.contains(&Effect::Persist), changed, "written once a boot: {counts:?}");
        persisted = bench.machine.persisted().clone();
        let (bench, effects) = Bench::booted(machine, persisted.clone(), settings());
        assert_eq!((bench.machine.persisted(), effects), (&persisted, Vec::new()), "a restart of the daemon is no boot");
    }
    persisted.boot_count.map(|seen| seen.proven)
}

#[test]
fn a_count_is_believed_once_it_was_seen_to_go_up_and_not_longer_than_it_does() {
    let table: &[(&[Option<u32>], Option<u32>)] = &[
        (&[None], None),
        (&[Some(5)], Some(0)),
        (&[Some(5), Some(6)], Some(1)),
        (&[Some(5), Some(6), Some(7)], Some(2)),
        (&[Some(5), Some(6), Some(7), Some(8)], Some(2)),
        (&[Some(5), Some(9), Some(11)], Some(2)),
        (&[Some(5), Some(6), Some(7), Some(7)], Some(0)),
        (&[Some(5), Some(6), Some(7), Some(2)], Some(0)),
        (&[Some(5), Some(6), Some(7), None], None),
        (&[Some(5), Some(6), None, Some(7), Some(8)], Some(1)),
    ];
    for (counts, expected) in table {
        assert_eq!(proof(counts), *expected, "{counts:?}");
    }
}

#[test]
fn a_count_that_did_not_prove_itself_is_not_written_into_the_flip() {
    let mut bench = counting();
    bench.stage("1.1.0");
    assert!(matches!(&bench.machine.persisted().phase, Phase::Flipped { trial, .. } if trial.flipped_at == Some(COUNT)));
    let fresh = with_firmware(booted(Slot::A, 1, "1.0.0"), Some(COUNT), None);
    let (mut bench, _) = Bench::booted(fresh, settled("1.0.0"), settings());
    bench.stage("1.1.0");
    assert!(matches!(&bench.machine.persisted().phase, Phase::Flipped { trial, .. } if trial.flipped_at.is_none()));
}
