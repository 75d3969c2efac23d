//! The run: virtual seconds pass, machines do what is due, and the policy that decides is the server's own.

use super::fleet::{Doing, Fate, Host, Trail, fleet, write_id};
use super::outcomes::{Event, Hour, Outcomes};
use super::random::Random;
use super::scenario::{Scenario, ScenarioError};
use super::wheel::{NOBODY, Wheel};
use crate::policy::{
    Ask, Because, Catalog, Channel, Counts, Decision, Floor, Follow, Grant, Group, Live, Machine, Outcome, Release, ReleaseId, Rollout,
    RolloutId, Salt, Span, Time, Update, Version, View, Windows, decide,
};

/// When every run begins: a Monday, midnight, UTC.
pub const BEGIN: Time = Time(4 * 24 * 3_600_000);
/// How often the server looks at a rollout without being asked, in seconds.
const LOOK: u32 = 60;
/// From the end of a download to the word from the new slot, in seconds.
const REBOOT: (u64, u64) = (120, 300);
/// From the end of a download to the word from the old slot: the trial's deadline passes in between. In seconds.
const ROLL_BACK: (u64, u64) = (900, 1_200);
/// A machine that got a floor asks for the rest after this long, in seconds.
const ASK_AGAIN: (u64, u64) = (60, 300);
/// The longest pause between two tries of a download that fails.
const MAX_BACKOFF: Span = Span::hours(8);
/// Application, architecture, channel and group of every simulated machine.
const NAMES: [&str; 4] = ["{00000000-0000-0000-0000-000000000000}", "amd64", "stable", "fleet"];

/// Runs `scenario`.
///
/// # Errors
/// When the scenario contradicts itself.
pub fn simulate(scenario: &Scenario) -> Result<Outcomes, ScenarioError> {
    scenario.check()?;
    let mut world = World::new(scenario);
    for second in 0..world.seconds {
        world.tick(second);
    }
    Ok(world.finish())
}

