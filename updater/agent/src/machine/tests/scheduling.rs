use std::time::Duration;

use super::super::schedule::{Jitter, POLL_MAX, POLL_MIN, backoff};
use super::super::test_support::*;
use super::super::{Input, Machine};
use crate::daemon::host::{CheckAnswer, Slot};

fn answered(poll: Option<u64>) -> Input {
    Input::Checked(Ok(CheckAnswer::NoUpdate { info: None, poll_interval: poll.map(Duration::from_secs) }))
}

fn minutes(range: std::ops::RangeInclusive<u64>, secs: u64) {
    assert!((range.start() * 60..=range.end() * 60).contains(&secs), "{secs} s is not within {range:?} min");
}

#[test]
fn the_first_check_comes_after_seven_minutes_the_next_after_forty_five() {
    for boot in 1..50 {
        let (mut bench, _) = Bench::booted(booted(Slot::A, boot, "1.0.0"), settled("1.0.0"), settings());
        bench.wake();
        minutes(3..=11, bench.secs);
        bench.feed(answered(None));
        let before = bench.secs;
        bench.wake();
        minutes(40..=50, bench.secs - before);
    }
}

#[test]
fn machines_do_not_ask_at_the_same_time() {
    let at = |boot| {
        let (mut bench, _) = Bench::booted(booted(Slot::A, boot, "1.0.0"), settled("1.0.0"), settings());
        bench.wake();
        bench.secs
    };
    let mut times: Vec<u64> = (1..=100).map(at).collect();
    times.sort_unstable();
    times.dedup();
    assert!(times.len() > 60, "only {} different times", times.len());
}

#[test]
fn the_servers_wish_is_followed_within_its_limits() {
    let table = [(None, 45), (Some(1), 45), (Some(60 * 60), 60), (Some(u64::from(u32::MAX)), 240), (Some(0), 45)];
    for (wish, expected) in table {
        let mut bench = Bench::new();
        bench.wake();
        bench.feed(answered(wish));
        assert_eq!(bench.machine.interval(), Duration::from_secs(expected * 60), "{wish:?}");
    }
}

#[test]
fn a_configured_interval_is_stronger_than_the_servers_wish() {
    let mut settings = settings();
    settings.check.interval = Duration::from_secs(10);
    settings.check.interval_is_set = true;
    let mut bench = Bench::with(settled("1.0.0"), settings);
    bench.wake();
    bench.feed(answered(Some(3600)));
    let before = bench.secs;
    bench.wake();
    assert!(bench.secs - before <= 15, "{}", bench.secs - before);
}

#[test]
fn failed_checks_are_repeated_ever_more_rarely_and_never_given_up() {
    let mut bench = Bench::new();
    bench.wake();
    let mut waits = Vec::new();
    for _ in 0..12 {
        bench.feed(Input::Checked(Err(failure("no route"))));
        let before = bench.secs;
        assert_eq!(deeds(&bench.wake()), ["check"]);
        waits.push((bench.secs - before) / 60);
    }
    assert!((3..=7).contains(&waits[0]), "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= 300), "{waits:?}");
    assert!((180..=300).contains(&waits[11]), "{waits:?}");
    bench.feed(answered(None));
    let before = bench.secs;
    bench.wake();
    minutes(40..=50, bench.secs - before);
}

#[test]
fn backoff_doubles_and_stays_within_its_limits() {
    let minutes = |failures| backoff(failures, POLL_MIN).as_secs() / 60;
    assert_eq!([1, 2, 3, 4, 5, 6, 7].map(minutes), [5, 10, 20, 40, 80, 160, 240]);
    assert_eq!(backoff(u32::MAX, POLL_MIN), POLL_MAX);
    assert_eq!(backoff(0, Duration::from_secs(2)), Duration::from_secs(2));
}

#[test]
fn jitter_stays_within_its_amount() {
    let mut jitter = Jitter::new("machine", "boot");
    let (base, amount) = (Duration::from_secs(100), Duration::from_secs(10));
    let values: Vec<Duration> = (0..1000).map(|_| jitter.around(base, amount)).collect();
    assert!(values.iter().all(|value| *value >= base - amount && *value <= base + amount));
    assert!(values.iter().any(|value| *value < base - amount / 2) && values.iter().any(|value| *value > base + amount / 2));
    assert!((0..100).all(|_| jitter.around(Duration::from_secs(2), amount) >= Duration::from_secs(1)), "never nothing");
}

#[test]
fn a_clock_that_is_set_does_not_move_checks() {
    let mut machine = Machine::new(booted(Slot::A, 1, "1.0.0"), settled("1.0.0"), settings());
    let mut at = now(0);
    at.wall = "1970-01-01T00:00:10Z".parse().unwrap();
    machine.step(Input::Start, at).unwrap();
    let sleep = machine.sleep(at).unwrap();
    at.wall = "2040-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(machine.sleep(at), Some(sleep));
}

#[test]
fn without_a_server_nothing_is_asked_and_a_new_server_is() {
    let mut none = settings();
    none.access.server.clear();
    let mut bench = Bench::with(settled("1.0.0"), none);
    assert_eq!(bench.machine.sleep(bench.now()), None);
    assert!(bench.refused(Input::Check).contains("no update server is configured"));
    bench.feed(Input::Settings(Box::new(settings())));
    assert_eq!(deeds(&bench.wake()), ["check"]);
}

#[test]
fn a_wrong_configuration_changes_nothing_but_the_status() {
    let mut bench = Bench::new();
    let before = bench.machine.settings().clone();
    bench.feed(Input::SettingsError("line 3: unknown key".to_owned()));
    assert_eq!(bench.machine.settings(), &before);
    assert_eq!(bench.machine.status().configuration_error.unwrap(), "line 3: unknown key");
    bench.feed(Input::Settings(Box::new(before)));
    assert_eq!(bench.machine.status().configuration_error, None);
}
