//! Every scenario with the power cut at every moment, once and twice.

use std::time::Instant;

use super::super::boot::Trouble;
use super::super::explore::{Explorer, Limits};
use super::super::story::{Act, Nature, Scenario, Step};
use super::{ILL, UPDATE};

/// Of the states after a second cut, one in so many is followed; all of them with `SLIPWAY_TEST_FULL`. Which ones depends on nothing but
/// the states.
const SECOND_CUTS_ONE_IN: u64 = 4;

/// Explores, and makes sure that it saw at least so many states after one cut and after two: an exploration must not shrink unnoticed.
fn explore(scenario: &Scenario, floor: [usize; 2]) {
    let begun = Instant::now();
    let full = std::env::var_os("SLIPWAY_TEST_FULL").is_some();
    let limits = Limits { depth: 2, one_in: if full { 1 } else { SECOND_CUTS_ONE_IN } };
    let mut explorer = Explorer::new(scenario, limits, Trouble::default());
    let result = explorer.explore();
    let seen = &explorer.seen;
    println!("{}: {seen:?} in {} ms", scenario.name, begun.elapsed().as_millis());
    if let Err(history) = result {
        panic!("{}: {history}", scenario.name);
    }
    assert!(seen.states[0] >= floor[0] && seen.states[1] >= floor[1], "{}: only {seen:?}", scenario.name);
}

#[test]
fn a_good_release() {
    explore(&UPDATE, [120, 400]);
}

#[test]
fn a_good_release_where_the_firmware_does_not_count() {
    explore(&Scenario { name: "a good release, no count of boots", counts: false, ..UPDATE }, [115, 420]);
}

#[test]
fn an_ill_release() {
    explore(&ILL, [130, 330]);
}

#[test]
fn a_release_that_panics() {
    explore(&Scenario { name: "a release that panics", natures: [Nature::Good, Nature::Panics, Nature::Good], ..UPDATE }, [120, 310]);
}

#[test]
fn a_rollback() {
    let steps = &[Step { when: "idle", act: Act::Rollback }];
    explore(&Scenario { name: "a rollback", offer: None, updated: true, steps, ..UPDATE }, [55, 65]);
}

#[test]
fn a_cancelled_download() {
    let steps = &[Step { when: "fetching", act: Act::Offer(None) }, Step { when: "fetching", act: Act::Cancel }];
    explore(&Scenario { name: "a cancelled download", stalls: true, steps, ..UPDATE }, [34, 50]);
}

#[test]
fn a_staged_release_is_discarded_for_the_next_one() {
    let steps = &[
        Step { when: "waiting-for-reboot", act: Act::Offer(Some(2)) },
        Step { when: "waiting-for-reboot", act: Act::Cancel },
        Step { when: "waiting-for-reboot", act: Act::Reboot },
    ];
    explore(&Scenario { name: "a staged release discarded for the next one", by_hand: true, steps, ..UPDATE }, [200, 1100]);
}

#[test]
fn a_release_after_the_next_takes_the_slot_of_the_first() {
    explore(&Scenario { name: "the slot of an older release", offer: Some(2), updated: true, ..UPDATE }, [115, 400]);
}

#[test]
fn two_releases_in_a_row() {
    let steps = &[Step { when: "trial", act: Act::Offer(Some(2)) }];
    explore(&Scenario { name: "two releases in a row", steps, ..UPDATE }, [230, 1100]);
}
