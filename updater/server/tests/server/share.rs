//! S09: several servers on one database never give a release to more machines than its share allows.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Mutex;
use update_server::checkin::batch::Engine;
use update_server::checkin::{CheckIn, Reply, Report};
use update_server::clock::Clock;
use update_server::policy::{Control, Decision, Follow, Group, Reason, ReleaseId, Rollout, RolloutId, Salt, Settings, Span, Version};
use update_server::store::catalog::{self, New, Offer, Source};
use update_server::store::{Db, groups, rollouts};

use crate::fixture::{NOW, databases, open};

const MACHINES: u64 = 200;
const SERVERS: usize = 4;

fn machine(number: u64) -> CheckIn {
    CheckIn {
        app: "app".into(),
        machine_id: format!("m{number:04}"),
        group: "stable".into(),
        version: "1.0.0".into(),
        arch: "amd64".into(),
        boot_id: "b".into(),
        asks: true,
        ..CheckIn::default()
    }
}

async fn prepare(db: &Db, clock: &Clock, ramp: &str) -> RolloutId {
    let now = clock.now();
    let mut tx = db.begin().await.unwrap();
    let settings = Settings { ramp: ramp.parse().unwrap(), ..Settings::default() };
    let follow = Follow::Channel("stable".into());
    let group =
        Group { name: "stable".into(), follow, enabled: true, windows: Default::default(), parallel: None, defaults: settings.clone() };
    groups::put(&mut tx, &group, now).await.unwrap();
    let offer = Offer { folder: "f".into(), packages: vec![], source: Source::Registered };
    let new = New { app: "app".into(), arch: "amd64".into(), version: Version::new(2, 0, 0), rollback_index: 0, offer };
    let id: ReleaseId = catalog::add(&mut tx, &new, now).await.unwrap().unwrap();
    let release = catalog::release(&mut tx, id).await.unwrap().unwrap().release;
    catalog::point(&mut tx, "stable", &release).await.unwrap();
    tx.commit().await.unwrap();

    let all: Vec<CheckIn> = (0..MACHINES).map(machine).collect();
    Engine::new(db.clone(), clock.clone()).run(&all).await.unwrap();
    clock.advance(Span::seconds(1));
    let now = clock.now();
    let mut tx = db.begin().await.unwrap();
    let rollout = Rollout::new(RolloutId(0), release.id, Salt("salt".into()), settings, now);
    let population = rollouts::population(&mut tx, "stable", &release, now, now).await.unwrap();
    assert_eq!(population, MACHINES);
    let id = rollouts::add(&mut tx, "stable", &rollout, population, now).await.unwrap();
    tx.commit().await.unwrap();
    clock.advance(Span::seconds(1));
    id
}

fn offered(reply: &Reply) -> bool {
    matches!(reply, Reply::Decided(decision, Some(_)) if matches!(**decision, Decision::Update(_)))
}

/// A small generator, so that a failure can be repeated from its seed.
fn next(seed: &mut u64) -> u64 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    *seed
}

