//! What the server counts, in Prometheus' text format.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::checkin::batch::Tally;
use crate::policy::turns::Turns;
use crate::views::Fleet;

/// Versions that get a time series of their own; the rest is summed as `other`, so that a machine that invents versions cannot
/// fill the monitoring.
const VERSIONS: usize = 30;
/// As above, for failure codes; real ones are below 100 or HTTP's.
const CODES: i64 = 3000;

/// As above, for groups of turns: whoever reaches the server may name new ones.
const TURN_GROUPS: usize = 50;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct One {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Group {
    group: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Code {
    code: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Machines {
    group: String,
    version: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RolloutLabels {
    id: i64,
    group: String,
    version: String,
    what: String,
}

/// Handles to all counters; cloning is cheap.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    check_ins: Counter,
    answers: Family<One, Counter>,
    grants: Counter,
    rollbacks: Counter,
    registered: Counter,
    failures: Family<Code, Counter>,
    batch_seconds: Histogram,
    batch_size: Histogram,
    database_errors: Counter,
    requests: Family<One, Counter>,
    discovery: Family<One, Counter>,
    discovery_waiting: Gauge,
    turns: Family<One, Counter>,
    turn_holders: Family<Group, Gauge>,
    turn_slots: Family<Group, Gauge>,
    machines: Family<Machines, Gauge>,
    rollouts: Family<RolloutLabels, Gauge<f64, AtomicU64>>,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Arc::default(),
            check_ins: Counter::default(),
            answers: Family::default(),
            grants: Counter::default(),
            rollbacks: Counter::default(),
            registered: Counter::default(),
            failures: Family::default(),
            batch_seconds: Histogram::new([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0]),
            batch_size: Histogram::new([1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0]),
            database_errors: Counter::default(),
            requests: Family::default(),
            discovery: Family::default(),
            discovery_waiting: Gauge::default(),
            turns: Family::default(),
            turn_holders: Family::default(),
            turn_slots: Family::default(),
            machines: Family::default(),
            rollouts: Family::default(),
        };
        let mut registry = Registry::with_prefix("slipway_server");
        registry.register("check_ins", "Applications of machines heard of and stored", metrics.check_ins.clone());
        registry.register("answers", "Answers to update checks, by kind", metrics.answers.clone());
        registry.register("grants", "Machines that were newly granted a release", metrics.grants.clone());
        registry.register("rollbacks", "Machines that came back from a release", metrics.rollbacks.clone());
        registry.register("registered", "Machines heard of for the first time", metrics.registered.clone());
        registry.register("failures", "Failed updates, by Omaha error code", metrics.failures.clone());
        registry.register("batch_seconds", "Time to decide about and commit a batch of check-ins", metrics.batch_seconds.clone());
        registry.register("batch_size", "Check-ins in a batch", metrics.batch_size.clone());
        registry.register("database_errors", "Batches and requests that the database refused", metrics.database_errors.clone());
        registry.register("requests", "HTTP requests refused, by kind", metrics.requests.clone());
        registry.register("discovery", "Discovery addresses made, and entries written or refused, by kind", metrics.discovery.clone());
        registry.register("discovery_waiting", "Machines that wait for others of their cluster", metrics.discovery_waiting.clone());
        registry.register("turns", "Answers about turns to reboot, by kind", metrics.turns.clone());
        registry.register("turn_holders", "Machines whose turn it is to reboot, by group", metrics.turn_holders.clone());
        registry.register("turn_slots", "Machines that may reboot at one time, by group", metrics.turn_slots.clone());
        registry.register("machines", "Machines by group and version", metrics.machines.clone());
        registry.register("rollout", "A rollout's numbers: share (0 to 1), and machines by outcome", metrics.rollouts.clone());
        metrics.registry = Arc::new(registry);
        metrics
    }

    /// An answer to a check-in was made.
    pub fn answer(&self, kind: &str) {
        self.answers.get_or_create(&One { kind: kind.to_owned() }).inc();
    }

    /// A request was refused before anything was done.
    pub fn refused(&self, kind: &str) {
        self.requests.get_or_create(&One { kind: kind.to_owned() }).inc();
    }

    /// Something happened at a discovery address.
    pub fn discovery(&self, kind: &str) {
        self.discovery.get_or_create(&One { kind: kind.to_owned() }).inc();
    }

    /// A machine was answered about its turn to reboot.
    pub fn turn(&self, kind: &str) {
        self.turns.get_or_create(&One { kind: kind.to_owned() }).inc();
    }

    /// Replaces the gauges by who waits and whose turn it is now.
    pub fn cluster(&self, waiting: usize, turns: &[Turns]) {
        let whole = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.discovery_waiting.set(whole(waiting));
        self.turn_holders.clear();
        self.turn_slots.clear();
        for (number, turns) in turns.iter().enumerate() {
            let named = number < TURN_GROUPS;
            let group = Group { group: if named { turns.group.clone() } else { "other".to_owned() } };
            self.turn_holders.get_or_create(&group).inc_by(whole(turns.holders.len()));
            self.turn_slots.get_or_create(&group).inc_by(i64::try_from(turns.slots).unwrap_or(i64::MAX));
        }
    }

    /// A batch of `size` was committed or refused.
    pub fn batch(&self, size: usize, took: Duration) {
        self.batch_seconds.observe(took.as_secs_f64());
        #[allow(clippy::cast_precision_loss, reason = "batches are small")]
        self.batch_size.observe(size as f64);
        self.check_ins.inc_by(size as u64);
    }

    /// What a batch did.
    pub fn tally(&self, tally: &Tally) {
        self.grants.inc_by(tally.grants);
        self.rollbacks.inc_by(tally.rollbacks);
        self.registered.inc_by(tally.registered);
        for code in &tally.failures {
            self.failures.get_or_create(&Code { code: if (0..CODES).contains(code) { *code } else { -1 } }).inc();
        }
    }

    /// The database refused something.
    pub fn database_error(&self) {
        self.database_errors.inc();
    }

    /// Replaces the gauges by what the fleet looks like now.
    pub fn fleet(&self, fleet: &Fleet) {
        self.machines.clear();
        let mut versions: Vec<(&str, i64)> = Vec::new();
        for tally in &fleet.machines {
            let count = i64::try_from(tally.machines).unwrap_or(i64::MAX);
            match versions.iter_mut().find(|(version, _)| *version == tally.version) {
                Some((_, sum)) => *sum += count,
                None => versions.push((&tally.version, count)),
            }
        }
        versions.sort_by_key(|(_, count)| -count);
        let named: Vec<&str> = versions.iter().take(VERSIONS).map(|(version, _)| *version).collect();
        for tally in &fleet.machines {
            let version = if named.contains(&tally.version.as_str()) { tally.version.clone() } else { "other".to_owned() };
            let group = if fleet.groups.iter().any(|group| group.name == tally.group) { tally.group.clone() } else { "other".to_owned() };
            self.machines.get_or_create(&Machines { group, version }).inc_by(i64::try_from(tally.machines).unwrap_or(i64::MAX));
        }
        self.rollouts.clear();
        for progress in &fleet.rollouts {
            let counts = &progress.counts;
            let share = f64::from(progress.share.as_ppm()) / 1e6;
            #[allow(clippy::cast_precision_loss, reason = "no fleet has 2^52 machines")]
            let numbers = [
                ("share", share),
                ("population", counts.population as f64),
                ("granted", counts.granted as f64),
                ("completed", counts.completed as f64),
                ("failed", counts.failed as f64),
                ("rolled-back", counts.rolled_back as f64),
                ("silent", counts.silent as f64),
            ];
            for (what, value) in numbers {
                let labels = RolloutLabels {
                    id: progress.id.0,
                    group: progress.group.clone(),
                    version: progress.version.to_string(),
                    what: what.to_owned(),
                };
                self.rollouts.get_or_create(&labels).set(value);
            }
        }
    }

    /// The page for Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
