//! One transaction for many machines: read, absorb, decide, write.
//!
//! # What keeps a share from being exceeded
//! Rollouts that a batch may change are locked and read *inside* its transaction, decided upon there, and written back only
//! if their revision is still the one that was read ([`rollouts::write`]). So a grant exists exactly when its count was
//! written with it, whatever other replicas do, and a pause that was committed before this transaction is seen by it.
//! Locks are taken in the same order (machines by number, then rollouts by number), so that no two batches wait for each
//! other; should two do so all the same, or one lose a race, the whole batch is run again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::absorb::{Word, absorb};
use super::{CheckIn, Reply};
use crate::clock::Clock;
use crate::policy::{self, Ask, Because, Change, Decision, Grant, Live, Outcome, Release, RolloutId, Time, View};
use crate::store::config::Config;
use crate::store::machines::{Facts, Record, Standing};
use crate::store::{Db, StoreError, Tx, audit, events, grants, machines, present, rollouts};

/// Machines that one group may hold: ten times the largest fleet this server is built for, so that inventing machines fills
/// no disk.
pub const MAX_MACHINES_PER_GROUP: u64 = 1_000_000;
/// Machines that all groups together may hold which nobody made: a misspelt track shows up, a made-up one does not fill the disk.
pub const MAX_MACHINES_WITHOUT_GROUP: u64 = 10_000;
/// How long a count of a group's machines is believed before it is counted again.
const COUNT_MILLIS: i64 = 10_000;
/// How often a batch that lost a race is run again before its machines are told to come later.
const ATTEMPTS: usize = 8;

/// Decides about check-ins, many in one transaction.
#[derive(Debug)]
pub struct Engine {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    sizes: HashMap<String, (Time, u64)>,
}

/// What a batch did, for metrics.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// New grants.
    pub grants: u64,
    /// Machines that came back from a release.
    pub rollbacks: u64,
    /// Codes of failures.
    pub failures: Vec<i64>,
    /// New machines.
    pub registered: u64,
}

/// What a transaction works on.
struct Work<'b> {
    config: Arc<Config>,
    now: Time,
    /// By application and id, as the batch has them.
    machines: HashMap<(&'b str, &'b str), Record>,
    dirty: BTreeSet<i64>,
    rollouts: HashMap<RolloutId, rollouts::Stored>,
    changed_rollouts: BTreeSet<RolloutId>,
    grants: HashMap<(i64, RolloutId), grants::Stored>,
    changed_grants: BTreeSet<(i64, RolloutId)>,
    events: Vec<events::Event>,
    notes: Vec<(RolloutId, Change)>,
    tally: Tally,
}

impl Engine {
    /// Over a database.
    #[must_use]
    pub fn new(db: Db, clock: Clock) -> Self {
        Self { db, clock, config: Arc::default(), sizes: HashMap::new() }
    }