struct World<'a> {
    scenario: &'a Scenario,
    seconds: u32,
    versions: Vec<Version>,
    catalog: Catalog,
    group: Group,
    rollout: Rollout,
    counts: Counts,
    hosts: Vec<Host>,
    due: Wheel,
    /// Machines whose silence is watched: due when they would have been silent for too long had they not been heard of since.
    watch: Wheel,
    random: Random,
    trail: Trail,
    /// The machine that asks: one for all, because making a million of them costs more than deciding.
    asking: Machine,
    running: Vec<u32>,
    /// Bytes per second that are being downloaded.
    rate: u64,
    away: u32,
    requests: u32,
    hour: Hour,
    outcomes: Outcomes,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let [app, arch, channel, group] = NAMES.map(str::to_owned);
        let versions = versions(scenario);
        let index = versions.iter().position(|version| *version == scenario.release).unwrap_or(0);
        let salt = Salt(format!("seed {}", scenario.seed));
        let hosts = fleet(scenario, &salt);
        let release = ReleaseId(i64::try_from(index).unwrap_or(0));
        let rollout = Rollout::new(RolloutId(1), release, salt, scenario.settings.clone(), BEGIN);
        let mut running = vec![0; versions.len()];
        for host in &hosts {
            bump(&mut running, host.version, 1);
        }
        let seconds = scenario.hours.saturating_mul(3_600);
        let asking = Machine {
            id: String::new(),
            app: app.clone(),
            arch: arch.clone(),
            version: scenario.release.clone(),
            group: group.clone(),
            oem: String::new(),
            tags: Vec::new(),
            pin: None,
            quarantined: Vec::new(),
            first_seen: BEGIN - Span::hours(24),
            last_seen: BEGIN,
            progress: None,
        };
        let mut world = Self {
            seconds,
            catalog: catalog(scenario, &versions, &app, &arch, &channel, release),
            versions,
            group: Group {
                name: group,
                follow: Follow::Channel(channel),
                enabled: true,
                windows: Windows::default(),
                parallel: scenario.parallel,
                defaults: scenario.settings.clone(),
            },
            rollout,
            counts: Counts { population: u64::from(scenario.machines), ..Counts::NONE },
            hosts,
            due: Wheel::new(scenario.machines, seconds),
            watch: Wheel::new(scenario.machines, seconds),
            random: Random::new(scenario.seed),
            trail: Trail::new(),
            asking,
            running,
            rate: 0,
            away: 0,
            requests: 0,
            hour: Hour::default(),
            outcomes: Outcomes::new(scenario),
            scenario,
        };
        world.scatter();
        world
    }

    /// Spreads the first check-ins over one interval, and switches off those that are off in the beginning.
    fn scatter(&mut self) {
        for machine in 0..self.scenario.machines {
            let away = self.random.chance(self.scenario.offline.as_ppm().into());
            let wait = if away { self.scenario.offline_for } else { self.scenario.poll };
            let at = self.random.below((wait.0 / 1_000).max(1));
            self.due.add(machine, narrow(at));
            if let (true, Some(host)) = (away, self.hosts.get_mut(machine as usize)) {
                host.doing = Doing::Away;
                self.away += 1;
            }
        }
    }

    fn tick(&mut self, now: u32) {
        self.requests = 0;
        let mut machine = self.watch.take(now);
        while machine != NOBODY {
            let next = self.watch.after(machine);
            self.watch_fires(machine, now);
            machine = next;
        }
        let mut machine = self.due.take(now);
        while machine != NOBODY {
            let next = self.due.after(machine);
            self.wake(machine, now);
            machine = next;
        }
        if now.is_multiple_of(LOOK) {
            self.advance(now);
        }
        self.hour.bytes += self.rate;
        self.hour.peak_rate = self.hour.peak_rate.max(self.rate);
        self.hour.requests += u64::from(self.requests);
        self.hour.peak_requests = self.hour.peak_requests.max(self.requests);
        if (now + 1).is_multiple_of(3_600) {
            self.close_hour(now + 1);
        }
    }

    fn wake(&mut self, machine: u32, now: u32) {
        let Some(host) = self.hosts.get(machine as usize).copied() else { return };
        self.trail.note(now, machine, host.doing as u8);
        match host.doing {
            Doing::Waiting => self.check_in(machine, host, now),
            Doing::Away => {
                self.away -= 1;
                self.check_in(machine, Host { doing: Doing::Waiting, ..host }, now);
            }
            Doing::Downloading => self.downloaded(machine, host, now),
            Doing::Trying => self.tried(machine, host, now),
            Doing::Gone => {}
        }
    }

    fn check_in(&mut self, machine: u32, mut host: Host, now: u32) {
        if self.leaves() {
            host.doing = Doing::Away;
            self.away += 1;
            let spell = self.random.between(1, (self.scenario.offline_for.0 / 500).max(1));
            return self.put(machine, host, now, spell);
        }
        self.hear(&mut host, now);
        self.outcomes.checks += 1;
        match self.ask(machine, &host, now) {
            Decision::Update(Update { release, because, .. }) => {
                if let Because::Turn { ticket, .. } = because {
                    host.canary = ticket.canary;
                    host.granted_at = now;
                    self.counts.grant(ticket.canary);
                    host.outcome = Some(Outcome::Pending);
                    self.watch(machine, &mut host, now);
                } else {
                    self.settle(machine, &mut host, Outcome::Pending, now);
                }
                host.installs = u8::try_from(release.0).unwrap_or(0);
                host.doing = Doing::Downloading;
                self.requests += 1; // event 13, download started
                self.rate += bytes_per_second(&host);
                let takes = self.scenario.payload_bytes / bytes_per_second(&host);
                self.trail.note(now, machine, host.installs | 0x80);
                self.put(machine, host, now, takes);
            }
            Decision::NotNow(no) => {
                *self.outcomes.reasons.entry(no.reason.rule()).or_default() += 1;
                host.doing = Doing::Waiting;
                let wait = self.interval(0);
                self.put(machine, host, now, wait);
            }
        }
    }

    /// Asks the policy, with what a server would know about the machine.
    fn ask(&mut self, machine: u32, host: &Host, now: u32) -> Decision {
        let asking = &mut self.asking;
        write_id(self.scenario.seed, machine, &mut asking.id);
        if let Some(version) = self.versions.get(usize::from(host.version)) {
            asking.version.clone_from(version);
        }
        asking.quarantined.clear();
        if host.outcome == Some(Outcome::RolledBack) {
            asking.quarantined.push(self.scenario.release.clone());
        }
        asking.last_seen = at(host.seen);
        let grant = grant(host);
        let live = Live { rollout: &self.rollout, counts: &self.counts, grant: grant.as_ref() };
        let view = View { group: Some(&self.group), catalog: &self.catalog, live: Some(live) };
        decide(&Ask { now: at(now), machine: asking, position: Some(host.position) }, &view)
    }

    fn downloaded(&mut self, machine: u32, mut host: Host, now: u32) {
        self.hear(&mut host, now);
        self.rate -= bytes_per_second(&host);
        if self.random.chance(self.scenario.download_failures.as_ppm().into()) {
            host.retries = host.retries.saturating_add(1);
            self.settle(machine, &mut host, Outcome::Retrying, now);
            host.doing = Doing::Waiting;
            let wait = self.interval(host.retries);
            return self.put(machine, host, now, wait);
        }
        host.retries = 0;
        self.requests += 1; // events 14 and 3/1 go out one after the other
        let (low, high) = if self.fate(&host) == Fate::RollsBack { ROLL_BACK } else { REBOOT };
        host.doing = Doing::Trying;
        let wait = self.random.between(low, high);
        self.put(machine, host, now, wait);
    }

    fn tried(&mut self, machine: u32, mut host: Host, now: u32) {
        let fate = self.fate(&host);
        if fate == Fate::FallsSilent {
            host.doing = Doing::Gone;
            self.outcomes.gone += 1;
            return self.put(machine, host, now, u64::from(u32::MAX));
        }
        self.hear(&mut host, now);
        host.doing = Doing::Waiting;
        if fate == Fate::RollsBack {
            self.settle(machine, &mut host, Outcome::RolledBack, now);
        } else {
            bump(&mut self.running, host.version, -1);
            host.version = host.installs;
            bump(&mut self.running, host.version, 1);
            if self.installs_release(&host) {
                self.settle(machine, &mut host, Outcome::Completed, now);
            } else {
                let wait = self.random.between(ASK_AGAIN.0, ASK_AGAIN.1);
                return self.put(machine, host, now, wait);
            }
        }
        let wait = self.interval(0);
        self.put(machine, host, now, wait);
    }

    /// What the release (and only it, not a floor on the way) does to the machine.
    fn fate(&self, host: &Host) -> Fate {
        if self.installs_release(host) { host.fate } else { Fate::Completes }
    }

    fn installs_release(&self, host: &Host) -> bool {
        i64::from(host.installs) == self.rollout.release.0
    }

    /// A sign of life: one request, and the end of a silence.
    fn hear(&mut self, host: &mut Host, now: u32) {
        self.requests += 1;
        host.seen = now;
    }

    /// Books what became of a grant, as the server would on an event.
    fn settle(&mut self, machine: u32, host: &mut Host, report: Outcome, now: u32) {
        let Some(mut grant) = grant(host) else { return };
        if !self.counts.book(Some(&mut grant), report, &self.rollout.settings.brake) {
            return;
        }
        (host.outcome, host.tries) = (Some(grant.outcome), u8::try_from(grant.tries).unwrap_or(u8::MAX));
        self.trail.note(now, machine, grant.outcome as u8 | 0x40);
        if is_open(host) {
            self.watch(machine, host, now);
        }
        self.advance(now);
    }

    fn watch(&mut self, machine: u32, host: &mut Host, now: u32) {
        if !host.watched {
            host.watched = true;
            self.watch.add(machine, now.saturating_add(self.silence()));
        }
    }

    fn watch_fires(&mut self, machine: u32, now: u32) {
        let Some(mut host) = self.hosts.get(machine as usize).copied() else { return };
        host.watched = false;
        if is_open(&host) {
            let (silent_at, hopeless_at) = (host.seen.saturating_add(self.silence()), host.granted_at.saturating_add(self.patience()));
            if silent_at <= now {
                self.settle(machine, &mut host, Outcome::Silent, now);
            } else if host.outcome == Some(Outcome::Retrying) && hopeless_at <= now {
                self.settle(machine, &mut host, Outcome::Failed, now);
            } else {
                host.watched = true;
                self.watch.add(machine, silent_at);
            }
        }
        self.keep(machine, host);
    }

    /// Seconds after which a machine counts as silent.
    fn silence(&self) -> u32 {
        narrow(self.rollout.settings.brake.silence.0 / 1_000 + 1)
    }

    /// Seconds after which a machine that still fails to install the release counts as failed.
    fn patience(&self) -> u32 {
        narrow(self.rollout.settings.brake.patience.0 / 1_000 + 1)
    }

    fn advance(&mut self, now: u32) {
        while let Some(change) = self.rollout.advance(&self.counts, at(now)) {
            self.trail.note(now, NOBODY, 0xff);
            self.outcomes.events.push(Event::new(now, change, &self.counts));
        }
    }

    /// Whether a machine is switched off instead of checking in.
    fn leaves(&mut self) -> bool {
        let (off, all) = (u128::from(self.scenario.offline.as_ppm()), 1_000_000);
        // Mean time on = mean time off * (1 - off) / off; one draw per check-in.
        let parts = u128::from(self.scenario.poll.0) * off * all / (u128::from(self.scenario.offline_for.0.max(1)) * (all - off));
        self.random.chance(u64::try_from(parts).unwrap_or(u64::MAX))
    }

    /// Seconds until the next check-in after that many failures in a row.
    fn interval(&mut self, failures: u8) -> u64 {
        let poll = self.scenario.poll.0.saturating_mul(1 << failures.min(16)).min(MAX_BACKOFF.0.max(self.scenario.poll.0));
        let jitter = self.scenario.jitter.0;
        self.random.between(poll.saturating_sub(jitter), poll + jitter) / 1_000
    }

    /// Writes the machine back and sets its next event.
    fn put(&mut self, machine: u32, host: Host, now: u32, wait: u64) {
        self.keep(machine, host);
        self.due.add(machine, now.saturating_add(narrow(wait).max(1)));
    }

    fn keep(&mut self, machine: u32, host: Host) {
        if let Some(place) = self.hosts.get_mut(machine as usize) {
            *place = host;
        }
    }

    fn close_hour(&mut self, end: u32) {
        let share = self.rollout.share(at(end));
        let (counts, away) = (self.counts, self.away);
        let hour = Hour {
            ends: end / 3_600,
            share,
            allowed: share.of(counts.population),
            counts,
            away,
            versions: self.running.clone(),
            ..self.hour.clone()
        };
        self.outcomes.hours.push(hour);
        self.hour = Hour::default();
    }

    fn finish(mut self) -> Outcomes {
        self.outcomes.versions = self.versions;
        self.outcomes.state = self.rollout.state;
        self.outcomes.digest = self.trail.finish();
        self.outcomes
    }
}

