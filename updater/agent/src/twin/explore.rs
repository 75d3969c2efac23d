//! Cuts the power at every moment of a run, and again at every moment of what follows.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use payload::Version;

use super::boot::{Bench, Run, Trouble, run};
use super::computer::{Entry, check, entry, installed};
use super::disk::{Moment, STATE};
use super::image::Image;
use super::story::{Scenario, Story};
use crate::daemon::host::Slot;
use crate::machine::{Persisted, Phase};

/// How far an exploration goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Power cuts in one history.
    pub(super) depth: u32,
    /// Of the states after a second cut, those whose digest divides by this are followed; 1 for all.
    pub(super) one_in: u64,
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Moments at which the power was cut, by the number of the cut.
    pub(super) moments: Vec<usize>,
    /// Different states that cuts left behind, by the number of the cut.
    pub(super) states: Vec<usize>,
    /// Runs of the machine.
    pub(super) runs: usize,
    /// Different ends.
    pub(super) ends: usize,
    /// Most boots that a machine needed to rest.
    pub(super) boots_max: u32,
}

pub(super) struct Explorer<'a> {
    bench: Bench,
    scenario: &'a Scenario,
    limits: Limits,
    trouble: Trouble,
    states: HashSet<u64>,
    ends: HashSet<u64>,
    pub(super) seen: Seen,
}

fn digest(image: &Image, story: &Story) -> u64 {
    let mut hasher = DefaultHasher::new();
    image.digest(&mut hasher);
    // Boots are told apart by what the disk says of them.
    Story { boots: 0, ..story.clone() }.hash(&mut hasher);
    hasher.finish()
}

impl<'a> Explorer<'a> {
    pub(super) fn new(scenario: &'a Scenario, limits: Limits, trouble: Trouble) -> Self {
        let (states, ends, seen) = (HashSet::new(), HashSet::new(), Seen::default());
        Self { bench: Bench::new(), scenario, limits, trouble, states, ends, seen }
    }

    /// With other trouble from here on.
    pub(super) fn troubled(&mut self, trouble: Trouble) {
        self.trouble = trouble;
    }

    /// Everything that can happen, or the first history that breaks a rule.
    pub(super) fn explore(&mut self) -> Result<(), String> {
        let run = self.run(installed(self.scenario), Story::of(self.scenario))?;
        self.cut(&run.moments, 1)
    }

    /// Runs until the machine rests, and judges the end.
    pub(super) fn run(&mut self, image: Image, story: Story) -> Result<Run, String> {
        let mut run = run(&self.bench, self.scenario, image, story, self.trouble);
        self.seen.runs += 1;
        if self.trouble.fault.is_some() {
            self.start_once_more(&mut run)?;
        }
        self.seen.boots_max = self.seen.boots_max.max(run.boots);
        match (&run.violation, &run.end) {
            (Some(violation), _) => return Err(violation.clone()),
            (None, Some((image, story))) => self.judge(image.clone(), story.clone())?,
            (None, None) => return Err("it neither rests nor breaks a rule".to_owned()),
        }
        Ok(run)
    }

    /// A slot that could not be discarded is discarded at the next start, or by the next update, whichever comes first.
    fn start_once_more(&self, run: &mut Run) -> Result<(), String> {
        let Some((image, story)) = &run.end else { return Ok(()) };
        if matches!(persisted(image)?.phase, Phase::Discarding { .. }) {
            let next = self::run(&self.bench, self.scenario, image.clone(), story.clone(), Trouble::default());
            run.violation = next.violation;
            run.end = next.end;
        }
        Ok(())
    }

    fn cut(&mut self, moments: &[Moment], depth: u32) -> Result<(), String> {
        if depth > self.limits.depth {
            return Ok(());
        }
        let at = depth as usize - 1;
        if self.seen.states.len() <= at {
            self.seen.states.resize(at + 1, 0);
            self.seen.moments.resize(at + 1, 0);
        }
        for (number, moment) in moments.iter().enumerate() {
            self.seen.moments[at] += 1;
            let story = Story { cuts: depth, ..moment.story.clone() };
            for image in moment.durable.survivors(&moment.pending, number as u64) {
                let known = digest(&image, &story);
                if (depth > 1 && !known.is_multiple_of(self.limits.one_in)) || !self.states.insert(known) {
                    continue;
                }
                self.seen.states[at] += 1;
                let told = |error: String| {
                    format!("power cut {depth} at moment {number}, before {} ({} pending): {error}", moment.before, moment.pending.len())
                };
                check(&image).map_err(told)?;
                let run = self.run(image, story.clone()).map_err(told)?;
                self.cut(&run.moments, depth + 1).map_err(told)?;
            }
        }
        Ok(())
    }

