use std::time::Duration;

use jiff::SignedDuration;

use super::super::test_support::*;
use super::super::turn::{RETRY_FIRST, RETRY_MAX, retry_after};
use super::super::window::Window;
use super::super::{Input, Machine, State};
use crate::config::{Settings, Strategy};
use crate::daemon::host::TurnAnswer;
use crate::history::What;

fn turns(strategy: Strategy) -> Settings {
    let mut settings = settings();
    settings.reboot.strategy = strategy;
    settings
}

/// With a window from 10:00 to 11:00; the tests start at 8:00.
fn windowed() -> Settings {
    let mut settings = turns(Strategy::EtcdLock);
    settings.reboot.windows.list = vec![Window { day: None, start: "10:00".parse().unwrap(), length: SignedDuration::from_hours(1) }];
    settings
}

fn waiting(machine: &Machine) -> (String, String) {
    let waiting = machine.status().waiting.unwrap();
    (waiting.reason, waiting.text)
}

fn refused(reason: &str) -> Input {
    Input::Turn(TurnAnswer::Refused(reason.to_owned()))
}

fn granted() -> Input {
    Input::Turn(TurnAnswer::Granted)
}

#[test]
fn the_turn_is_the_last_thing_before_the_reboot() {
    for strategy in [Strategy::EtcdLock, Strategy::FleetLock, Strategy::BestEffort] {
        let mut bench = Bench::with(settled("1.0.0"), turns(strategy));
        assert_eq!(deeds(&bench.stage("1.1.0")), ["take turn for 1.1.0"]);
        assert_eq!(waiting(&bench.machine).0, "turn");
        assert_eq!(deeds(&bench.feed(granted())), ["reboot"]);
        assert_eq!(bench.state(), "rebooting");
    }
}

#[test]
fn users_are_waited_for_first() {
    let mut settings = turns(Strategy::EtcdLock);
    settings.reboot.wait_for_users = Duration::from_secs(300);
    let mut bench = Bench::with(settled("1.0.0"), settings);
    assert_eq!(deeds(&bench.stage("1.1.0")), ["ask users"]);
    assert_eq!(deeds(&bench.feed(Input::Users(Vec::new()))), ["take turn for 1.1.0"]);
}

#[test]
fn a_refusal_is_shown_told_once_and_tried_again_ever_more_rarely() {
    let mut bench = Bench::with(settled("1.0.0"), turns(Strategy::EtcdLock));
    bench.stage("1.1.0");
    let mut waits = Vec::new();
    for number in 0..10 {
        let effects = bench.feed(refused("n2 has it"));
        let told: Vec<_> =
            effects.iter().filter(|effect| matches!(effect, super::super::Effect::Log(entry) if entry.what == What::Waiting)).collect();
        assert_eq!(told.len(), usize::from(number == 0));
        assert_eq!(waiting(&bench.machine), ("turn".to_owned(), "a turn to reboot: n2 has it".to_owned()));
        let again = bench.machine.status().waiting.unwrap().until.unwrap();
        let begin = bench.secs;
        while deeds(&bench.wake()).is_empty() {}
        waits.push(bench.secs - begin);
        assert!(bench.now().wall >= again);
    }
    assert!(waits[0] >= 5 && waits[0] <= 7, "{waits:?}");
    // The longest wait and a quarter of it at most, as all waits are spread.
    let longest = RETRY_MAX.as_secs();
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0] || pair[0] >= longest), "{waits:?}");
    assert!(waits[9] >= longest && waits[9] <= longest + longest / 4 + 1, "{waits:?}");
    // Another reason is news.
    let effects = bench.feed(refused("etcd has no quorum"));
    assert!(effects.iter().any(|effect| matches!(effect, super::super::Effect::Log(entry) if entry.text.contains("no quorum"))));
    while deeds(&bench.wake()).is_empty() {}
    assert_eq!(deeds(&bench.feed(granted())), ["reboot"]);
}

#[test]
fn the_waits_double_within_bounds() {
    assert_eq!([1, 2, 3].map(retry_after), [RETRY_FIRST, RETRY_FIRST * 2, RETRY_FIRST * 4]);
    assert_eq!((retry_after(0), retry_after(7), retry_after(u32::MAX)), (RETRY_FIRST, RETRY_MAX, RETRY_MAX));
}

#[test]
fn silence_is_no_yes_but_an_absent_agent_is_for_best_effort() {
    let absent = || Input::Turn(TurnAnswer::NoAgent("there is no socket".to_owned()));
    let silent = || Input::Turn(TurnAnswer::NoAnswer("no answer".to_owned()));
    for (strategy, answer, reboots) in [
        (Strategy::EtcdLock, absent(), false),
        (Strategy::EtcdLock, silent(), false),
        (Strategy::FleetLock, absent(), false),
        (Strategy::BestEffort, silent(), false),
        (Strategy::BestEffort, refused("n2 has it"), false),
        (Strategy::BestEffort, absent(), true),
    ] {
        let mut bench = Bench::with(settled("1.0.0"), turns(strategy));
        bench.stage("1.1.0");
        assert_eq!(!deeds(&bench.feed(answer)).is_empty(), reboots, "{strategy:?}");
        assert_eq!(bench.state() == "rebooting", reboots, "{strategy:?}");
    }
}

#[test]
fn turns_are_for_windows_too() {
    let mut bench = Bench::with(settled("1.0.0"), windowed());
    assert_eq!(deeds(&bench.stage("1.1.0")), Vec::<String>::new());
    assert_eq!(waiting(&bench.machine).0, "window");
    bench.secs = 2 * 3600;
    assert_eq!(deeds(&bench.feed(Input::Tick)), ["take turn for 1.1.0"]);
    assert_eq!(deeds(&bench.feed(granted())), ["reboot"]);
}