    /// Decides about all of `batch` and commits; the replies are in its order.
    ///
    /// # Errors
    /// The database's, after some attempts; then nothing of it was written.
    pub async fn run(&mut self, batch: &[CheckIn]) -> Result<(Vec<Reply>, Tally), StoreError> {
        let mut attempt = 1;
        loop {
            match self.attempt(batch).await {
                Err(error) if error.passing() && attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    async fn attempt(&mut self, batch: &[CheckIn]) -> Result<(Vec<Reply>, Tally), StoreError> {
        let mut tx = self.db.begin().await?;
        let (generation, theirs) = present(&mut tx).await?;
        if self.config.generation != generation {
            self.config = Arc::new(Config::read(&mut tx, generation).await?);
        }
        let now = self.clock.judged(theirs);
        let mut work = self.load(&mut tx, batch, now).await?;
        let replies = batch.iter().map(|said| work.one(said)).collect();
        work.write(&mut tx).await?;
        tx.commit().await?;
        Ok((replies, work.tally))
    }

    /// Reads the machines (adding new ones), then everything that may be decided about them.
    async fn load<'b>(&mut self, tx: &mut Tx, batch: &'b [CheckIn], now: Time) -> Result<Work<'b>, StoreError> {
        let config = Arc::clone(&self.config);
        let known = |said: &&CheckIn| !said.machine_id.is_empty() && config.apps.contains(&said.app);
        let mut names: Vec<(&str, &str)> = batch.iter().filter(known).map(key).collect();
        names.sort_unstable();
        names.dedup();
        let mut found = machines::hear(tx, &names, now).await?;
        let mut registered = 0;
        if found.len() < names.len() {
            let have: BTreeSet<(String, String)> = found.iter().map(|record| (record.app.clone(), record.machine_id.clone())).collect();
            let mut new: Vec<Record> = Vec::new();
            for said in batch.iter().filter(known).filter(|said| !have.contains(&(said.app.clone(), said.machine_id.clone()))) {
                let again = new.iter().any(|record| record.app == said.app && record.machine_id == said.machine_id);
                if !again && self.has_room(tx, &said.group, now).await? {
                    new.push(newcomer(said, now));
                }
            }
            registered = new.len() as u64;
            if !new.is_empty() {
                new.sort_by(|a, b| (&a.app, &a.machine_id).cmp(&(&b.app, &b.machine_id)));
                machines::add(tx, &new.iter().collect::<Vec<_>>()).await?;
                found = machines::lock(tx, &names).await?;
            }
        }
        let named = |record: Record| {
            let place = names.binary_search(&(record.app.as_str(), record.machine_id.as_str())).ok()?;
            Some((names[place], record))
        };
        let machines: HashMap<_, _> = found.into_iter().filter_map(named).collect();
        let mut work = Work {
            config,
            now,
            machines,
            dirty: BTreeSet::new(),
            rollouts: HashMap::new(),
            changed_rollouts: BTreeSet::new(),
            grants: HashMap::new(),
            changed_grants: BTreeSet::new(),
            events: Vec::new(),
            notes: Vec::new(),
            tally: Tally { registered, ..Tally::default() },
        };
        let (concerned, wanted) = work.concerned(batch);
        if !wanted.is_empty() {
            let wanted: Vec<_> = wanted.into_iter().collect();
            for stored in rollouts::lock(tx, &wanted).await? {
                work.rollouts.insert(stored.rollout.id, stored);
            }
            for stored in grants::of_machines(tx, &concerned).await? {
                work.grants.insert((stored.machine, stored.rollout), stored);
            }
        }
        Ok(work)
    }

    async fn has_room(&mut self, tx: &mut Tx, group: &str, now: Time) -> Result<bool, StoreError> {
        let made = self.config.groups.contains_key(group);
        // All groups that nobody made share one limit, under a name no group can have.
        let key = if made { group } else { "" };
        let counted = self.sizes.get(key).filter(|(at, _)| now.0 - at.0 < COUNT_MILLIS).copied();
        let (at, count) = match counted {
            Some(counted) => counted,
            None if made => (now, machines::count_in(tx, group).await?),
            None => {
                let names: Vec<&String> = self.config.groups.keys().collect();
                (now, machines::count_outside(tx, &names).await?)
            }
        };
        let room = count < if made { MAX_MACHINES_PER_GROUP } else { MAX_MACHINES_WITHOUT_GROUP };
        self.sizes.insert(key.to_owned(), (at, count + u64::from(room)));
        Ok(room)
    }
}

/// What a machine is known by.
fn key(said: &CheckIn) -> (&str, &str) {
    (&said.app, &said.machine_id)
}

fn newcomer(said: &CheckIn, now: Time) -> Record {
    Record {
        id: 0,
        app: said.app.clone(),
        machine_id: said.machine_id.clone(),
        group: said.group.clone(),
        version: said.version.clone(),
        arch: said.arch.clone(),
        oem: String::new(),
        state: Standing::Idle,
        first_seen: now,
        last_seen: now,
        facts: Facts::default(),
    }
}

impl<'b> Work<'b> {
    /// The machines and rollouts that this batch may change: those of machines that are on their way, and those of releases
    /// that a machine which asks does not run yet.
    fn concerned(&self, batch: &[CheckIn]) -> (Vec<i64>, BTreeSet<RolloutId>) {
        let (mut machines, mut wanted) = (BTreeSet::new(), BTreeSet::new());
        // Machines of a group differ in little that matters here: each kind is worked out once.
        let mut kinds: HashMap<_, Option<RolloutId>> = HashMap::new();
        for said in batch {
            let Some(record) = self.machines.get(&key(said)) else { continue };
            if let Some(open) = record.facts.open {
                wanted.insert(open);
                machines.insert(record.id);
            }
            if !said.asks {
                continue;
            }
            // As it will be once its words are absorbed.
            let group = if record.facts.group_fixed { &record.group } else { &said.group };
            if !self.config.rollouts.contains_key(group) {
                continue;
            }
            let kind = (group, &said.app, &said.arch, &said.version, &record.facts.pin);
            let rollout = *kinds.entry(kind).or_insert_with(|| {
                let (group, version, arch) = (group.clone(), said.version.clone(), said.arch.clone());
                self.headed_for(&Record { group, version, arch, ..record.clone() })
            });
            if let Some(rollout) = rollout {
                wanted.insert(rollout);
                machines.insert(record.id);
            }
        }
        (machines.into_iter().collect(), wanted)
    }

