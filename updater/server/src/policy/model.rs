//! Several servers, one database, any interleaving: the model in which a share must never be exceeded.
//!
//! Each server decides on a copy of the facts that may be arbitrarily old, and may crash between deciding and writing. Writing
//! happens as [`Ticket`](super::Ticket) demands: decided again in the transaction, or by one conditional statement.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::fixture::{START, canaries, catalog, counts, group, machine, rollout};
use super::*;

const SERVERS: usize = 3;
const MACHINES: usize = 40;

#[derive(Debug, Clone)]
enum Action {
    /// A server reads everything.
    Read(usize),
    /// A server decides for a machine on what it read last.
    Ask(usize, usize),
    /// It decides again inside the transaction and writes.
    Commit(usize),
    /// It writes by one conditional statement.
    CommitIf(usize),
    /// It forgets what it was doing.
    Crash(usize),
    /// Time passes, in minutes.
    Wait(u64),
    Pause,
    Resume,
    /// A machine reports.
    Report(usize, Outcome),
    /// The population is counted again.
    Recount(u64),
}

fn action() -> impl Strategy<Value = Action> {
    let outcome = prop_oneof![
        8 => Just(Outcome::Completed),
        1 => Just(Outcome::Retrying),
        1 => Just(Outcome::RolledBack),
    ];
    prop_oneof![
        3 => (0..SERVERS).prop_map(Action::Read),
        12 => (0..SERVERS, 0..MACHINES).prop_map(|(server, machine)| Action::Ask(server, machine)),
        8 => (0..SERVERS).prop_map(Action::Commit),
        8 => (0..SERVERS).prop_map(Action::CommitIf),
        1 => (0..SERVERS).prop_map(Action::Crash),
        3 => (0u64..90).prop_map(Action::Wait),
        1 => Just(Action::Pause),
        2 => Just(Action::Resume),
        4 => (0..MACHINES, outcome).prop_map(|(machine, outcome)| Action::Report(machine, outcome)),
        1 => (20u64..60).prop_map(Action::Recount),
    ]
}

/// What all servers share. `revision` changes with everything but grants, as [`Ticket`] demands.
#[derive(Debug, Clone)]
struct Database {
    now: Time,
    rollout: Rollout,
    counts: Counts,
    grants: BTreeMap<usize, Grant>,
    revision: u64,
}

#[derive(Debug, Clone)]
struct Server {
    seen: Database,
    /// For whom, with the ticket, and the revision of the facts it was decided on.
    wants: Option<(usize, Ticket, u64)>,
}

fn ask(database: &Database, group: &Group, index: usize) -> Decision {
    let (machine, catalog) = (machine(&format!("m{index}"), "1.0.0"), catalog());
    let live = Live { rollout: &database.rollout, counts: &database.counts, grant: database.grants.get(&index) };
    let view = View { group: Some(group), catalog: &catalog, live: Some(live) };
    decide(&Ask { now: database.now, machine: &machine, position: None }, &view)
}

/// Writes a grant and checks everything that a grant may never break.
fn write(database: &mut Database, group: &Group, index: usize, canary: bool) -> Result<(), TestCaseError> {
    prop_assert!(
        database.rollout.state == State::Running || matches!(database.rollout.state, State::Done { .. }),
        "{:?}",
        database.rollout.state
    );
    let grant = Grant::new(database.now, canary);
    prop_assert!(database.grants.insert(index, grant).is_none(), "granted twice");
    database.counts.grant(canary);
    let share = database.rollout.share(database.now);
    let allowed = share.of(database.counts.population);
    if canary {
        prop_assert!(database.counts.canaries.granted <= database.rollout.settings.canaries.limit);
    } else if share < Share::ALL {
        prop_assert!(
            database.counts.granted <= allowed,
            "{} granted, {share} of {} allow {allowed}",
            database.counts.granted,
            database.counts.population
        );
    }
    prop_assert!(group.parallel.is_none_or(|limit| database.counts.in_flight() <= limit));
    Ok(())
}

