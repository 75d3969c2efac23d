use super::super::persisted::OUTBOX_MAX;
use super::super::test_support::*;
use super::super::{Effect, Input};
use crate::daemon::host::{Event, Slot};

fn sent(effects: &[Effect]) -> Option<Event> {
    effects.iter().find_map(|effect| if let Effect::Report(event) = effect { Some(event.clone()) } else { None })
}

#[test]
fn events_are_sent_one_at_a_time_in_order() {
    let mut bench = Bench::new();
    bench.feed(Input::Check);
    bench.feed(offered("1.1.0"));
    let mut event = sent(&bench.feed(verified("1.1.0"))).unwrap();
    assert!(sent(&bench.feed(Input::Staged(Ok(())))).is_none(), "the first is still on its way");
    let mut seen = Vec::new();
    loop {
        seen.push((event.kind, event.result));
        match sent(&bench.feed(Input::Reported { number: event.number, result: Ok(()) })) {
            Some(next) => event = next,
            None => break,
        }
    }
    assert_eq!(seen, [(13, 1), (14, 1), (3, 1)]);
    assert!(bench.machine.persisted().outbox.is_empty());
}

#[test]
fn an_event_that_may_have_been_sent_says_so_the_second_time() {
    let mut bench = Bench::new();
    bench.feed(Input::Check);
    bench.feed(offered("1.1.0"));
    let first = sent(&bench.feed(verified("1.1.0"))).unwrap();
    assert!(!first.repeated);
    let (_, effects) = Bench::booted(booted(Slot::A, 2, "1.0.0"), bench.machine.persisted().clone(), settings());
    let second = sent(&effects).unwrap();
    assert_eq!((second.number, second.repeated), (first.number, true));
}

#[test]
fn an_unreachable_server_is_not_hammered_with_events() {
    let mut bench = Bench::new();
    bench.feed(Input::Check);
    bench.feed(offered("1.1.0"));
    let event = sent(&bench.feed(verified("1.1.0"))).unwrap();
    assert!(sent(&bench.feed(Input::Reported { number: event.number, result: Err(failure("no route")) })).is_none());
    let effects = bench.wake();
    assert_eq!(sent(&effects).unwrap().number, event.number);
    assert!(bench.secs >= 180, "{}", bench.secs);
}

#[test]
fn the_outbox_is_bounded_and_keeps_the_newest() {
    let mut persisted = settled("1.0.0");
    let event = Event {
        number: 0,
        kind: 3,
        result: 0,
        error_code: None,
        previous_version: None,
        release: None,
        cause: Some("x".repeat(10_000)),
        repeated: false,
    };
    for _ in 0..OUTBOX_MAX * 2 {
        persisted.post(event.clone());
    }
    assert_eq!(persisted.outbox.len(), OUTBOX_MAX);
    assert_eq!(persisted.outbox.last().unwrap().number, 2 * OUTBOX_MAX as u64);
    assert!(persisted.outbox[0].cause.as_ref().unwrap().len() <= 1024);
}
