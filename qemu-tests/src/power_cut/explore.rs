//! Goes through a recording moment by moment and judges every distinct state that a cut may leave.

use std::collections::{BTreeMap, HashSet};

use anyhow::Context;
use camino::Utf8Path;
use image_builder::sign::SigningCertificate;
use image_builder::slot::Slot;
use serde::Serialize;

use super::facts::{Facts, Uki};
use super::invariants::{self, Expected};
use super::judge::Judge;
use super::lint::{self, Order};
use super::place::Place;
use super::recording::Recording;
use super::state::{Layer, State};
use super::state_partition::{self, Highest};
use super::timeline::{Cut, Prints, Sectors, Timeline, Why};
use super::variants;

/// Violations that are kept; more would say nothing new.
const VIOLATIONS_MAX: usize = 200;

/// What to explore and what is right.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Mark from which on cuts are explored.
    pub from: &'a str,
    /// Versions that may run.
    pub versions: Vec<String>,
    /// The slot that is written to; the other one runs meanwhile.
    pub written: Slot,
    /// Version that it is to hold.
    pub version: String,
    /// Mark up to which the active slot must not be touched.
    pub until: &'a str,
    /// Files on the state partition that the owner wrote before, and what is in them.
    pub owner: (&'a [&'a str], &'a str),
    /// States of the state partition that are checked with e2fsck, at most.
    pub file_system_checks: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Whose signatures count.
    pub certificate: SigningCertificate,
}

impl Plan<'static> {
    /// The plan for a recording of an update, made by the scenarios.
    pub fn for_update(recording: &Recording, file_system_checks: usize) -> anyhow::Result<Self> {
        let about = &recording.about;
        let certificate = SigningCertificate::load(about.certificate.as_std_path());
        Ok(Self {
            from: UPDATE,
            versions: about.versions.clone(),
            written: about.written,
            version: about.tried().to_owned(),
            until: COMMITTED,
            owner: (OWNERS_FILES, OWNERS_WORD),
            file_system_checks,
            seed: SEED,
            certificate: certificate.with_context(|| format!("reading {}", about.certificate))?,
        })
    }
}

/// Mark before the first change by the update.
pub const UPDATE: &str = "update";
/// Mark behind the last one.
pub const COMMITTED: &str = "committed";
/// Files that the owner wrote before the update, as seen from the state partition: a setting, and one in a Docker volume.
pub const OWNERS_FILES: &[&str] = &["/lib/slipway/etc/upper/slipway-probe", "/lib/docker/volumes/probe/_data/file"];
/// What is in them.
pub const OWNERS_WORD: &str = "kept\n";
/// Seed of every exploration, so that numbers of states mean the same everywhere.
pub const SEED: u64 = 0x51e9_0e55;

/// Where a state is found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Address {
    /// Number of the moment.
    pub cut: usize,
    /// Number of the state among those of the moment.
    pub variant: usize,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.cut, self.variant)
    }
}

impl std::str::FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (cut, variant) = text.split_once('.').with_context(|| format!("{text:?} is not MOMENT.STATE, two numbers"))?;
        Ok(Self { cut: cut.parse().context("the number of the moment")?, variant: variant.parse().context("the number of the state")? })
    }
}

/// A broken rule.
#[derive(Debug, Clone, Serialize)]
pub struct Violation {
    /// The rule.
    pub rule: String,
    /// What is wrong.
    pub problem: String,
    /// In which state; nothing when the recording itself is wrong.
    pub state: Option<Address>,
    /// The last mark before it.
    pub phase: String,
}

/// States that mean the same to the next power-on.
#[derive(Debug, Clone, Serialize)]
pub struct Class {
    /// How many there are.
    pub states: usize,
    /// One of them.
    pub representative: Address,
    /// The last mark before it.
    pub phase: String,
}

/// How much was explored.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Moments.
    pub moments: usize,
    /// Moments by why they are interesting.
    pub moments_by_reason: BTreeMap<String, usize>,
    /// Moments at which every way was tried.
    pub exhaustive_moments: usize,
    /// States that were made, equal ones included.
    pub states: usize,
    /// States with different content.
    pub distinct_states: usize,
    /// Of those, how many differ outside of the state partition.
    pub distinct_boot_states: usize,
    /// Most unflushed sectors of tables, ESP and OEM partition at a moment.
    pub boot_sectors_max: usize,
    /// Most unflushed sectors of the state partition at a moment.
    pub state_sectors_max: usize,
    /// Distinct contents of the state partition.
    pub distinct_state_partitions: usize,
    /// How many of those were checked with e2fsck and read.
    pub file_system_checks: usize,
    /// Distinct UKIs whose signature was checked.
    pub ukis: usize,
    /// Distinct contents of slots that were verified block by block.
    pub slots_verified: usize,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Exploration {
    /// How much was explored.
    pub counts: Counts,
    /// Broken rules, the first ones.
    pub violations: Vec<Violation>,
    /// How many there were, by rule.
    pub broken: BTreeMap<String, usize>,
    /// Classes by what they mean.
    pub classes: BTreeMap<String, Class>,
    /// Harmless faults of the ESP, with the number of states that have them.
    pub tolerated: BTreeMap<String, usize>,
    /// When things became durable.
    pub order: Order,
}