fn advance(database: &mut Database) {
    while database.rollout.advance(&database.counts, database.now).is_some() {
        database.revision += 1;
    }
}

fn act(action: Action, database: &mut Database, servers: &mut [Server], group: &Group) -> Result<(), TestCaseError> {
    match action {
        Action::Read(server) => servers[server].seen = database.clone(),
        Action::Ask(server, index) => {
            let server = &mut servers[server];
            server.wants = ask(&server.seen, group, index).ticket().map(|ticket| (index, *ticket, server.seen.revision));
        }
        Action::Commit(server) => {
            if let Some((index, ..)) = servers[server].wants.take()
                && let Some(ticket) = ask(database, group, index).ticket().copied()
            {
                write(database, group, index, ticket.canary)?;
            }
        }
        Action::CommitIf(server) => {
            if let Some((index, ticket, revision)) = servers[server].wants.take()
                && group.parallel.is_none()
                && !database.grants.contains_key(&index)
                && revision == database.revision
                && database.counts.granted < ticket.allowed
            {
                write(database, group, index, ticket.canary)?;
            }
        }
        Action::Crash(server) => servers[server].wants = None,
        Action::Wait(minutes) => {
            database.now = database.now + Span::minutes(minutes);
            advance(database);
        }
        Action::Pause | Action::Resume => {
            let pause = Control::Pause { by: "anna".to_owned(), why: "test".to_owned() };
            let control = if matches!(action, Action::Pause) { pause } else { Control::Resume };
            if database.rollout.control(control, &database.counts, database.now).is_ok() {
                database.revision += 1;
            }
        }
        Action::Report(index, outcome) => {
            let brake = database.rollout.settings.brake;
            database.counts.book(database.grants.get_mut(&index), outcome, &brake);
            advance(database);
        }
        Action::Recount(population) => {
            database.counts.population = population;
            database.revision += 1;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_share_is_never_exceeded_whatever_the_servers_do(
        actions in prop::collection::vec(action(), 1..400),
        ramp in prop::sample::select(vec!["0h:10,10h:100", "steps 0h:5,1h:20,3h:50,9h:100", "0h:0,5h:30", "0h:100"]),
        with_canaries in any::<bool>(),
        parallel in prop::option::of(1u64..5),
    ) {
        let mut first = rollout(ramp);
        // Nothing but the cap is on trial here: everybody's turn is at once, and the brake hardly ever interferes.
        first.settings.brake = Brake { max_failures: Share::percent(40), sample: 20, ..Brake::default() };
        if with_canaries {
            first.settings.canaries = canaries(&["m0", "m1", "m2"], 2, 1, Span::hours(1));
        }
        let mut database = Database { now: START, rollout: first, counts: counts(40, 0), grants: BTreeMap::new(), revision: 0 };
        let group = Group { parallel, ..group() };
        let mut servers = vec![Server { seen: database.clone(), wants: None }; SERVERS];
        for action in actions {
            act(action, &mut database, &mut servers, &group)?;
        }
        // The sums are those of the grants, and a held rollout offers nothing on the next question.
        let with = |outcome| database.grants.values().filter(|grant| grant.outcome == outcome).count() as u64;
        prop_assert_eq!(database.counts.granted, database.grants.len() as u64);
        prop_assert_eq!(database.counts.completed, with(Outcome::Completed));
        prop_assert_eq!(database.counts.rolled_back, with(Outcome::RolledBack));
        prop_assert_eq!(database.counts.canaries.granted, database.grants.values().filter(|grant| grant.canary).count() as u64);
        let control = Control::Pause { by: "anna".to_owned(), why: "end".to_owned() };
        let _ = database.rollout.control(control, &database.counts, database.now);
        prop_assert!((0..MACHINES).all(|index| ask(&database, &group, index).reason().is_some()));
    }
}
