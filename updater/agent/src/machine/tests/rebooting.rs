use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::Weekday;

use super::super::Input;
use super::super::test_support::*;
use super::super::window::Window;
use crate::config::{Settings, Strategy};

fn windowed() -> Settings {
    let mut settings = settings();
    settings.reboot.strategy = Strategy::Window;
    let start = "10:00".parse().unwrap();
    settings.reboot.windows.list = vec![Window { day: Some(Weekday::Saturday), start, length: SignedDuration::from_hours(1) }];
    settings
}

fn with_users(wait: u64) -> Settings {
    let mut settings = settings();
    settings.reboot.wait_for_users = Duration::from_secs(wait);
    settings
}

#[test]
fn at_once_means_at_once() {
    assert_eq!(deeds(&Bench::new().stage("1.1.0")), ["reboot"]);
}

#[test]
fn off_waits_for_a_person() {
    let mut settings = settings();
    settings.reboot.strategy = Strategy::Off;
    let mut bench = Bench::with(settled("1.0.0"), settings);
    assert_eq!(deeds(&bench.stage("1.1.0")), Vec::<String>::new());
    let waiting = bench.machine.status().waiting.unwrap();
    assert_eq!((waiting.reason.as_str(), waiting.until), ("operator", None));
    assert_eq!(deeds(&bench.feed(Input::Reboot { now: false })), ["reboot"]);
}

#[test]
fn a_window_is_waited_for_and_used() {
    let mut bench = Bench::with(settled("1.0.0"), windowed());
    assert_eq!(deeds(&bench.stage("1.1.0")), Vec::<String>::new());
    let waiting = bench.machine.status().waiting.unwrap();
    assert_eq!((waiting.reason.as_str(), waiting.until.unwrap().to_string().as_str()), ("window", "2026-11-21T10:00:00Z"));
    let mut wakes = 0;
    while deeds(&bench.wake()).is_empty() {
        wakes += 1;
    }
    assert_eq!(bench.secs, 2 * 3600, "to the second");
    assert!(wakes <= 16, "{wakes} wakes");
    assert_eq!(bench.state(), "rebooting");
}

#[test]
fn a_clock_that_is_set_into_the_window_is_noticed() {
    let mut bench = Bench::with(settled("1.0.0"), windowed());
    bench.stage("1.1.0");
    let mut at = bench.now();
    at.mono += Duration::from_secs(600);
    at.wall = "2027-01-02T10:30:00Z".parse().unwrap();
    let effects = bench.machine.step(Input::Tick, at).unwrap();
    assert_eq!(deeds(&effects), ["reboot"]);
}

#[test]
fn new_settings_take_effect_while_waiting() {
    let mut bench = Bench::with(settled("1.0.0"), windowed());
    bench.stage("1.1.0");
    assert_eq!(deeds(&bench.feed(Input::Settings(Box::new(settings())))), ["reboot"]);
}

#[test]
fn users_are_warned_waited_for_and_then_not_any_more() {
    let mut bench = Bench::with(settled("1.0.0"), with_users(300));
    assert_eq!(deeds(&bench.stage("1.1.0")), ["ask users"]);
    assert_eq!(deeds(&bench.feed(Input::Users(vec!["core".to_owned()]))), ["warn users"]);
    assert_eq!(bench.machine.status().waiting.unwrap().reason, "users");
    let begin = bench.secs;
    let mut warnings = 0;
    loop {
        let seen = deeds(&bench.wake());
        if seen == ["reboot"] {
            break;
        }
        assert_eq!(seen, ["ask users"]);
        warnings += deeds(&bench.feed(Input::Users(vec!["core".to_owned()]))).len();
    }
    assert_eq!(bench.secs - begin, 300);
    assert_eq!(warnings, 1, "a last warning");
}

#[test]
fn when_the_users_leave_the_machine_reboots() {
    let mut bench = Bench::with(settled("1.0.0"), with_users(300));
    bench.stage("1.1.0");
    bench.feed(Input::Users(vec!["core".to_owned()]));
    bench.wake();
    assert_eq!(deeds(&bench.feed(Input::Users(Vec::new()))), ["reboot"]);
}

