//! What must never happen, at any moment at which the power may go and whatever the disk answers.

#![allow(clippy::print_stdout, reason = "what was explored is the result; cargo shows it with --nocapture")]

mod cuts;
mod faults;
mod model;
mod mutations;

use super::story::{Nature, Scenario};

/// The plainest scenario: the server has a release, and it is good.
const UPDATE: Scenario = Scenario {
    name: "a good release",
    offer: Some(1),
    natures: [Nature::Good; 3],
    by_hand: false,
    counts: true,
    updated: false,
    stalls: false,
    steps: &[],
};

const ILL: Scenario = Scenario { name: "an ill release", natures: [Nature::Good, Nature::Ill, Nature::Good], ..UPDATE };
