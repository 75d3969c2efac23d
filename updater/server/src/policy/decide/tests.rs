//! One row per rule, and the properties that no machine and no moment may break.

use proptest::prelude::*;

use super::*;
use crate::policy::fixture::{self, APP, START, catalog, counts, floor, group, machine, rollout, version};
use crate::policy::window::{Day, Window};
use crate::policy::{Catalog, Control, Machine, Outcome, Phase, Progress, Ramp, Share, Span, Windows};

/// Everything a decision depends on, to be bent by one row of a table.
struct World {
    now: Time,
    machine: Machine,
    group: Option<Group>,
    catalog: Catalog,
    rollout: Option<Rollout>,
    counts: Counts,
    grant: Option<Grant>,
}

impl World {
    /// A machine on 1.0.0 whose turn it is for 1.2.0.
    fn new() -> Self {
        let (rollout, counts) = (Some(rollout("0h:100")), counts(10, 0));
        Self { now: START, machine: machine("m", "1.0.0"), group: Some(group()), catalog: catalog(), rollout, counts, grant: None }
    }

    fn bent(bend: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::new();
        bend(&mut world);
        world
    }

    fn ask<T>(&self, question: impl FnOnce(&Ask<'_>, &View<'_>) -> T) -> T {
        let live = self.rollout.as_ref().map(|rollout| Live { rollout, counts: &self.counts, grant: self.grant.as_ref() });
        question(
            &Ask { now: self.now, machine: &self.machine, position: None },
            &View { group: self.group.as_ref(), catalog: &self.catalog, live },
        )
    }

    fn decide(&self) -> Decision {
        self.ask(decide)
    }

    fn rollout(&mut self) -> &mut Rollout {
        self.rollout.as_mut().unwrap()
    }
}

/// Asserts that the decision is `reason`, that its earliest time is `earliest`, and that the explanation ends with it.
fn check(world: &World, reason: Reason, earliest: Option<Time>) {
    assert_eq!(world.decide(), Decision::NotNow(NotNow::until(reason.clone(), earliest)));
    let steps = world.ask(explain);
    let last = steps.last().unwrap();
    assert_eq!((last.rule.as_str(), last.passed), (reason.rule(), false));
    assert!(last.text.starts_with(&reason.to_string()), "{}", last.text);
    assert!(steps[..steps.len() - 1].iter().all(|step| step.passed));
    assert_eq!(serde_json::to_value(&reason).unwrap()["rule"], reason.rule(), "the name in JSON");
}

fn offered(world: &World) -> (String, Option<String>) {
    match world.decide() {
        Decision::Update(update) => (update.version.to_string(), update.floor_for.map(|version| version.to_string())),
        Decision::NotNow(no) => panic!("not now: {no}"),
    }
}

#[test]
fn a_machine_whose_turn_it_is_gets_the_release() {
    let world = World::new();
    assert_eq!(offered(&world), ("1.2.0".to_owned(), None));
    let decision = world.decide();
    assert_eq!(decision.ticket().map(|ticket| (ticket.granted, ticket.allowed, ticket.canary)), Some((0, 10, false)));
    let rules: Vec<String> = world.ask(explain).into_iter().map(|step| step.rule).collect();
    let expected = ["group", "target", "newer", "floor", "not-quarantined", "window", "not-busy", "rollout", "wave", "cap", "offer"];
    assert_eq!(rules, expected);
}

#[test]
fn refuses_when_the_group_is_unknown() {
    check(&World::bent(|w| w.group = None), Reason::GroupUnknown { group: "web".to_owned() }, None);
}

#[test]
fn refuses_when_updates_are_disabled() {
    let world = World::bent(|w| w.group.as_mut().unwrap().enabled = false);
    check(&world, Reason::UpdatesDisabled { group: "web".to_owned() }, None);
}

#[test]
fn refuses_what_the_machine_is_not_pinned_to() {
    for (pin, runs) in [("1.0.0", "1.0.0"), ("0.9.0", "1.0.0")] {
        let world = World::bent(|w| w.machine.pin = Some(version(pin)));
        check(&world, Reason::MachinePin { pin: version(pin), runs: version(runs) }, None);
    }
}

