//! A model of a machine with power cuts at every boundary between effects, and what must never happen on it.

use std::collections::BTreeSet;

use payload::Version;
use proptest::prelude::*;

use super::super::test_support::*;
use super::super::{Effect, Input, Machine, Persisted, State, Work};
use crate::daemon::host::Slot;

/// What one random number decides: whether the power is cut, whether a deed works, whether a release is healthy.
#[derive(Debug, Clone)]
struct Dice {
    numbers: Vec<u8>,
    at: usize,
}

impl Dice {
    /// Once the numbers are used up everything works and nothing is cut.
    fn roll(&mut self, one_in: u8) -> bool {
        let number = self.numbers.get(self.at).copied();
        self.at += 1;
        number.is_some_and(|number| number % one_in == 0)
    }
}

/// The hardware: what survives a power cut.
#[derive(Debug)]
struct Model {
    disk: Persisted,
    default: Slot,
    one_shot: Option<Slot>,
    running: Slot,
    boot: u32,
    /// What each slot holds, if it could be booted.
    slots: [Option<Version>; 2],
    /// Versions that were verified.
    verified: BTreeSet<Version>,
    /// Versions that were ill in a trial or silent.
    failed: BTreeSet<Version>,
    /// Events the server got, with their marks.
    received: Vec<(u64, bool)>,
    ill: BTreeSet<Version>,
    offer: Version,
    dice: Dice,
}

fn at(slot: Slot) -> usize {
    usize::from(slot == Slot::B)
}

impl Model {
    fn new(numbers: Vec<u8>) -> Self {
        Self {
            disk: settled("1.0.0"),
            default: Slot::A,
            one_shot: None,
            running: Slot::A,
            boot: 1,
            slots: [Some(version("1.0.0")), None],
            verified: BTreeSet::from([version("1.0.0")]),
            failed: BTreeSet::new(),
            received: Vec::new(),
            ill: BTreeSet::new(),
            offer: version("1.1.0"),
            dice: Dice { numbers, at: 0 },
        }
    }

    fn power_on(&mut self) {
        self.boot += 1;
        let chosen = self.one_shot.take().filter(|slot| self.slots[at(*slot)].is_some()).unwrap_or(self.default);
        assert!(self.slots[at(chosen)].is_some(), "invariant 3: slot {chosen} is started and holds nothing");
        // A release may be so ill that it does not even start the daemon: the watchdog reboots.
        let version = self.slots[at(chosen)].clone().unwrap();
        if chosen != self.default && self.ill.contains(&version) && self.dice.roll(3) {
            self.failed.insert(version);
            self.boot += 1;
            self.running = self.default;
        } else {
            self.running = chosen;
        }
    }

    /// One effect. `None` is a power cut; else what it leads to.
    fn perform(&mut self, machine: &Machine, effect: &Effect) -> Option<Option<Input>> {
        if self.dice.roll(23) {
            return None;
        }
        let works = !self.dice.roll(11);
        let result = || if works { Ok(()) } else { Err(failure("it did not work")) };
        let input = match effect {
            Effect::Persist => {
                self.disk = machine.persisted().clone();
                None
            }
            Effect::Log(_) | Effect::CancelWork | Effect::Ping | Effect::AskUsers | Effect::WarnUsers(_) => None,
            Effect::Report(event) => {
                let lost = self.dice.roll(7);
                if works {
                    self.received.push((event.number, event.repeated));
                }
                let answered = if works && !lost { Ok(()) } else { Err(failure("no answer")) };
                Some(Input::Reported { number: event.number, result: answered })
            }
            Effect::Work(work) => return self.work(work, works, result()),
        };
        Some(input)
    }

