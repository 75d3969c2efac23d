//! Every access fails once, in every way a disk knows: the daemon says on what, and the next attempt succeeds.

use super::super::boot::Trouble;
use super::super::computer::{check, installed};
use super::super::disk::Fault;
use super::super::explore::{Explorer, Limits, persisted};
use super::super::story::{Scenario, Story};
use super::{ILL, UPDATE};
use crate::machine::test_support::version;

/// Input/output error, no space left, read-only file system.
const ERRNOS: [i32; 3] = [5, 28, 30];

/// What an error must say of the object that failed, one of these; nothing for what is only noted in the journal.
fn words(object: &str) -> &'static [&'static str] {
    let table: [(&str, &[&str]); 9] = [
        ("state.json", &["state.json"]),
        ("root-b-verity", &["verity"]),
        ("root-b", &["root"]),
        ("slipway-b.efi", &["uki", "boot entry"]),
        ("EFI/Linux", &["boot entry"]),
        ("loader", &["loader.conf"]),
        ("trial-", &["deadline of the trial"]),
        ("LoaderEntryDefault", &["LoaderEntryDefault"]),
        ("LoaderEntryOneShot", &["boot b once", "one-shot"]),
    ];
    table.iter().find(|(part, _)| object.contains(part)).map_or(&[], |(_, words)| words)
}

/// Fails each access of the scenario; the machine must end running `expected`. Answers how many failures there were and how many of
/// them were shown.
fn fail_each(scenario: &Scenario, expected: &str) -> (usize, usize) {
    let (mut failures, mut shown) = (0, 0);
    let faults = ERRNOS.map(Fault::Errno).into_iter().chain([Fault::Short]);
    for fault in faults {
        let mut explorer = Explorer::new(scenario, Limits { depth: 0, one_in: 1 }, Trouble::default());
        for at in 0.. {
            explorer.troubled(Trouble { fault: Some((at, fault)), forgets: None });
            let run = explorer.run(installed(scenario), Story::of(scenario)).unwrap_or_else(|broken| {
                panic!("{}: access {at} fails with {fault:?}: {broken}", scenario.name);
            });
            let Some(object) = run.faulted else { break };
            failures += 1;
            let told = |what: &str| format!("{}: {fault:?} at access {at}, {object}: {what}", scenario.name);
            for moment in &run.moments {
                let mut image = moment.durable.clone();
                check(&image).unwrap_or_else(|broken| panic!("{}", told(&broken)));
                image.settle(&moment.pending);
                check(&image).unwrap_or_else(|broken| panic!("{}", told(&broken)));
            }
            let (image, _) = run.end.unwrap();
            let state = persisted(&image).unwrap();
            assert_eq!(state.content(state.committed.unwrap()), Some(&version(expected)), "{}", told("the end"));
            let words = words(&object);
            if let Some(error) = run.errors.iter().find(|error| !error.contains("failed its trial") && !error.contains("the trial failed"))
            {
                shown += 1;
                assert!(words.is_empty() || words.iter().any(|word| error.contains(word)), "{}", told(error));
            }
        }
    }
    println!("{}: {failures} failures, {shown} of them shown to operators", scenario.name);
    (failures, shown)
}

#[test]
fn an_update_gets_over_every_single_failure() {
    let (failures, shown) = fail_each(&UPDATE, "1.1.0");
    assert!(failures >= 500 && shown >= 140, "{failures} failures, {shown} shown");
}

#[test]
fn so_does_the_way_back_from_an_ill_release() {
    let (failures, shown) = fail_each(&ILL, "1.0.0");
    assert!(failures >= 500 && shown >= 120, "{failures} failures, {shown} shown");
}