    /// The rollout of the release that a machine is headed for and does not run.
    fn headed_for(&self, record: &Record) -> Option<RolloutId> {
        let group = self.config.groups.get(&record.group)?;
        let machine = record.policy();
        let release = policy::target(&machine, group, &self.config.catalog).ok()?;
        if policy::newer(&release.version, &machine.version) { self.config.rollout(&record.group, release.id) } else { None }
    }

    fn one(&mut self, said: &'b CheckIn) -> Reply {
        if !self.config.apps.contains(&said.app) {
            return Reply::UnknownApp;
        }
        if said.machine_id.is_empty() {
            return Reply::NoMachineId;
        }
        let key = key(said);
        let Some(mut record) = self.machines.remove(&key) else { return Reply::GroupFull };
        let absorbed = absorb(&mut record, said, self.now);
        self.events.extend(absorbed.events);
        let mut changed = absorbed.changed;
        changed |= self.listen(&mut record, &absorbed.words);
        let reply = if said.asks {
            let (decision, release, granted) = self.decide(&mut record);
            changed |= granted;
            Reply::Decided(Box::new(decision), release)
        } else {
            Reply::Heard
        };
        if changed {
            record.state = record.standing();
            self.dirty.insert(record.id);
        }
        self.machines.insert(key, record);
        reply
    }

    /// Books what a machine's words say about the release it was given.
    fn listen(&mut self, record: &mut Record, words: &[Word]) -> bool {
        for word in words {
            if word.outcome == Outcome::RolledBack {
                self.tally.rollbacks += 1;
            }
            self.tally.failures.extend(word.code);
        }
        let Some(open) = record.facts.open else { return false };
        let release = self.rollouts.get(&open).and_then(|stored| self.config.releases.get(&stored.rollout.release)).cloned();
        // Hearing anything ends a silence; running the release is as good as saying so.
        self.book(record, open, &Word { outcome: Outcome::Pending, code: None, cause: None });
        for word in words {
            // A floor on the way was taken, not the release itself: it is still on its way.
            let at_floor = word.outcome == Outcome::Completed && release.as_ref().is_some_and(|stored| !runs(record, &stored.release));
            if !at_floor {
                self.book(record, open, word);
            }
            if let (Outcome::RolledBack, Some(stored), None) =
                (word.outcome, &release, record.facts.failure.as_ref().and_then(|f| f.release.as_ref()))
            {
                // Stock clients do not say which release they came back from: it is the one they were given.
                if !record.facts.quarantined.contains(&stored.release.version) {
                    record.facts.quarantined.insert(0, stored.release.version.clone());
                }
            }
        }
        if release.is_some_and(|stored| runs(record, &stored.release)) {
            self.book(record, open, &Word { outcome: Outcome::Completed, code: None, cause: None });
        }
        let ended = self
            .grants
            .get(&(record.id, open))
            .is_none_or(|stored| matches!(stored.grant.outcome, Outcome::Completed | Outcome::RolledBack));
        if ended {
            record.facts.open = None;
        }
        ended
    }