    fn work(&mut self, work: &Work, works: bool, result: Result<(), crate::daemon::host::Failure>) -> Option<Option<Input>> {
        let running = self.running;
        Some(Some(match work {
            Work::Check(_) if works => offered(&self.offer.to_string()),
            Work::Check(_) => Input::Checked(Err(failure("no route"))),
            Work::Verify(offer) => {
                self.verified.insert(offer.version.clone());
                verified(&offer.version.to_string())
            }
            Work::Stage { release, slot } => {
                let version = release.release.version.clone();
                assert_ne!(*slot, running, "invariant 1: the active slot is written");
                assert_ne!(*slot, self.default, "invariant 3: the default slot is written");
                assert!(!self.failed.contains(&version), "invariant 5: {version} failed here and is tried again");
                self.slots[at(*slot)] = None;
                if self.dice.roll(5) {
                    return None;
                }
                if works {
                    self.slots[at(*slot)] = Some(version);
                }
                Input::Staged(result)
            }
            Work::Probe(slot) => Input::Probed(Ok(self.slots[at(*slot)].is_some())),
            Work::Flip(slot) => {
                let version = self.slots[at(*slot)].clone().expect("invariant 2: flipped to a slot that is not complete");
                assert!(self.verified.contains(&version), "invariant 4: flipped to unverified {version}");
                assert!(!self.failed.contains(&version), "invariant 5: flipped to {version}, which failed here");
                assert_ne!(*slot, running);
                if works || self.dice.roll(2) {
                    self.one_shot = Some(*slot);
                }
                Input::Flipped(result)
            }
            Work::Discard(slot) => {
                assert_ne!(*slot, running, "invariant 1: the active slot is discarded");
                assert_ne!(*slot, self.default, "invariant 3: the default slot is discarded");
                if works {
                    self.one_shot = None;
                    self.slots[at(*slot)] = None;
                }
                Input::Discarded(result)
            }
            Work::Reboot if works => return None,
            Work::Reboot => Input::Rebooting(result),
            Work::Health => {
                let version = self.slots[at(running)].clone().unwrap();
                if self.ill.contains(&version) {
                    self.failed.insert(version);
                    Input::Healthy(ill("a service failed"))
                } else {
                    Input::Healthy(healthy())
                }
            }
            Work::Commit(slot) => {
                assert_eq!(*slot, running, "only what runs is committed");
                let version = self.slots[at(*slot)].clone().unwrap();
                assert!(!self.ill.contains(&version) || self.default == *slot, "ill {version} is committed");
                if works || self.dice.roll(2) {
                    self.default = *slot;
                }
                Input::Committed(result)
            }
            Work::RestoreDefault(slot) => {
                if works {
                    self.default = *slot;
                }
                Input::DefaultRestored(result)
            }
        }))
    }

    /// One boot: until the power is cut or the machine rests and the offer is dealt with.
    fn boot(&mut self, limit: usize) -> bool {
        let running = self.slots[at(self.running)].clone().unwrap().to_string();
        let mut machine = Machine::new(booted(self.running, self.boot, &running), self.disk.clone(), settings());
        let mut inputs = vec![Input::Start];
        let mut secs = 0;
        for _ in 0..limit {
            let input = match inputs.pop() {
                Some(input) => input,
                None => {
                    if rests(&machine) && machine.status().outcome.is_some_and(|ended| ended.result != "failed") {
                        return true;
                    }
                    secs += machine.sleep(now(secs)).expect("asleep for ever").as_secs() + 1;
                    Input::Tick
                }
            };
            // A late answer has no use; that is no fault.
            let Ok(effects) = machine.step(input, now(secs)) else { continue };
            for effect in &effects {
                match self.perform(&machine, effect) {
                    None => return false,
                    Some(input) => inputs.extend(input),
                }
            }
        }
        assert!(matches!(machine.state(), State::Starting), "no rest after {limit} steps: {:?}", machine.state());
        false
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_power_cut_and_no_failure_breaks_an_invariant(numbers in proptest::collection::vec(any::<u8>(), 0..400), bad in any::<bool>()) {
        let mut model = Model::new(numbers);
        if bad {
            model.ill.insert(version("1.1.0"));
        }
        let mut rested = false;
        for boot in 0..200 {
            if boot > 0 {
                model.power_on();
            }
            if model.boot(2000) {
                rested = true;
                break;
            }
        }
        prop_assert!(rested, "the machine never came to rest");
        let running = model.slots[at(model.running)].clone().unwrap();
        prop_assert!(!model.ill.contains(&running), "it rests on an ill release");
        prop_assert_eq!(model.running, model.default, "it rests on a slot that is not the default");
        // Exactly once, or flagged.
        let mut seen = BTreeSet::new();
        for (number, repeated) in &model.received {
            prop_assert!(seen.insert(*number) || *repeated, "event {} came twice without a mark", number);
        }
    }
}