impl Exploration {
    /// Notes a broken rule.
    pub fn violation(&mut self, rule: &str, problem: String, state: Option<Address>, phase: &str) {
        *self.broken.entry(rule.to_owned()).or_default() += 1;
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { rule: rule.to_owned(), problem, state, phase: phase.to_owned() });
        }
    }
}

/// Explores `recording`; files that programs need lie in `scratch` meanwhile.
pub fn explore(recording: &Recording, plan: &Plan<'_>, scratch: &Utf8Path) -> anyhow::Result<Exploration> {
    state_partition::tools()?;
    let boundaries = boundaries(recording, plan)?;
    let mut found = Exploration::default();
    let mut timeline = Timeline::new(recording);
    let mut judge = Judge::new(plan.certificate.clone());
    let mut seen = Seen::default();
    let mut expected: Option<Expected> = None;
    let mut highest = Highest::default();
    let step = boundaries.len().div_ceil(plan.file_system_checks.max(1)).max(1);
    let mut boundary = 0;
    let mut explored = false;
    while let Some(cut) = timeline.next_cut().context("playing the recording")? {
        explored |= cut.phase == plan.from;
        if !explored {
            continue;
        }
        let expected = match &mut expected {
            Some(expected) => expected,
            none => none.insert(beginning(&timeline, &mut judge, plan)?),
        };
        watch_order(&timeline, &cut, &mut judge, plan, &mut found.order)?;
        found.counts.moments += 1;
        *found.counts.moments_by_reason.entry(format!("{:?}", cut.why).to_lowercase()).or_default() += 1;
        let breadth = variants::each(&timeline, &cut, plan.seed, |variant, state| {
            found.counts.states += 1;
            if !seen.states.insert(state.prints) {
                return Ok(());
            }
            let mut boot = state.prints;
            boot[Place::State as usize] = 0;
            seen.state_partitions.insert(state.print(Place::State));
            if !seen.boots.insert(boot) {
                return Ok(());
            }
            let facts = judge.facts(state, &timeline.map).context("reading a state")?;
            let address = Address { cut: cut.number, variant };
            note(&mut found, &facts, expected, address, &cut);
            Ok::<_, anyhow::Error>(())
        })?;
        found.counts.exhaustive_moments += usize::from(breadth.exhaustive);
        found.counts.boot_sectors_max = found.counts.boot_sectors_max.max(breadth.boot_sectors);
        found.counts.state_sectors_max = found.counts.state_sectors_max.max(breadth.state_sectors);
        if boundaries.contains(&cut.number) {
            boundary += 1;
            if boundary % step == 0 {
                let extent = state_extent(expected)?;
                highest = check_state_partition(&timeline, &cut, plan, extent, scratch, &highest, &mut found)?;
            }
        }
    }
    for problem in lint::untouched(recording, &timeline.map, plan.written.other().into(), plan.from, plan.until) {
        found.violation("I3", problem, None, plan.from);
    }
    let (visible, flipped) = (found.order.entry_visible, found.order.flipped);
    found.order = lint::order(recording, &timeline.map, plan.written.into(), plan.from, visible, flipped);
    if let Some(problem) = lint::ordered(&found.order) {
        found.violation("I4", problem, None, plan.from);
    }
    found.counts.distinct_states = seen.states.len();
    found.counts.distinct_boot_states = seen.boots.len();
    found.counts.distinct_state_partitions = seen.state_partitions.len();
    (found.counts.ukis, found.counts.slots_verified) = judge.seen();
    Ok(found)
}

#[derive(Default)]
struct Seen {
    states: HashSet<Prints>,
    boots: HashSet<Prints>,
    state_partitions: HashSet<u128>,
}

fn note(found: &mut Exploration, facts: &Facts, expected: &Expected, address: Address, cut: &Cut) {
    for (rule, problem) in invariants::broken(facts, expected) {
        found.violation(rule, problem, Some(address), &cut.phase);
    }
    for (what, _) in &facts.esp.tolerated {
        *found.tolerated.entry((*what).to_owned()).or_default() += 1;
    }
    let fresh = || Class { states: 0, representative: address, phase: cut.phase.clone() };
    found.classes.entry(facts.class()).or_insert_with(fresh).states += 1;
}

/// Moments at which the state partition has a new durable content.
fn boundaries(recording: &Recording, plan: &Plan<'_>) -> anyhow::Result<HashSet<usize>> {
    let mut timeline = Timeline::new(recording);
    let (mut contents, mut moments, mut explored) = (HashSet::new(), HashSet::new(), false);
    while let Some(cut) = timeline.next_cut().context("playing the recording")? {
        explored |= cut.phase == plan.from;
        if explored && contents.insert(timeline.prints[Place::State as usize]) {
            moments.insert(cut.number);
        }
    }
    Ok(moments)
}

