use super::super::test_support::*;
use super::super::{Effect, Input, Persisted, State, Work};
use crate::config::Settings;
use crate::config::model::METADATA_INTERVAL;
use crate::daemon::host::{Refusal, RefusalKind};
use crate::history::What;

const DAY: u64 = 24 * 3600;

fn refusal(kind: RefusalKind) -> Input {
    Input::Refreshed(Err(Refusal { kind, text: "timestamp.json, version 7".to_owned() }))
}

/// A machine that never saw any metadata and looks once a day.
fn curious() -> (Persisted, Settings) {
    let mut settings = settings();
    settings.check.metadata = METADATA_INTERVAL;
    (Persisted { metadata_checked: None, ..settled("1.0.0") }, settings)
}

fn curious_bench() -> Bench {
    let (persisted, settings) = curious();
    Bench::with(persisted, settings)
}

/// Lets the machine run until it looks at the metadata; whatever it asks meanwhile is answered with "nothing new".
fn until_it_looks(bench: &mut Bench) -> u64 {
    for _ in 0..1000 {
        let effects = bench.wake();
        if effects.contains(&Effect::Work(Work::Refresh)) {
            assert_eq!(bench.state(), "refreshing");
            return bench.secs;
        }
        if deeds(&effects) == ["check"] {
            bench.feed(nothing());
        }
    }
    panic!("it never looks");
}

fn alarms(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Log(entry) if entry.what == What::Alarm)).count()
}

fn fresh() -> Input {
    Input::Refreshed(Ok(Some(EXPIRES.parse().unwrap())))
}

#[test]
fn a_server_that_says_nothing_new_does_not_keep_a_machine_from_looking() {
    let mut bench = curious_bench();
    let first = until_it_looks(&mut bench);
    assert!(first < 3600, "{first}");
    assert_eq!(work(&bench.feed(fresh())), ["persist"], "its own state and nothing else");
    assert_eq!(bench.state(), "idle");
    let mut last = first;
    for _ in 0..5 {
        let next = until_it_looks(&mut bench);
        assert!((DAY - DAY / 8..=DAY + DAY / 8).contains(&(next - last)), "{}", next - last);
        last = next;
        bench.feed(fresh());
    }
    let status = bench.machine.status();
    assert_eq!((status.metadata_expires, status.metadata_error), (Some(EXPIRES.parse().unwrap()), None));
}

#[test]
fn a_reboot_is_no_reason_to_look_again() {
    let (mut persisted, settings) = curious();
    persisted.metadata_checked = Some(now(0).wall - jiff::SignedDuration::from_hours(1));
    let mut bench = Bench::with(persisted, settings);
    assert!(until_it_looks(&mut bench) > DAY - DAY / 4);
}

#[test]
fn metadata_that_is_refused_is_an_alarm_once_and_until_it_is_good_again() {
    let mut bench = curious_bench();
    until_it_looks(&mut bench);
    let effects = bench.feed(refusal(RefusalKind::Expired));
    assert_eq!((alarms(&effects), work(&effects)), (1, vec!["persist".to_owned()]));
    let status = bench.machine.status();
    assert!(status.metadata_error.unwrap().contains("withheld: the release metadata has expired"));
    let why = crate::why::explain(&bench.machine, bench.now());
    assert!(why.summary.contains("held back by `metadata`"), "{}", why.summary);
    let figures = crate::metrics::collect(&bench.machine);
    assert!(figures.metadata_refused && figures.failures["metadata"] == 1);

    let first = bench.secs;
    let again = until_it_looks(&mut bench);
    assert!(again - first < DAY / 4, "sooner than usual");
    let effects = bench.feed(refusal(RefusalKind::Expired));
    assert_eq!((alarms(&effects), effects.len()), (0, 0), "told once, written once");
    let other = until_it_looks(&mut bench);
    assert!(other > again);
    assert_eq!(alarms(&bench.feed(refusal(RefusalKind::Older))), 1, "another reason is news");

    until_it_looks(&mut bench);
    bench.feed(fresh());
    assert_eq!(bench.machine.status().metadata_error, None);
    assert!(!crate::metrics::collect(&bench.machine).metadata_refused);
}

#[test]
fn a_network_that_is_down_is_no_alarm_until_what_is_known_has_expired() {
    let mut bench = curious_bench();
    until_it_looks(&mut bench);
    let expires = bench.now().wall + jiff::SignedDuration::from_hours(48);
    bench.feed(Input::Refreshed(Ok(Some(expires))));
    let mut alarmed = None;
    while alarmed.is_none() && bench.secs < 30 * DAY {
        until_it_looks(&mut bench);
        if alarms(&bench.feed(refusal(RefusalKind::Unreachable))) == 1 {
            alarmed = Some(bench.now().wall);
        }
    }
    let late = alarmed.unwrap().duration_since(expires);
    assert!(late.as_secs() >= 0 && late.as_hours() <= 4, "{late:?}");
    assert!(bench.machine.status().metadata_error.unwrap().contains("newer metadata could not be had"));
}

#[test]
fn whoever_asks_need_not_wait_for_it_and_its_late_answer_has_no_use() {
    let mut bench = curious_bench();
    until_it_looks(&mut bench);
    assert_eq!(deeds(&bench.feed(Input::Check)), ["check"]);
    bench.refused(fresh());
    bench.feed(offered("1.1.0"));
    bench.feed(verified("1.1.0"));
    assert_eq!(bench.state(), "fetching");
    assert_eq!(bench.machine.status().metadata_expires, Some(EXPIRES.parse().unwrap()), "an offer is a look as well");
    let mut bench = curious_bench();
    until_it_looks(&mut bench);
    bench.feed(Input::Cancel);
    assert!(matches!(bench.machine.state(), State::Idle));
}

#[test]
fn nothing_is_looked_at_where_nothing_happens_by_itself() {
    let (mut off, mut alone) = (curious().1, curious().1);
    off.enabled = false;
    alone.access.server.clear();
    for settings in [off, alone] {
        let bench = Bench::with(settled("1.0.0"), settings);
        assert_eq!(bench.machine.sleep(bench.now()), None);
    }
}