    /// Rules for a machine that rests.
    fn judge(&mut self, image: Image, story: Story) -> Result<(), String> {
        if !self.ends.insert(digest(&image, &story)) {
            return Ok(());
        }
        self.seen.ends += 1;
        let persisted = persisted(&image)?;
        let running = at_rest(&image, &persisted, &story)?;
        reports(&persisted, &story, &running)?;
        blame(&persisted, &story, self.scenario)?;
        // The same again: nothing is left to do.
        let again = run(&self.bench, self.scenario, image.clone(), story.clone(), Trouble::default());
        self.seen.runs += 1;
        let Some((after, told)) = again.end.filter(|_| again.violation.is_none()) else {
            return Err(format!("switched on again at rest: {:?}", again.violation));
        };
        if told.told != story.told {
            return Err(format!("switched on again at rest, it reports {:?}", told.told.last()));
        }
        let same = [Slot::A, Slot::B].into_iter().all(|slot| entry(&image, slot) == entry(&after, slot));
        let forgetful =
            |persisted: Persisted| Persisted { boot_count: None, last_checked: None, attempts: None, last_error: None, ..persisted };
        if !same || forgetful(persisted) != forgetful(self::persisted(&after)?) {
            return Err("switched on again at rest, it changes something".to_owned());
        }
        Ok(())
    }
}

pub(super) fn persisted(image: &Image) -> Result<Persisted, String> {
    let bytes = image.get(&std::path::Path::new(STATE).join("state.json")).ok_or("no state")?;
    serde_json::from_slice(bytes).map_err(|error| error.to_string())
}

/// The default slot runs and nothing is half done.
fn at_rest(image: &Image, persisted: &Persisted, story: &Story) -> Result<Version, String> {
    let slot = persisted.committed.ok_or("no slot is committed")?;
    let Entry::Whole(running) = entry(image, slot) else { return Err(format!("committed slot {slot} has no entry")) };
    if persisted.phase != Phase::Idle {
        return Err(format!("it rests in phase {:?}", persisted.phase));
    }
    if persisted.content(slot) != Some(&running) {
        return Err(format!("slot {slot} holds {running}, it says {:?}", persisted.content(slot)));
    }
    let other = match entry(image, slot.other()) {
        Entry::Whole(version) => Some(version),
        _ => None,
    };
    if let Some(version) = other.filter(|version| story.failed.contains(version)) {
        return Err(format!("{version} failed and is still in slot {}", slot.other()));
    }
    if image.variables.keys().any(|name| name.ends_with(super::computer::ONE_SHOT)) {
        return Err("a one-shot entry is left".to_owned());
    }
    // That of the other slot may stay after a commit that was cut short. It concerns boots of that slot only.
    if image.get(&std::path::Path::new(STATE).join(format!("trial-{}", slot.letter()))).is_some() {
        return Err(format!("the deadline of the committed slot {slot} is still armed"));
    }
    Ok(running)
}

/// What the server knows is true, and it knows it once.
fn reports(persisted: &Persisted, story: &Story, running: &Version) -> Result<(), String> {
    if !persisted.outbox.is_empty() {
        return Err("events are not sent".to_owned());
    }
    for (index, told) in story.told.iter().enumerate() {
        if let Some(earlier) = story.told[..index].iter().find(|earlier| earlier.number == told.number) {
            let same = (earlier.kind, earlier.result, &earlier.release) == (told.kind, told.result, &told.release);
            if !same || !told.repeated {
                return Err(format!("event {} is told twice: {earlier:?}, {told:?}", told.number));
            }
        }
    }
    let mut numbers = HashSet::new();
    let events: Vec<_> = story.told.iter().filter(|told| numbers.insert(told.number)).collect();
    let of = |version: &Version, kind: u32, result: u32, code: Option<i64>| {
        let like = |told: &&&super::story::Told| {
            told.release.as_ref() == Some(version) && (told.kind, told.result) == (kind, result) && (code.is_none() || told.code == code)
        };
        events.iter().filter(like).count()
    };
    for version in &story.failed {
        let count = of(version, 3, 0, Some(44));
        if count != 1 {
            return Err(format!("that {version} failed is told {count} times"));
        }
    }
    for told in events.iter().filter(|told| (told.kind, told.result) == (3, 2)) {
        let version = told.release.as_ref().ok_or("a success without a version")?;
        if story.failed.contains(version) {
            return Err(format!("that {version} works is told, and it failed"));
        }
        if version > running && persisted.quarantined(version).is_none() {
            return Err(format!("that {version} works is told, and {running} runs"));
        }
    }
    Ok(())
}

/// What failed is in quarantine, and, where the firmware counts boots and the power went once, nothing else but what was started.
fn blame(persisted: &Persisted, story: &Story, scenario: &Scenario) -> Result<(), String> {
    if let Some(version) = story.failed.iter().find(|version| persisted.quarantined(version).is_none()) {
        return Err(format!("{version} failed and is not in quarantine"));
    }
    let wrong = persisted.quarantine.iter().find(|entry| !story.tried.contains(&entry.version));
    match wrong.filter(|_| scenario.counts && story.cuts < 2) {
        Some(entry) => Err(format!("{} was never started and is in quarantine: {}", entry.version, entry.cause)),
        None => Ok(()),
    }
}
