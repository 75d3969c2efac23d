//! Small runs whose result is known, and the promises of a run.

use super::report;
use super::scenario::{MAX_MACHINES, Scenario, ScenarioError};
use super::{Args, Outcomes, simulate};
use crate::policy::{Brake, Change, Settings, Share, Span, State, Version};

fn scenario(machines: u32, ramp: &str) -> Scenario {
    let settings = Settings { ramp: ramp.parse().unwrap(), ..Settings::default() };
    Scenario { machines, settings, ..Scenario::default() }
}

fn run(scenario: &Scenario) -> Outcomes {
    simulate(scenario).unwrap()
}

#[derive(clap::Parser)]
struct Cli {
    #[command(flatten)]
    args: Args,
}

fn parse(line: &[&str]) -> Args {
    <Cli as clap::Parser>::try_parse_from([&["simulate"], line].concat()).unwrap().args
}

#[test]
fn equal_scenarios_give_equal_runs_and_another_seed_another() {
    let one = scenario(2_000, "0h:1,6h:100");
    let outcomes = run(&one);
    assert_eq!(outcomes, run(&one));
    assert_ne!(outcomes.digest, run(&Scenario { seed: 2, ..one }).digest);
}

#[test]
fn a_small_run_never_changes_by_itself() {
    let small = Scenario { hours: 8, failures: Share::percent(1), ..scenario(500, "0h:1,1h:10,6h:100") };
    insta::assert_snapshot!(report::text(&run(&small)));
}

#[test]
fn everybody_gets_a_good_release() {
    let outcomes = run(&scenario(3_000, "0h:1,12h:100"));
    let counts = outcomes.counts();
    assert_eq!((counts.granted, outcomes.harmed()), (3_000, 0));
    assert!(counts.completed > 2_970, "{counts:?}");
    assert!(outcomes.stopped().is_none());
}

#[test]
fn the_share_is_never_exceeded_in_any_hour() {
    let outcomes = run(&scenario(5_000, "steps 0h:1,3h:10,9h:50,20h:100"));
    for hour in &outcomes.hours {
        assert!(hour.counts.granted <= hour.allowed, "hour {}: {} of {}", hour.ends, hour.counts.granted, hour.allowed);
    }
    let granted: Vec<u64> = [2, 8, 19].iter().map(|hour| outcomes.hours[*hour - 1].counts.granted).collect();
    // In five hours every machine asks several times, so a share is not only kept but, by and large, used.
    assert!(granted[0] > 25 && granted[1] > 400 && granted[2] > 2_300, "{granted:?}");
}

/// Everything a bad release can harm: what was granted until the failures that the brake tolerates were known.
#[test]
fn the_brake_stops_before_more_than_the_computed_bound_fail() {
    let brake = Brake { max_failures: Share::percent(5), ..Brake::default() };
    for percent in [10, 30, 100] {
        let mut scenario = Scenario { failures: Share::percent(percent), offline: Share::NONE, ..scenario(20_000, "0h:1,1h:10,24h:100") };
        scenario.settings.brake = brake;
        let outcomes = run(&scenario);
        let stop = outcomes.stopped().unwrap();
        // At 1 % 200 machines are allowed within the first poll (50 minutes); a download takes two minutes at the slowest
        // quarter of the mean speed, the way back to the old slot up to 20: whatever the share of failures, by then ten in a
        // hundred of those 200 are known to have failed, which is more than the brake tolerates.
        let known = Span::minutes(50 + 3 + 20 + 1);
        assert!(Span::seconds(stop.second.into()) <= known, "stopped after {} s", stop.second);
        let bound = scenario.settings.ramp.share(known).of(20_000);
        assert!(stop.counts.granted <= bound);
        assert_eq!(outcomes.counts().granted, stop.counts.granted, "nobody is granted it after the stop");
        assert!(outcomes.harmed() <= bound * u64::from(percent) / 100 + 100, "{} harmed of at most {bound}", outcomes.harmed());
        assert!(matches!(outcomes.state, State::Stopped { .. }));
    }
}

#[test]
fn the_brake_notices_machines_that_fall_silent() {
    let mut scenario = Scenario { silent: Share::percent(20), ..scenario(5_000, "0h:1,24h:20") };
    scenario.settings.brake.silence = Span::hours(2);
    let outcomes = run(&scenario);
    let Some(Change::Stopped(stop)) = outcomes.stopped().map(|event| event.change.clone()) else { panic!("went on") };
    assert!(stop.silent > 0 && stop.rolled_back == 0, "{stop:?}");
    assert!(outcomes.stopped().unwrap().second >= 2 * 3_600);
}

#[test]
fn machines_that_are_switched_off_do_not_pull_the_brake() {
    let outcomes = run(&Scenario { offline: Share::percent(20), hours: 48, ..scenario(5_000, "0h:1,24h:100") });
    assert!(outcomes.stopped().is_none(), "{:?}", outcomes.stopped());
    assert!(outcomes.hours.iter().all(|hour| (600..1_500).contains(&hour.away)), "about a fifth is off");
}

#[test]
fn failing_canaries_keep_a_bad_release_from_everybody_else() {
    let args = parse(&["--machines", "2000", "--canaries", "5", "--soak", "1h", "--failure-share", "100"]);
    let outcomes = run(&args.scenario().unwrap());
    assert!(outcomes.counts().granted <= 5 && outcomes.harmed() >= 1, "{:?}", outcomes.counts());
    assert!(matches!(outcomes.stopped().unwrap().change, Change::Stopped(stop) if stop.canary));
}