#[tokio::test(flavor = "multi_thread")]
async fn many_servers_on_one_database_never_exceed_the_share() {
    for (seed, ramp, most) in [(1_u64, "0s:30", 60), (7, "0s:7", 14), (99, "0s:100", 200)] {
        let dir = tempfile::tempdir().unwrap();
        for database in databases(dir.path()).await {
            let clock = Clock::manual(NOW);
            let db = open(&database).await;
            let rollout = prepare(&db, &clock, ramp).await;
            let given: Arc<Mutex<BTreeSet<String>>> = Arc::default();
            let mut servers = Vec::new();
            for server in 0..SERVERS {
                // Its own connections, as another process would have.
                let (mut engine, given) = (Engine::new(open(&database).await, clock.clone()), Arc::clone(&given));
                let mut seed = seed.wrapping_mul(1_000_003).wrapping_add(server as u64 + 1);
                servers.push(tokio::spawn(async move {
                    for _ in 0..12 {
                        let batch: Vec<CheckIn> = (0..next(&mut seed) % 40 + 1).map(|_| machine(next(&mut seed) % MACHINES)).collect();
                        let (replies, _) = engine.run(&batch).await.unwrap();
                        let mut given = given.lock().await;
                        given.extend(
                            batch.iter().zip(&replies).filter(|(_, reply)| offered(reply)).map(|(said, _)| said.machine_id.clone()),
                        );
                    }
                }));
            }
            for server in servers {
                server.await.unwrap();
            }
            let stored = rollouts::get(&db, rollout).await.unwrap().unwrap();
            let grants = db.row("SELECT COUNT(*) FROM grants", &[]).await.unwrap().unwrap().count(0).unwrap();
            let given = given.lock().await.len() as u64;
            assert!(given > 0 && given <= most, "{given} of at most {most} on {database}");
            assert_eq!((stored.counts.granted, grants), (given, given), "counts, grants and offers agree on {database}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_on_one_replica_holds_on_all_others_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let clock = Clock::manual(NOW);
        let (one, other) = (open(&database).await, open(&database).await);
        let rollout = prepare(&one, &clock, "0s:100").await;
        let mut engine = Engine::new(other, clock.clone());
        assert!(offered(&engine.run(&[machine(1)]).await.unwrap().0[0]));
        let mut tx = one.begin().await.unwrap();
        let mut stored = rollouts::lock(&mut tx, &[rollout]).await.unwrap().pop().unwrap();
        stored.rollout.control(Control::Pause { by: "me".into(), why: String::new() }, &stored.counts, clock.now()).unwrap();
        rollouts::write(&mut tx, &mut stored).await.unwrap();
        tx.commit().await.unwrap();
        for number in [1, 2] {
            let (replies, tally) = engine.run(&[machine(number)]).await.unwrap();
            let Reply::Decided(decision, None) = &replies[0] else { panic!("{replies:?} on {database}") };
            assert!(matches!(&**decision, Decision::NotNow(not_now) if matches!(not_now.reason, Reason::Paused { .. })), "{decision:?}");
            assert_eq!(tally.grants, 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_decided_on_an_old_revision_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let clock = Clock::manual(NOW);
        let db = open(&database).await;
        let rollout = prepare(&db, &clock, "0s:100").await;
        let mut stale = rollouts::get(&db, rollout).await.unwrap().unwrap();
        Engine::new(db.clone(), clock.clone()).run(&[machine(3)]).await.unwrap();
        let mut tx = db.begin().await.unwrap();
        assert!(rollouts::write(&mut tx, &mut stale).await.unwrap_err().passing());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_that_fall_silent_are_counted_and_stop_a_rollout() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let clock = Clock::manual(NOW);
        let db = open(&database).await;
        let rollout = prepare(&db, &clock, "0s:100").await;
        let mut engine = Engine::new(db.clone(), clock.clone());
        let some: Vec<CheckIn> = (0..40).map(machine).collect();
        engine.run(&some).await.unwrap();
        clock.advance(Span::hours(4));
        // One of them is heard of again before anybody looks.
        engine.run(&[machine(0)]).await.unwrap();
        update_server::background::round(&db, &clock).await.unwrap();
        let stored = rollouts::get(&db, rollout).await.unwrap().unwrap();
        assert_eq!(stored.counts.silent, 39, "{database}");
        assert_eq!(rollouts::state_name(&stored.rollout.state), "stopped");
        assert_eq!(rollouts::points(&db, rollout).await.unwrap().len(), 1);
        // Silence ends when a machine is heard of.
        engine.run(&[machine(5)]).await.unwrap();
        assert_eq!(rollouts::get(&db, rollout).await.unwrap().unwrap().counts.silent, 38);
    }
}

/// The machine says that installing the release failed, or (44) that it came back from it.
fn failed(number: u64, code: i64) -> CheckIn {
    let report = Report { kind: 3, result: 0, code: Some(code), cause: None, previous: None, release: Some("2.0.0".into()) };
    CheckIn { reports: vec![report], asks: false, ..machine(number) }
}

#[tokio::test(flavor = "multi_thread")]
async fn installs_that_keep_failing_count_after_some_tries_or_some_time() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let clock = Clock::manual(NOW);
        let db = open(&database).await;
        let rollout = prepare(&db, &clock, "0s:100").await;
        let mut engine = Engine::new(db.clone(), clock.clone());
        engine.run(&[machine(0), machine(1), machine(2)]).await.unwrap();
        // One fails five times, one once and is heard of until its day is over, one only downloads.
        for _ in 0..5 {
            engine.run(&[failed(0, 37)]).await.unwrap();
        }
        engine.run(&[failed(1, 37)]).await.unwrap();
        let failures = async || rollouts::get(&db, rollout).await.unwrap().unwrap().counts.failed;
        assert_eq!(failures().await, 1, "{database}");
        clock.advance(Span::hours(25));
        engine.run(&[machine(0), machine(1), machine(2)]).await.unwrap();
        update_server::background::round(&db, &clock).await.unwrap();
        assert_eq!(failures().await, 2, "{database}");
        let stored = rollouts::get(&db, rollout).await.unwrap().unwrap();
        assert_eq!((stored.counts.silent, stored.counts.in_flight()), (0, 1), "{database}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_machines_that_were_given_nothing_do_not_stop_a_rollout() {
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let clock = Clock::manual(NOW);
        let db = open(&database).await;
        let rollout = prepare(&db, &clock, "0s:100").await;
        let mut engine = Engine::new(db.clone(), clock.clone());
        let claims: Vec<CheckIn> = (40..150).map(|number| failed(number, 44)).collect();
        engine.run(&claims).await.unwrap();
        let stored = rollouts::get(&db, rollout).await.unwrap().unwrap();
        assert_eq!((stored.counts.bad(), rollouts::state_name(&stored.rollout.state)), (0, "running"), "{database}");
        // Nor do installs that are tried again, of machines that were given it.
        engine.run(&(0..40).map(machine).collect::<Vec<_>>()).await.unwrap();
        engine.run(&(0..40).map(|number| failed(number, 9)).collect::<Vec<_>>()).await.unwrap();
        let stored = rollouts::get(&db, rollout).await.unwrap().unwrap();
        assert_eq!((stored.counts.bad(), rollouts::state_name(&stored.rollout.state)), (0, "running"), "{database}");
        // Coming back from it does, in the very batch in which it becomes too much.
        engine.run(&(0..40).map(|number| failed(number, 44)).collect::<Vec<_>>()).await.unwrap();
        let stored = rollouts::get(&db, rollout).await.unwrap().unwrap();
        assert_eq!((stored.counts.bad(), rollouts::state_name(&stored.rollout.state)), (40, "stopped"), "{database}");
        let (replies, _) = engine.run(&[machine(180)]).await.unwrap();
        assert!(!offered(&replies[0]), "{database}");
        let notes = db.row("SELECT COUNT(*) FROM audit WHERE action = 'rollout.stopped-by-brake'", &[]).await.unwrap().unwrap();
        assert_eq!(notes.count(0).unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_whose_clocks_are_hours_apart_judge_a_ramp_by_the_databases() {
    const HOUR: i64 = 3_600_000;
    let dir = tempfile::tempdir().unwrap();
    for database in databases(dir.path()).await {
        let db = open(&database).await;
        // A ramp that has been at 30 % for thirty hours, and goes on in an hour.
        let real = update_server::store::time(&db).await.unwrap();
        let began = Clock::manual(real - Span::hours(30) - Span::minutes(1));
        let rollout = prepare(&db, &began, "steps 0h:30,31h:100").await;
        let (mut given, mut first) = (BTreeSet::new(), None);
        for (wrong, resumes) in [(60, false), (-60, false), (20_000, true), (3, false), (0, true), (-20_000, true), (65, false)] {
            let clock = Clock::Wrong(wrong * HOUR);
            assert!((clock.now().0 - real.0 - wrong * HOUR).abs() < HOUR, "the clock is wrong, on {database}");
            if resumes {
                // Somebody pauses on this replica and goes on at once, which begins a new stretch of running time.
                let pause = Control::Pause { by: "me".into(), why: String::new() };
                for control in [pause, Control::Resume] {
                    update_server::steer::steer(&db, rollout, "test", "me", &control, &clock).await.unwrap();
                }
            }
            let mut engine = Engine::new(open(&database).await, clock.clone());
            for batch in (0..MACHINES).map(machine).collect::<Vec<_>>().chunks(70) {
                let (replies, _) = engine.run(batch).await.unwrap();
                let offered = batch.iter().zip(&replies).filter(|(_, reply)| offered(reply));
                given.extend(offered.map(|(said, _)| said.machine_id.clone()));
            }
            let count = given.len();
            assert!((40..=60).contains(&count), "{count} of at most 60 with a clock that is {wrong} hours off, on {database}");
            assert_eq!(count, *first.get_or_insert(count), "it makes no difference that the clock is {wrong} hours off, on {database}");
            // Nor does a wrong clock silence the machines that were just heard of.
            update_server::background::round(&db, &clock).await.unwrap();
            let stored = rollouts::get(&db, rollout).await.unwrap().unwrap();
            assert_eq!((stored.counts.granted, stored.counts.silent), (count as u64, 0), "{wrong} hours off, on {database}");
            assert_eq!(rollouts::state_name(&stored.rollout.state), "running", "{wrong} hours off, on {database}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn several_replicas_with_wrong_clocks_at_once_never_exceed_the_share() {
    const HOUR: i64 = 3_600_000;
    for seed in [3_u64, 11] {
        let dir = tempfile::tempdir().unwrap();
        for database in databases(dir.path()).await {
            let db = open(&database).await;
            let real = update_server::store::time(&db).await.unwrap();
            let rollout = prepare(&db, &Clock::manual(real - Span::hours(30) - Span::minutes(1)), "steps 0h:30,31h:100").await;
            let mut servers = Vec::new();
            for (server, wrong) in [-40_i64, -1, 2, 40].into_iter().enumerate() {
                let mut engine = Engine::new(open(&database).await, Clock::Wrong(wrong * HOUR));
                let mut seed = seed.wrapping_mul(1_000_003).wrapping_add(server as u64 + 1);
                servers.push(tokio::spawn(async move {
                    for _ in 0..15 {
                        let batch: Vec<CheckIn> = (0..next(&mut seed) % 40 + 1).map(|_| machine(next(&mut seed) % MACHINES)).collect();
                        engine.run(&batch).await.unwrap();
                    }
                }));
            }
            for server in servers {
                server.await.unwrap();
            }
            let granted = rollouts::get(&db, rollout).await.unwrap().unwrap().counts.granted;
            assert!((1..=60).contains(&granted), "{granted} of at most 60 on {database}");
        }
    }
}