#[test]
fn a_pinned_machine_moves_forward_to_its_pin_whatever_the_rollout_does() {
    let mut world = World::bent(|w| w.machine.pin = Some(version("1.1.0")));
    world.rollout = None;
    assert_eq!(offered(&world), ("1.1.0".to_owned(), None));
    assert_eq!(world.decide().ticket(), None, "no rollout counts it");
    world.machine.pin = Some(version("9.9.9"));
    check(&world, Reason::ReleaseUnknown { version: version("9.9.9") }, None);
}

#[test]
fn a_pinned_group_moves_forward_to_its_pin_and_stays() {
    let mut world = World::bent(|w| w.group.as_mut().unwrap().follow = Follow::Pinned(version("1.1.0")));
    check(&world, Reason::NoRollout { version: version("1.1.0") }, None);
    world.rollout().release = crate::policy::ReleaseId(2);
    assert_eq!(offered(&world), ("1.1.0".to_owned(), None));
    world.machine.version = version("1.1.0");
    check(&world, Reason::GroupPin { group: "web".to_owned(), pin: version("1.1.0"), runs: version("1.1.0") }, None);
    world.machine.version = version("1.2.0");
    check(&world, Reason::GroupPin { group: "web".to_owned(), pin: version("1.1.0"), runs: version("1.2.0") }, None);
}

#[test]
fn refuses_when_the_channel_is_empty() {
    let world = World::bent(|w| w.group.as_mut().unwrap().follow = Follow::Channel("alpha".to_owned()));
    check(&world, Reason::ChannelEmpty { channel: "alpha".to_owned(), app: APP.to_owned() }, None);
    let world = World::bent(|w| w.machine.app = "{other}".to_owned());
    check(&world, Reason::ChannelEmpty { channel: "stable".to_owned(), app: "{other}".to_owned() }, None);
}

#[test]
fn refuses_another_architecture() {
    let mismatch = |arch: &str, available: &str| Reason::ArchMismatch { arch: arch.to_owned(), available: vec![available.to_owned()] };
    check(&World::bent(|w| w.machine.arch = "riscv64".to_owned()), mismatch("riscv64", "amd64"), None);
    let edge = World::bent(|w| w.group.as_mut().unwrap().follow = Follow::Channel("edge".to_owned()));
    check(&edge, mismatch("amd64", "arm64"), None);
    let pinned = World::bent(|w| w.machine.pin = Some(version("1.3.0")));
    check(&pinned, mismatch("amd64", "arm64"), None);
}

#[test]
fn refuses_what_is_not_newer() {
    for runs in ["1.2.0", "1.2.0+build", "1.3.0", "2.0.0"] {
        let world = World::bent(|w| w.machine.version = version(runs));
        check(&world, Reason::UpToDate { runs: version(runs), offered: version("1.2.0") }, None);
    }
    assert_eq!(offered(&World::bent(|w| w.machine.version = version("1.2.0-rc.1"))).0, "1.2.0");
}

#[test]
fn refuses_a_blocked_release_and_a_blocked_floor() {
    let blocked = |number: &str| Reason::Blocked { version: version(number), why: "eats disks".to_owned() };
    let world = World::bent(|w| w.catalog.releases[2].blocked = Some("eats disks".to_owned()));
    check(&world, blocked("1.2.0"), None);
    let world = World::bent(|w| {
        floor(&mut w.catalog, "1.1.0");
        w.catalog.releases[1].blocked = Some("eats disks".to_owned());
    });
    check(&world, blocked("1.1.0"), None);
}

#[test]
fn a_machine_below_a_floor_gets_the_floor_first() {
    let mut world = World::bent(|w| floor(&mut w.catalog, "1.1.0"));
    assert_eq!(offered(&world), ("1.1.0".to_owned(), Some("1.2.0".to_owned())));
    world.machine.version = version("1.1.0");
    world.grant = Some(Grant::new(START, false));
    assert_eq!(offered(&world), ("1.2.0".to_owned(), None));
    floor(&mut world.catalog, "1.0.0");
    world.machine.version = version("0.5.0");
    assert_eq!(offered(&world).0, "1.0.0", "the lowest one first");
}