#[test]
fn no_answer_about_users_does_not_hold_the_reboot_for_ever() {
    let mut bench = Bench::with(settled("1.0.0"), with_users(300));
    bench.stage("1.1.0");
    let mut seen = Vec::new();
    while seen != ["reboot"] {
        seen = deeds(&bench.wake());
        assert!(bench.secs <= 300);
    }
}

#[test]
fn users_hold_a_reboot_no_longer_than_the_window_is_open() {
    let mut settings = windowed();
    settings.reboot.wait_for_users = Duration::from_secs(2 * 3600);
    let mut bench = Bench::with(settled("1.0.0"), settings);
    bench.secs = 2 * 3600 + 30 * 60;
    assert_eq!(deeds(&bench.stage("1.1.0")), ["ask users"]);
    bench.feed(Input::Users(vec!["core".to_owned()]));
    while bench.secs < 3 * 3600 {
        assert_ne!(deeds(&bench.wake()), ["reboot"]);
        bench.feed(Input::Users(vec!["core".to_owned()]));
    }
    assert_eq!(bench.machine.status().waiting.unwrap().reason, "window", "closed: until next week");
}

#[test]
fn a_refused_reboot_is_asked_for_again() {
    let mut bench = Bench::new();
    bench.stage("1.1.0");
    bench.feed(Input::Rebooting(Err(failure("an inhibitor"))));
    assert!(bench.machine.status().last_error.unwrap().contains("an inhibitor"));
    assert_eq!(deeds(&bench.wake()), ["reboot"]);
    bench.feed(Input::Rebooting(Ok(())));
    assert_eq!(deeds(&bench.wake()), ["reboot"], "granted, but it never happened");
}

#[test]
fn without_windows_the_waiting_says_so() {
    let mut settings = windowed();
    settings.reboot.windows.list.clear();
    let mut bench = Bench::with(settled("1.0.0"), settings);
    bench.stage("1.1.0");
    assert_eq!(bench.machine.status().waiting.unwrap().reason, "no-window");
}

#[test]
fn a_machine_that_waits_says_now_and_then_that_it_is_there() {
    let mut settings = settings();
    settings.reboot.strategy = Strategy::Off;
    let mut bench = Bench::with(settled("1.0.0"), settings.clone());
    bench.stage("1.1.0");
    bench.feed(Input::Reported { number: 1, result: Err(failure("no route")) });
    let mut pings = Vec::new();
    while pings.len() < 10 {
        let effects = bench.wake();
        if work(&effects).contains(&"ping".to_owned()) {
            pings.push(bench.secs);
            bench.feed(Input::Pinged(Err(failure("no route"))));
        }
        assert_eq!((deeds(&effects).len(), bench.state()), (0, "waiting-for-reboot"));
    }
    let waits = pings.windows(2).map(|pair| (pair[1] - pair[0]) / 60);
    assert!(waits.clone().all(|minutes| (39..=50).contains(&minutes)), "{pings:?}");
    bench.feed(Input::Pinged(Ok(())));
    assert_eq!(bench.machine.status().last_checked, Some(bench.now().wall));
    // Not where nothing is to happen by itself, and not once it is over.
    bench.feed(Input::Settings(Box::new(Settings { enabled: false, ..settings.clone() })));
    assert!(bench.machine.next_ping.is_none());
    bench.feed(Input::Settings(Box::new(settings)));
    assert!(bench.machine.next_ping.is_some());
    bench.feed(Input::Reboot { now: false });
    assert!(bench.machine.next_ping.is_none());
}

#[test]
fn times_are_whole_seconds() {
    let mut bench = Bench::with(settled("1.0.0"), with_users(300));
    let mut at = bench.now();
    at.wall += SignedDuration::from_millis(1_234);
    bench.machine.step(Input::Check, at).unwrap();
    bench.machine.step(nothing(), at).unwrap();
    let status = bench.machine.status();
    for time in [status.last_checked.unwrap(), status.next_check.unwrap()] {
        assert_eq!(time.subsec_nanosecond(), 0, "{time}");
    }
    bench.stage("1.1.0");
    at.mono += Duration::from_millis(7);
    bench.machine.step(Input::Users(vec!["core".to_owned()]), at).unwrap();
    assert_eq!(bench.machine.status().waiting.unwrap().until.unwrap().subsec_nanosecond(), 0);
}