/// All versions in one table, oldest first; a release's id is its index.
fn versions(scenario: &Scenario) -> Vec<Version> {
    let started = scenario.versions.iter().map(|(version, _)| version);
    let mut all: Vec<Version> = started.chain(&scenario.floors).chain([&scenario.release]).cloned().collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn catalog(scenario: &Scenario, versions: &[Version], app: &str, arch: &str, channel: &str, release: ReleaseId) -> Catalog {
    let releases = (0..).map(ReleaseId).zip(versions).map(|(id, version)| Release {
        id,
        app: app.to_owned(),
        arch: arch.to_owned(),
        version: version.clone(),
        floor: scenario.floors.contains(version).then(|| Floor { reason: "simulated".to_owned() }),
        blocked: None,
        rollback_index: 0,
    });
    Catalog { releases: releases.collect(), channels: vec![Channel { name: channel.to_owned(), release }] }
}

/// The machine's grant, as the server's policy knows it.
fn grant(host: &Host) -> Option<Grant> {
    let outcome = host.outcome?;
    Some(Grant { at: at(host.granted_at), canary: host.canary, outcome, tries: u64::from(host.tries) })
}

/// Whether the server waits for a word.
fn is_open(host: &Host) -> bool {
    matches!(host.outcome, Some(Outcome::Pending | Outcome::Retrying))
}

fn at(second: u32) -> Time {
    BEGIN + Span::seconds(u64::from(second))
}

fn bytes_per_second(host: &Host) -> u64 {
    u64::from(host.rate) * 1_000
}

fn narrow(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

fn bump(sums: &mut [u32], index: u8, by: i32) {
    if let Some(sum) = sums.get_mut(usize::from(index)) {
        *sum = sum.saturating_add_signed(by);
    }
}