#[test]
fn refuses_what_failed_here_before() {
    let world = World::bent(|w| w.machine.quarantined = vec![version("1.2.0")]);
    check(&world, Reason::Quarantined { version: version("1.2.0"), floor_for: None }, None);
    let world = World::bent(|w| {
        floor(&mut w.catalog, "1.1.0");
        w.machine.quarantined = vec![version("1.1.0")];
    });
    check(&world, Reason::Quarantined { version: version("1.1.0"), floor_for: Some(version("1.2.0")) }, None);
    let grant = Grant { outcome: Outcome::RolledBack, ..Grant::new(START, false) };
    let world = World::bent(|w| w.grant = Some(grant));
    check(&world, Reason::Quarantined { version: version("1.2.0"), floor_for: None }, None);
}

#[test]
fn a_quarantined_release_does_not_stand_in_the_way_of_the_next() {
    assert_eq!(offered(&World::bent(|w| w.machine.quarantined = vec![version("1.1.0")])).0, "1.2.0");
}

#[test]
fn refuses_outside_the_windows() {
    let window = Window { days: vec![Day::Tue], at: "22:00".parse().unwrap(), length: Span::hours(2) };
    let mut world = World::bent(|w| w.group.as_mut().unwrap().windows = Windows::new("UTC", vec![window]).unwrap());
    let opens = START + Span::hours(24 + 22);
    check(&world, Reason::Window { opens: Some(opens) }, Some(opens));
    world.now = opens;
    assert_eq!(offered(&world).0, "1.2.0");
}

#[test]
fn refuses_while_the_machine_is_busy_but_not_for_ever() {
    for (phase, hours) in [(Phase::Downloading, 1), (Phase::Downloaded, 1), (Phase::Staged, 24)] {
        let mut world = World::bent(|w| w.machine.progress = Some(Progress { phase, at: START }));
        check(&world, Reason::InProgress { phase, since: START }, Some(START + Span::hours(hours)));
        world.now = START + Span::hours(hours);
        assert_eq!(offered(&world).0, "1.2.0");
    }
}

#[test]
fn refuses_without_a_rollout_of_this_very_release() {
    check(&World::bent(|w| w.rollout = None), Reason::NoRollout { version: version("1.2.0") }, None);
    let other = World::bent(|w| w.rollout().release = crate::policy::ReleaseId(2));
    check(&other, Reason::NoRollout { version: version("1.2.0") }, None);
}

#[test]
fn refuses_before_the_start() {
    let world = World::bent(|w| w.now = START - Span::hours(1));
    check(&world, Reason::NotStarted { starts: START }, Some(START));
}

#[test]
fn a_pause_takes_effect_at_the_next_decision_even_for_granted_machines() {
    let pause = Control::Pause { by: "anna".to_owned(), why: "lunch".to_owned() };
    let mut world = World::bent(|w| w.grant = Some(Grant::new(START, false)));
    assert_eq!(offered(&world).0, "1.2.0");
    let seen = world.counts;
    world.rollout().control(pause, &seen, START).unwrap();
    let paused = Reason::Paused { by: "anna".to_owned(), why: "lunch".to_owned(), at: START };
    check(&world, paused.clone(), None);
    world.grant = None;
    check(&world, paused, None);
    world.rollout().control(Control::Resume, &seen, START).unwrap();
    assert_eq!(offered(&world).0, "1.2.0");
}

#[test]
fn refuses_when_the_brake_stopped_the_rollout() {
    let mut world = World::new();
    world.counts = Counts { granted: 10, rolled_back: 5, ..counts(100, 0) };
    let seen = world.counts;
    assert!(world.rollout().advance(&seen, START).is_some());
    let Some(Reason::Braked { stop, at: START }) = world.decide().reason().cloned() else { panic!("{:?}", world.decide()) };
    assert_eq!((stop.rolled_back, stop.judged), (5, 5));
    check(&world, Reason::Braked { stop, at: START }, None);
}

#[test]
fn canaries_go_first_and_the_others_wait_for_their_soak() {
    let canary = |id| {
        World::bent(|w| {
            w.machine.id = String::from(id);
            w.rollout().settings.canaries = fixture::canaries(&["c1", "c2", "c3"], 2, 2, Span::hours(1));
        })
    };
    let mut other = canary("m");
    check(&other, Reason::CanarySoak { completed: 0, need: 2, soak: Span::hours(1) }, None);
    let mut first = canary("c1");
    assert!(first.decide().ticket().unwrap().canary);
    first.counts.canaries.granted = 2;
    check(&first, Reason::CanaryLimit { granted: 2, limit: 2 }, None);
    // Two completed at a quarter past; the soak ends an hour later.
    let held = START + Span::minutes(15);
    other.counts = Counts { granted: 2, completed: 2, ..counts(10, 0) };
    (other.counts.canaries.granted, other.counts.canaries.completed) = (2, 2);
    let seen = other.counts;
    assert!(other.rollout().advance(&seen, held).is_some());
    other.now = held + Span::minutes(59);
    let soak = Reason::CanarySoak { completed: 2, need: 2, soak: Span::hours(1) };
    check(&other, soak, Some(held + Span::hours(1)));
    other.now = held + Span::hours(1);
    assert_eq!(offered(&other).0, "1.2.0");
}