#[test]
fn a_window_that_closes_gives_the_turn_up() {
    // While the question is under way.
    let mut bench = Bench::with(settled("1.0.0"), windowed());
    bench.secs = 3 * 3600 - 5;
    assert_eq!(deeds(&bench.stage("1.1.0")), ["take turn for 1.1.0"]);
    assert_eq!(deeds(&bench.wake()), ["cancel work", "give up turn"]);
    assert_eq!(waiting(&bench.machine).0, "window");
    assert!(bench.refused(granted()).contains("no meaning"), "a late yes is none");

    // Between two questions.
    let mut bench = Bench::with(settled("1.0.0"), windowed());
    bench.secs = 3 * 3600 - 2;
    bench.stage("1.1.0");
    bench.feed(refused("n2 has it"));
    assert_eq!(deeds(&bench.wake()), ["give up turn"]);
    assert_eq!(deeds(&bench.wake()), Vec::<String>::new(), "once");

    // Between the question and the yes.
    let mut bench = Bench::with(settled("1.0.0"), windowed());
    bench.secs = 3 * 3600 - 2;
    bench.stage("1.1.0");
    bench.secs += 10;
    assert_eq!(deeds(&bench.feed(granted())), ["give up turn"]);
    assert_eq!(bench.state(), "waiting-for-reboot");

    // After a reboot that was not made.
    let mut bench = Bench::with(settled("1.0.0"), windowed());
    bench.secs = 3 * 3600 - 2;
    bench.stage("1.1.0");
    bench.feed(granted());
    bench.feed(Input::Rebooting(Err(failure("an inhibitor"))));
    assert_eq!(deeds(&bench.wake()), ["give up turn"]);
}

#[test]
fn a_reboot_that_was_not_made_asks_again() {
    let mut bench = Bench::with(settled("1.0.0"), turns(Strategy::EtcdLock));
    bench.stage("1.1.0");
    bench.feed(granted());
    bench.feed(Input::Rebooting(Err(failure("an inhibitor"))));
    assert_eq!(deeds(&bench.wake()), ["take turn for 1.1.0"]);
}

#[test]
fn who_cancels_gives_the_turn_up() {
    for answer in [None, Some(refused("n2 has it"))] {
        let mut bench = Bench::with(settled("1.0.0"), turns(Strategy::EtcdLock));
        bench.stage("1.1.0");
        if let Some(answer) = answer {
            bench.feed(answer);
        }
        assert_eq!(deeds(&bench.feed(Input::Cancel)), ["cancel work", "give up turn", "discard b"]);
    }
}

#[test]
fn an_operator_waits_for_the_turn_alone_or_not_at_all() {
    let mut bench = Bench::with(settled("1.0.0"), windowed());
    bench.stage("1.1.0");
    assert_eq!(deeds(&bench.feed(Input::Reboot { now: false })), ["take turn for 1.1.0"], "whatever the window");
    assert_eq!(deeds(&bench.feed(Input::Reboot { now: false })), Vec::<String>::new(), "it is being asked");
    bench.feed(refused("n2 has it"));
    assert_eq!(deeds(&bench.wake()), ["take turn for 1.1.0"], "and goes on to want it");
    assert_eq!(deeds(&bench.feed(granted())), ["reboot"]);

    let mut bench = Bench::with(settled("1.0.0"), windowed());
    bench.stage("1.1.0");
    assert_eq!(deeds(&bench.feed(Input::Reboot { now: true })), ["reboot"]);
}

#[test]
fn new_settings_end_the_turns() {
    let mut bench = Bench::with(settled("1.0.0"), turns(Strategy::EtcdLock));
    bench.stage("1.1.0");
    assert_eq!(deeds(&bench.feed(Input::Settings(Box::new(turns(Strategy::Off))))), ["cancel work", "give up turn"]);
    assert_eq!(waiting(&bench.machine).0, "operator");
    assert_eq!(deeds(&bench.feed(Input::Settings(Box::new(turns(Strategy::Immediate))))), ["reboot"]);
}

#[test]
fn a_rollback_takes_its_turn_and_a_failed_trial_does_not() {
    let mut bench = Bench::with(settled("1.0.0"), turns(Strategy::EtcdLock));
    bench.feed(Input::Rollback);
    bench.feed(Input::Probed(Ok(true)));
    assert_eq!(deeds(&bench.feed(Input::Flipped(Ok(())))), ["take turn"]);
    assert_eq!(deeds(&bench.feed(granted())), ["reboot"]);

    let mut bench = Bench::with(settled("1.0.0"), turns(Strategy::EtcdLock));
    bench.stage("1.1.0");
    let disk = bench.machine.persisted().clone();
    let (mut bench, _) = Bench::booted(booted(crate::daemon::host::Slot::B, 2, "1.1.0"), disk, turns(Strategy::EtcdLock));
    bench.feed(Input::Healthy(ill("a service failed")));
    assert_eq!(deeds(&bench.feed(Input::DefaultRestored(Ok(())))), ["reboot"]);
    assert!(matches!(bench.machine.state(), State::Rebooting { trial: None }));
}

#[test]
fn an_answer_that_nobody_asked_for_is_refused() {
    assert!(Bench::new().refused(granted()).contains("no meaning"));
    let mut bench = Bench::with(settled("1.0.0"), turns(Strategy::EtcdLock));
    bench.stage("1.1.0");
    bench.feed(refused("n2 has it"));
    assert!(bench.refused(granted()).contains("no meaning"));
}