/// What must stay as it is, from what is durable at the first moment.
fn beginning(timeline: &Timeline<'_>, judge: &mut Judge, plan: &Plan<'_>) -> anyhow::Result<Expected> {
    let facts = judge.facts(&State::new(timeline, Vec::new()), &timeline.map).context("reading the first state")?;
    let partitions = facts.tables.partitions().context("there is no partition table before the update")?.to_vec();
    Ok(Expected { versions: plan.versions.clone(), partitions, loaders: facts.esp.loaders })
}

fn state_extent(expected: &Expected) -> anyhow::Result<std::ops::Range<u64>> {
    let state = expected.partitions.iter().find(|partition| partition.label == "state");
    state.map(|state| state.start..state.end).context("there is no state partition")
}

/// Finds the requests with which the entry is seen first, and the flip.
fn watch_order(timeline: &Timeline<'_>, cut: &Cut, judge: &mut Judge, plan: &Plan<'_>, order: &mut Order) -> anyhow::Result<()> {
    let shows = |judge: &mut Judge, requests: usize| -> anyhow::Result<Facts> {
        let sectors: Sectors = timeline.pending[..requests].iter().flat_map(|write| write.sectors.iter().copied()).collect();
        let layer = Layer::new(timeline, sectors);
        judge.facts(&State::new(timeline, vec![&layer]), &timeline.map).context("reading a state")
    };
    // The entry of what the slot held before does not count; one that cannot be read does.
    let new = |uki: &Result<Uki, String>| uki.as_ref().map_or(true, |uki| uki.version == plan.version);
    let visible = |facts: &Facts| facts.esp.entries.iter().any(|entry| entry.name == plan.written.entry() && new(&entry.uki));
    let all = shows(judge, timeline.pending.len())?;
    if order.entry_visible.is_none() && visible(&all) {
        let mut request = timeline.pending.len();
        while request > 0 && visible(&shows(judge, request - 1)?) {
            request -= 1;
        }
        let id = request.checked_sub(1).map(|last| timeline.pending[last].id);
        let event = timeline
            .recording
            .events
            .iter()
            .position(|event| matches!(event, crate::nbd::recorder::Event::Submit { id: other, .. } if Some(*other) == id));
        order.entry_visible = event.or(Some(cut.events));
    }
    let flips = all.choices.as_ref().is_ok_and(|choices| choices.one_shot.as_deref() == Some(plan.written.entry()));
    if order.flipped.is_none() && cut.why == Why::Flash && flips {
        order.flipped = Some(cut.events);
    }
    Ok(())
}

/// I8 and I11 on what is durable at a moment, and on one state in which only a part of the rest survived.
fn check_state_partition(
    timeline: &Timeline<'_>,
    cut: &Cut,
    plan: &Plan<'_>,
    extent: std::ops::Range<u64>,
    scratch: &Utf8Path,
    highest: &Highest,
    found: &mut Exploration,
) -> anyhow::Result<Highest> {
    let mut random = super::choices::Random(plan.seed ^ cut.number as u64);
    let pending = timeline.pending.iter().flat_map(|write| &write.sectors).filter(|(at, _)| timeline.map.place(*at) == Place::State);
    let some: Sectors = pending.filter(|_| random.number() & 1 == 0).copied().collect();
    let some = Layer::new(timeline, some);
    let mut after = highest.clone();
    for (variant, layers) in [vec![], vec![&some]].into_iter().enumerate() {
        let state = State::new(timeline, layers);
        let files = state_partition::examine(timeline, &state, extent.clone(), scratch, plan.owner.0)?;
        found.counts.file_system_checks += 1;
        let whole = if variant == 0 { "durable content" } else { "half of what was not flushed" };
        match state_partition::monotone(&files, highest, &plan.versions) {
            Ok(now) if variant == 0 => after = now,
            Ok(_) => {}
            Err(problem) => found.violation("I8", format!("moment {}, {whole}: {problem}", cut.number), None, &cut.phase),
        }
        if let Some(problem) = state_partition::owner_kept(&files, plan.owner.1) {
            found.violation("I11", format!("moment {}, {whole}: {problem}", cut.number), None, &cut.phase);
        }
    }
    Ok(after)
}

/// Calls `look` with the state at `address`.
pub fn find<T>(
    recording: &Recording,
    seed: u64,
    address: Address,
    look: impl FnOnce(&Timeline<'_>, &State<'_>) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut timeline = Timeline::new(recording);
    while let Some(cut) = timeline.next_cut().context("playing the recording")? {
        if cut.number < address.cut {
            continue;
        }
        let (mut look, mut result) = (Some(look), None);
        variants::each(&timeline, &cut, seed, |variant, state| {
            if variant == address.variant
                && let Some(look) = look.take()
            {
                result = Some(look(&timeline, state)?);
            }
            Ok::<_, anyhow::Error>(())
        })?;
        return result.with_context(|| format!("moment {} has no state {}", address.cut, address.variant));
    }
    anyhow::bail!("the recording has no moment {}", address.cut)
}