#[test]
fn newcomers_wait_until_the_ramp_is_at_100_per_cent_and_not_a_moment_longer() {
    let first_seen = START + Span(1);
    let mut world = World::bent(|w| {
        w.machine.first_seen = first_seen;
        w.rollout = Some(rollout("0h:90,10h:100"));
    });
    let reason = Reason::Newcomer { first_seen, started: START, share: Share::percent(90) };
    check(&world, reason, Some(START + Span::hours(10)));
    world.now = START + Span::hours(10) - Span(1);
    assert_eq!(world.decide().reason().unwrap().rule(), "newcomer");
    world.now = START + Span::hours(10);
    world.counts = counts(10, 10);
    assert_eq!(offered(&world).0, "1.2.0", "everybody means those that were not counted, too");
}

#[test]
fn without_a_ramp_a_newcomer_gets_the_release_at_once() {
    for ramp in [Ramp::default(), Ramp::at_once(), fixture::ramp("0h:100"), fixture::ramp("steps 0h:100")] {
        // A server without machines, one whose machines all have it, and one in the middle of it.
        for counts in [counts(0, 0), counts(10, 10), counts(10, 3)] {
            let mut world = World::bent(|w| {
                (w.machine.first_seen, w.now) = (START + Span::minutes(1), START + Span::minutes(1));
                w.rollout().settings.ramp = ramp.clone();
                w.counts = counts;
            });
            assert_eq!(offered(&world).0, "1.2.0", "ramp {ramp}, {counts:?}");
            assert!(world.decide().ticket().is_some(), "it is counted like any other");
            // Also when all others have it and nothing is left to be done, but never while a person holds it.
            world.counts.grant(false);
            world.counts.completed = world.counts.granted;
            let seen = world.counts;
            while world.rollout().advance(&seen, START + Span::minutes(1)).is_some() {}
            assert_eq!(offered(&world).0, "1.2.0", "ramp {ramp}, {:?}", world.rollout().state);
            let pause = Control::Pause { by: "anna".to_owned(), why: "lunch".to_owned() };
            world.rollout().control(pause, &seen, START + Span::minutes(1)).unwrap();
            assert_eq!(world.decide().reason().unwrap().rule(), "paused");
        }
    }
}

#[test]
fn a_newcomer_among_the_canaries_goes_first_and_the_soak_holds_up_the_others() {
    let newcomer = |id: &str| {
        World::bent(|w| {
            (w.machine.id, w.machine.first_seen) = (id.to_owned(), START + Span(1));
            w.rollout().settings.canaries = fixture::canaries(&["c"], 1, 1, Span::hours(1));
        })
    };
    assert!(newcomer("c").decide().ticket().unwrap().canary);
    assert_eq!(newcomer("m").decide().reason().unwrap().rule(), "canary-soak", "no ramp is no way around the canaries");
}

#[test]
fn refuses_until_the_wave_reaches_the_machine_and_says_exactly_when() {
    let mut world = World::bent(|w| w.rollout = Some(rollout("0h:0,100h:100")));
    world.counts = counts(1_000_000, 0);
    let position = Position::of(&world.rollout().salt.clone(), "m").needs();
    let turn = START + world.rollout().settings.ramp.reaches(position).unwrap();
    check(&world, Reason::Wave { position, share: Share::NONE }, Some(turn));
    world.now = turn - Span(1);
    assert_eq!(world.decide().reason().unwrap().rule(), "wave");
    world.now = turn;
    assert_eq!(offered(&world).0, "1.2.0");
}