#[test]
fn good_canaries_hold_before_anybody_else() {
    let args = parse(&["--machines", "2000", "--canaries", "5", "--soak", "3h", "--ramp", "0h:100", "--offline-share", "0"]);
    let outcomes = run(&args.scenario().unwrap());
    assert!(outcomes.hours[..3].iter().all(|hour| hour.counts.granted <= 5));
    assert_eq!(outcomes.events[0].change, Change::CanariesHeld);
    assert_eq!(outcomes.counts().granted, 2_000);
}

#[test]
fn floors_are_taken_on_the_way() {
    let version = |minor| Version::new(1, minor, 0);
    let versions = vec![(version(0), Share::percent(50)), (version(2), Share::percent(50))];
    let scenario = Scenario { versions, floors: vec![version(1)], release: version(3), ..scenario(1_000, "0h:1,6h:100") };
    let outcomes = run(&scenario);
    assert_eq!(outcomes.versions, [version(0), version(1), version(2), version(3)]);
    assert!(outcomes.hours.iter().any(|hour| hour.versions[1] > 0), "some are seen on the floor");
    assert!(outcomes.hours.last().unwrap().versions[3] > 980);
}

#[test]
fn no_more_machines_are_busy_than_allowed() {
    let outcomes = run(&Scenario { parallel: Some(7), ..scenario(2_000, "0h:100") });
    assert!(outcomes.hours.iter().all(|hour| hour.counts.in_flight() <= 7));
    assert!(outcomes.reasons["parallel"] > 0);
}

#[test]
fn bandwidth_adds_up_to_the_downloads() {
    let scenario = Scenario { download_failures: Share::NONE, ..scenario(1_000, "0h:100") };
    let bytes: u64 = run(&scenario).hours.iter().map(|hour| hour.bytes).sum();
    let expected = 1_000 * scenario.payload_bytes;
    // A download ends within a full second.
    assert!(bytes.abs_diff(expected) < expected / 20, "{bytes} of {expected}");
}

#[test]
fn refuses_scenarios_that_contradict_themselves() {
    let base = Scenario::default();
    let bounds = |scenario: Scenario| assert!(matches!(simulate(&scenario), Err(ScenarioError::Bounds { .. })));
    bounds(Scenario { machines: 0, ..base.clone() });
    bounds(Scenario { machines: MAX_MACHINES + 1, ..base.clone() });
    bounds(Scenario { hours: 0, ..base.clone() });
    bounds(Scenario { poll: Span::ZERO, ..base.clone() });
    bounds(Scenario { jitter: base.poll, ..base.clone() });
    bounds(Scenario { rate_bytes: 0, ..base.clone() });
    bounds(Scenario { offline: Share::ALL, ..base.clone() });
    bounds(Scenario { versions: Vec::new(), ..base.clone() });
    let short = Scenario { versions: vec![(Version::new(1, 0, 0), Share::percent(99))], ..base.clone() };
    assert_eq!(simulate(&short), Err(ScenarioError::Versions(99.0)));
    assert!(matches!(simulate(&Scenario { floors: vec![Version::new(2, 0, 0)], ..base }), Err(ScenarioError::Older { .. })));
}

#[test]
fn a_policy_is_read_from_toml_and_from_json() {
    let folder = tempfile::tempdir().unwrap();
    let (toml, json) = (folder.path().join("policy.toml"), folder.path().join("policy.json"));
    std::fs::write(&toml, "ramp = \"0h:5,2h:100\"\n[canaries]\nsoak = \"2h\"\n[brake]\nmax-failures = 2\nsilence = \"1h\"\n").unwrap();
    let args = |file: &std::path::Path| parse(&["--policy", file.to_str().unwrap()]).scenario();
    let settings = args(&toml).unwrap().settings;
    assert_eq!((settings.brake.max_failures, settings.brake.sample, settings.canaries.soak), (Share::percent(2), 20, Span::hours(2)));
    std::fs::write(&json, serde_json::to_string(&settings).unwrap()).unwrap();
    assert_eq!(args(&json).unwrap().settings, settings);
    for (text, word) in [("rampp = \"0h:1\"", "rampp"), ("ramp = \"1h\"", "corner"), ("[brake]\nmax-failures = 200", "percentage")] {
        std::fs::write(&toml, text).unwrap();
        let error = format!("{:#}", args(&toml).unwrap_err());
        assert!(error.contains(word) && error.contains("policy.toml"), "{error}");
    }
}

#[test]
fn the_options_of_the_help_are_understood() {
    let args =
        parse(&["--versions", "1.0.0:80,0.8.0:20", "--floor", "0.9.0", "--release", "1.1.0", "--ramp", "0h:1,1h:10", "--brake", "2:50:3h"]);
    let scenario = args.scenario().unwrap();
    assert_eq!(scenario.check(), Ok(()));
    assert_eq!((scenario.versions.len(), scenario.settings.brake.sample), (2, 50));
    assert_eq!(parse(&[]).scenario().unwrap(), Scenario::default(), "the defaults are those of the library");
    for bad in [["--ramp", "1h"], ["--brake", "5"], ["--failure-share", "101"], ["--soak", "5"], ["--versions", "1.0.0"]] {
        assert!(<Cli as clap::Parser>::try_parse_from([&["simulate"], bad.as_slice()].concat()).is_err(), "{bad:?}");
    }
}