    fn book(&mut self, record: &Record, rollout: RolloutId, word: &Word) {
        let key = (record.id, rollout);
        let (Some(grant), Some(stored)) = (self.grants.get_mut(&key), self.rollouts.get_mut(&rollout)) else { return };
        if !stored.counts.book(Some(&mut grant.grant), word.outcome, &stored.rollout.settings.brake) {
            return;
        }
        (grant.code, grant.cause) = (word.code, word.cause.clone());
        self.notes.extend(stored.rollout.settle(&stored.counts, self.now).into_iter().map(|change| (rollout, change)));
        self.changed_grants.insert(key);
        self.changed_rollouts.insert(rollout);
    }

    fn decide(&mut self, record: &mut Record) -> (Decision, Option<Arc<crate::store::catalog::Stored>>, bool) {
        let machine = record.policy();
        let group = self.config.groups.get(&record.group);
        let rollout = group
            .and_then(|group| policy::target(&machine, group, &self.config.catalog).ok())
            .and_then(|release| self.config.rollout(&record.group, release.id));
        let stored = rollout.and_then(|rollout| self.rollouts.get(&rollout));
        let grant = rollout.and_then(|rollout| self.grants.get(&(record.id, rollout)));
        let live = stored.map(|stored| Live { rollout: &stored.rollout, counts: &stored.counts, grant: grant.map(|grant| &grant.grant) });
        let view = View { group, catalog: &self.config.catalog, live };
        let decision = policy::decide(&Ask { now: self.now, machine: &machine, position: None }, &view);
        let Decision::Update(update) = &decision else { return (decision, None, false) };
        let release = self.config.releases.get(&update.release).cloned();
        let mut granted = false;
        if let (Because::Turn { ticket, .. }, Some(rollout)) = (&update.because, rollout) {
            self.grant(record, rollout, ticket.canary);
            granted = true;
        }
        (decision, release, granted)
    }

    fn grant(&mut self, record: &mut Record, rollout: RolloutId, canary: bool) {
        let Some(stored) = self.rollouts.get_mut(&rollout) else { return };
        stored.counts.grant(canary);
        self.notes.extend(stored.rollout.settle(&stored.counts, self.now).into_iter().map(|change| (rollout, change)));
        let grant = Grant::new(self.now, canary);
        self.grants.insert((record.id, rollout), grants::Stored { machine: record.id, rollout, grant, code: None, cause: None });
        self.changed_grants.insert((record.id, rollout));
        self.changed_rollouts.insert(rollout);
        (record.facts.open, record.facts.failure) = (Some(rollout), None);
        self.tally.grants += 1;
    }

    async fn write(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let mut dirty: Vec<&Record> = self.machines.values().filter(|record| self.dirty.contains(&record.id)).collect();
        dirty.sort_by_key(|record| record.id);
        machines::write(tx, &dirty).await?;
        events::add(tx, &self.events).await?;
        let changed: Vec<grants::Stored> = self.changed_grants.iter().filter_map(|key| self.grants.get(key)).cloned().collect();
        grants::write(tx, &changed).await?;
        for id in &self.changed_rollouts {
            if let Some(stored) = self.rollouts.get_mut(id) {
                rollouts::write(tx, stored).await?;
            }
        }
        for (id, change) in &self.notes {
            note_change(tx, self.now, *id, change).await?;
        }
        Ok(())
    }
}

fn runs(record: &Record, release: &Release) -> bool {
    machines::lenient_version(&record.version).cmp_precedence(&release.version).is_eq()
}

/// Notes in the audit log what a rollout did by itself.
///
/// # Errors
/// The database's.
pub async fn note_change(tx: &mut Tx, now: Time, rollout: RolloutId, change: &Change) -> Result<(), StoreError> {
    let (action, after) = match change {
        Change::CanariesHeld => ("rollout.canaries-held", serde_json::Value::Null),
        Change::Stopped(stop) => ("rollout.stopped-by-brake", serde_json::to_value(stop)?),
        Change::Done => ("rollout.done", serde_json::Value::Null),
    };
    audit::note(tx, now, "server", action, &format!("rollout/{rollout}", rollout = rollout.0), None::<&()>, Some(&after)).await
}