#[test]
fn refuses_above_the_cap_and_says_exactly_when() {
    let mut world = World::bent(|w| w.rollout = Some(rollout("0h:100")));
    world.rollout().settings.ramp = fixture::ramp("0h:50,50h:100");
    world.machine.id =
        (0..).map(|n| n.to_string()).find(|id| Position::of(&world.rollout().salt.clone(), id).needs() < Share::percent(50)).unwrap();
    world.counts = counts(10, 5);
    let cap = Reason::Cap { granted: 5, allowed: 5, population: 10, share: Share::percent(50) };
    let turn = START + Span::hours(10);
    check(&world, cap, Some(turn));
    world.now = turn - Span(1);
    assert_eq!(world.decide().reason().unwrap().rule(), "cap");
    world.now = turn;
    assert_eq!(offered(&world).0, "1.2.0");
}

#[test]
fn refuses_more_machines_at_the_same_time_than_the_group_allows() {
    let mut world = World::bent(|w| w.group.as_mut().unwrap().parallel = Some(2));
    world.counts = Counts { granted: 3, completed: 1, ..counts(10, 0) };
    check(&world, Reason::Parallel { busy: 2, limit: 2 }, None);
    world.counts.completed = 2;
    assert_eq!(offered(&world).0, "1.2.0");
}

#[test]
fn a_granted_machine_that_asks_again_is_not_counted_again() {
    let mut world = World::bent(|w| w.grant = Some(Grant { outcome: Outcome::Failed, ..Grant::new(START, false) }));
    world.counts = counts(10, 10);
    let Decision::Update(update) = world.decide() else { panic!("{:?}", world.decide()) };
    assert_eq!(update.because, Because::Granted { at: START });
}

#[test]
fn the_explanation_reads_like_a_list() {
    let mut world = World::bent(|w| floor(&mut w.catalog, "1.1.0"));
    world.rollout().settings.ramp = fixture::ramp("0h:1,100h:100");
    let lines: Vec<String> =
        world.ask(explain).iter().map(|step| format!("{} {}: {}", if step.passed { "ok" } else { "NO" }, step.rule, step.text)).collect();
    insta::assert_snapshot!(lines.join("\n"));
}

fn versions() -> impl Strategy<Value = Version> {
    (0u64..3, 0u64..4).prop_map(|(major, minor)| Version::new(major, minor, 0))
}

proptest! {
    #[test]
    fn nobody_is_offered_an_older_version_and_no_floor_is_skipped(
        runs in versions(),
        stock in prop::collection::vec((versions(), any::<bool>(), prop::bool::weighted(0.1)), 1..8),
        pin in prop::option::of(versions()),
        group_pin in prop::option::of(versions()),
        quarantined in prop::collection::vec(versions(), 0..3),
        hours in 0u64..60,
    ) {
        let mut world = World::new();
        let releases = stock.iter().zip(1..).map(|((number, floor, blocked), id)| {
            let mut release = fixture::release(id, "amd64", &number.to_string());
            release.floor = floor.then(|| crate::policy::Floor { reason: "test".to_owned() });
            release.blocked = blocked.then(|| "test".to_owned());
            release
        });
        world.catalog.releases = releases.collect();
        world.catalog.releases.dedup_by(|a, b| a.version == b.version);
        world.catalog.channels[0].release = world.catalog.releases[0].id;
        world.machine = Machine { version: runs.clone(), pin: pin.clone(), quarantined: quarantined.clone(), ..machine("m", "1.0.0") };
        if let Some(pin) = group_pin.clone() {
            world.group.as_mut().unwrap().follow = Follow::Pinned(pin);
        }
        if let Ok(headed) = target(&world.machine, world.group.as_ref().unwrap(), &world.catalog) {
            world.rollout().release = headed.id;
        }
        world.now = START + Span::hours(hours);
        if let Decision::Update(update) = world.decide() {
            prop_assert!(newer(&update.version, &runs));
            let skipped = stock.iter().any(|(number, floor, _)| *floor && newer(number, &runs) && newer(&update.version, number)
                && world.catalog.releases.iter().any(|release| release.floor.is_some() && release.version == *number));
            prop_assert!(!skipped, "{} skips a floor from {}", update.version, runs);
            prop_assert!(!quarantined.contains(&update.version));
            prop_assert!(pin.as_ref().is_none_or(|pin| !newer(&update.version, pin)));
            prop_assert!(pin.is_some() || group_pin.is_none_or(|pin| !newer(&update.version, &pin)));
        }
        let explained = world.ask(explain);
        prop_assert_eq!(explained.last().unwrap().passed, world.decide().reason().is_none());
    }
}
