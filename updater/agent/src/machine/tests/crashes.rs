//! A model of a machine with power cuts at every boundary between effects, and what must never happen on it.

use std::collections::BTreeSet;

use payload::Version;
use proptest::prelude::*;

use super::super::evidence::PROVEN_MIN;
use super::super::persisted::BootCount;
use super::super::test_support::*;
use super::super::{Effect, Input, Machine, Persisted, State, Work};
use crate::config::Strategy as RebootStrategy;
use crate::daemon::host::{Booted, Firmware, Refusal, RefusalKind, Slot, TurnAnswer};
use crate::daemon::not_begun;

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
    /// The firmware's own count of boots, on machines that have one.
    counts: bool,
    /// Machines take turns here.
    turns: bool,
    /// It is this one's.
    has_turn: bool,
    /// This boot has written nothing yet.
    silent: bool,
    /// Nothing can be written in this boot: the state partition is full, or answers with errors.
    full: bool,
    was_full: bool,
    /// The state that an effect relies on could not be written.
    unwritten: bool,
    /// A boot ended before it wrote anything: to the next one it looks like a trial that panicked.
    unseen: bool,
    /// What each slot holds, if it could be booted.
    slots: [Option<Version>; 2],
    /// Versions that were verified.
    verified: BTreeSet<Version>,
    /// Versions that were ill in a trial or silent.
    failed: BTreeSet<Version>,
    /// Versions whose slot was started by the boot loader.
    tried: BTreeSet<Version>,
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
    fn new(numbers: Vec<u8>, counts: bool, turns: bool) -> Self {
        let boot_count = Some(BootCount { boot_id: "boot-0".to_owned(), count: 0, proven: PROVEN_MIN });
        Self {
            disk: Persisted { boot_count: boot_count.filter(|_| counts), ..settled("1.0.0") },
            default: Slot::A,
            one_shot: None,
            running: Slot::A,
            boot: 1,
            counts,
            turns,
            has_turn: false,
            silent: true,
            full: false,
            was_full: false,
            unwritten: false,
            unseen: false,
            slots: [Some(version("1.0.0")), None],
            verified: BTreeSet::from([version("1.0.0")]),
            failed: BTreeSet::new(),
            tried: BTreeSet::new(),
            received: Vec::new(),
            ill: BTreeSet::new(),
            offer: version("1.1.0"),
            dice: Dice { numbers, at: 0 },
        }
    }

    fn power_on(&mut self) {
        self.boot += 1;
        self.has_turn = false;
        let chosen = self.one_shot.take().filter(|slot| self.slots[at(*slot)].is_some()).unwrap_or(self.default);
        assert!(self.slots[at(chosen)].is_some(), "invariant 3: slot {chosen} is started and holds nothing");
        // A release may be so ill that it does not even start the daemon: the watchdog reboots.
        let version = self.slots[at(chosen)].clone().unwrap();
        self.tried.insert(version.clone());
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
                self.unwritten = self.full;
                if !self.full {
                    self.disk = machine.persisted().clone();
                    self.silent = false;
                }
                None
            }
            Effect::GiveUpTurn => {
                self.has_turn = false;
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
            Effect::Work(work) => match not_begun(work, "no space left on device").filter(|_| self.unwritten) {
                Some(input) => Some(input),
                None => {
                    let into_trial = *work == Work::Reboot && matches!(machine.state(), State::Rebooting { trial: Some(_) });
                    assert!(!into_trial || !self.turns || self.has_turn, "a reboot out of turn");
                    return self.work(work, works, result());
                }
            },
        };
        Some(input)
    }

    fn work(&mut self, work: &Work, works: bool, result: Result<(), crate::daemon::host::Failure>) -> Option<Option<Input>> {
        let running = self.running;
        Some(Some(match work {
            Work::Check(_) if works => offered(&self.offer.to_string()),
            Work::Check(_) => Input::Checked(Err(failure("no route"))),
            Work::Refresh if works => Input::Refreshed(Ok(None)),
            Work::Refresh => Input::Refreshed(Err(Refusal { kind: RefusalKind::Unreachable, text: "no route".to_owned() })),
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
            Work::TakeTurn(_) => {
                self.has_turn = works;
                Input::Turn(if works { TurnAnswer::Granted } else { TurnAnswer::Refused("another machine has it".to_owned()) })
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
        self.silent = true;
        self.full = self.dice.roll(5);
        self.was_full |= self.full;
        let firmware = Firmware { boots: self.counts.then_some(self.boot), one_shot: self.one_shot };
        let booted = Booted { firmware, ..booted(self.running, self.boot, &running) };
        let mut settings = settings();
        if self.turns {
            settings.reboot.strategy = RebootStrategy::EtcdLock;
        }
        let mut machine = Machine::new(booted, self.disk.clone(), settings);
        let mut inputs = vec![Input::Start];
        let mut secs = 0;
        for _ in 0..limit {
            let input = match inputs.pop() {
                Some(input) => input,
                None => {
                    if rests(&machine) && self.full {
                        // What could not be written is only in memory: the story is not over.
                        self.unseen |= self.silent;
                        return false;
                    }
                    if rests(&machine) && machine.status().outcome.is_some_and(|ended| ended.result != "failed") {
                        return true;
                    }
                    secs += machine.sleep(now(secs)).expect("asleep for ever").as_secs() + 1;
                    Input::Tick
                }
            };
            // A late answer has no use; that is no fault.
            let Ok(effects) = machine.step(input, now(secs)) else { continue };
            self.unwritten = false;
            for effect in &effects {
                match self.perform(&machine, effect) {
                    None => {
                        self.unseen |= self.silent;
                        return false;
                    }
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
    fn no_power_cut_and_no_failure_breaks_an_invariant(
        numbers in proptest::collection::vec(any::<u8>(), 0..400), bad in any::<bool>(), counts in any::<bool>(),
        turns in any::<bool>(),
    ) {
        let mut model = Model::new(numbers, counts, turns);
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
        // Where the firmware counts, only what was started is blamed, unless two cuts in a row hide it.
        if counts && !model.unseen {
            for entry in &model.disk.quarantine {
                prop_assert!(model.tried.contains(&entry.version), "{} was never started and is in quarantine: {}", entry.version, entry.cause);
            }
        }
        // Exactly once, or flagged.
        let mut seen = BTreeSet::new();
        for (number, repeated) in &model.received {
            // That an event was sent cannot be remembered on a full disk.
            prop_assert!(seen.insert(*number) || *repeated || model.was_full, "event {} came twice without a mark", number);
        }
    }
}
