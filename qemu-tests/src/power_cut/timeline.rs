//! A recording played forward, from one moment at which a cut is interesting to the next.
//!
//! What a disk with a write cache may lose: everything that was not answered before a finished flush was asked for. A flush makes
//! durable what had been answered when it was asked for; a FUA write makes itself durable, nothing else. Flash has no cache: an
//! answered write is there.

use std::collections::{BTreeMap, HashMap};
use std::io;

use super::machine::VARIABLES;
use super::place::{Map, Place};
use super::recording::Recording;
use super::sector::{At, Content, SECTOR, Version};
use crate::nbd::recorder::Event;
use crate::nbd::wire::Op;

/// Fingerprints of all places, relative to the beginning of the recording: equal content, equal number.
pub type Prints = [u128; Place::ALL.len()];

/// Sectors with new contents.
pub type Sectors = BTreeMap<At, Version>;

/// A write that a cut may lose, in whole or in parts.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Number of the request.
    pub id: u64,
    /// What it writes, in order.
    pub sectors: Vec<(At, Version)>,
    answered: bool,
}

/// Why a moment is interesting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// A flush is about to make writes durable: everything of this epoch is still uncertain.
    Flush,
    /// A FUA write is about to be durable.
    Fua,
    /// The firmware has written to its flash.
    Flash,
    /// The recording ends.
    End,
}

/// A moment for a cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Number, from zero, also of moments that nobody looks at.
    pub number: usize,
    /// How many events are past.
    pub events: usize,
    /// Why it is interesting.
    pub why: Why,
    /// The last mark before it.
    pub phase: String,
}

/// The machine at one moment.
#[derive(Debug)]
pub struct Timeline<'r> {
    /// What is played.
    pub recording: &'r Recording,
    /// What belongs where.
    pub map: Map,
    /// What a cut cannot take away.
    pub durable: Sectors,
    /// Fingerprints of that.
    pub prints: Prints,
    /// What it can, oldest first.
    pub pending: Vec<Pending>,
    base: HashMap<At, Version>,
    flushes: HashMap<u64, Vec<u64>>,
    next: usize,
    cuts: usize,
    phase: String,
    /// Requests that become durable behind the present moment.
    then: Vec<u64>,
}

impl<'r> Timeline<'r> {
    /// At the beginning.
    #[must_use]
    pub fn new(recording: &'r Recording) -> Self {
        Self {
            recording,
            map: Map::of(recording),
            durable: Sectors::new(),
            prints: Prints::default(),
            pending: Vec::new(),
            base: HashMap::new(),
            flushes: HashMap::new(),
            next: 0,
            cuts: 0,
            phase: "power-on".into(),
            then: Vec::new(),
        }
    }

    /// Goes to the next moment; nothing is left when the recording has ended.
    pub fn next_cut(&mut self) -> io::Result<Option<Cut>> {
        let then = std::mem::take(&mut self.then);
        self.make_durable(&then);
        while let Some(event) = self.recording.events.get(self.next) {
            self.next += 1;
            if let Some(why) = self.play(event)? {
                return Ok(Some(self.cut(why)));
            }
        }
        if self.next == self.recording.events.len() {
            self.next += 1;
            return Ok(Some(self.cut(Why::End)));
        }
        Ok(None)
    }

    /// The content of a sector that a cut cannot take away.
    #[must_use]
    pub fn durable_at(&self, at: At) -> Option<Version> {
        self.durable.get(&at).or_else(|| self.base.get(&at)).copied()
    }

    fn cut(&mut self, why: Why) -> Cut {
        self.cuts += 1;
        Cut { number: self.cuts - 1, events: self.next.min(self.recording.events.len()), why, phase: self.phase.clone() }
    }

    fn play(&mut self, event: &Event) -> io::Result<Option<Why>> {
        match event {
            Event::Mark(name) => self.phase.clone_from(name),
            Event::Submit { id, disk, op: Op::Flush, .. } => {
                let answered = self.pending.iter().filter(|write| write.answered && write.disk() == Some(*disk));
                self.flushes.insert(*id, answered.map(|write| write.id).collect());
            }
            Event::Submit { id, disk, op, offset, len, data, .. } => {
                let sectors = self.sectors(*disk, *op, *offset, *len, *data)?;
                self.pending.push(Pending { id: *id, sectors, answered: false });
            }
            Event::Refuse(id) => self.pending.retain(|write| write.id != *id),
            Event::Complete(id) => {
                if let Some(covered) = self.flushes.remove(id) {
                    self.then = covered;
                    return Ok((!self.then.is_empty()).then_some(Why::Flush));
                }
                let Some(write) = self.pending.iter_mut().find(|write| write.id == *id) else { return Ok(None) };
                write.answered = true;
                if write.disk() == Some(VARIABLES) {
                    self.then = vec![*id];
                    return Ok(Some(Why::Flash));
                }
                if self.is_fua(*id) {
                    self.then = vec![*id];
                    return Ok(Some(Why::Fua));
                }
            }
        }
        Ok(None)
    }

    fn is_fua(&self, wanted: u64) -> bool {
        // FUA is rare; the event is not far back.
        let back = self.recording.events[..self.next].iter().rev();
        back.filter_map(|event| match event {
            Event::Submit { id, fua, .. } if *id == wanted => Some(*fua),
            _ => None,
        })
        .next()
        .unwrap_or(false)
    }

    fn sectors(&mut self, disk: usize, op: Op, offset: u64, len: u64, data: u64) -> io::Result<Vec<(At, Version)>> {
        let range = offset.div_ceil(SECTOR)..(offset + len) / SECTOR;
        let mut sectors = Vec::new();
        if op == Op::Write {
            for sector in range.clone() {
                let at = At { disk, sector };
                let content = Content::Written(data + (sector - range.start) * SECTOR);
                let version = Version::new(self.recording, at, content)?;
                self.know_base(at)?;
                sectors.push((at, version));
            }
            return Ok(sectors);
        }
        // Zeroes may cover gigabytes that are zero already: only what is known to be there matters.
        let within = At { disk, sector: range.start }..At { disk, sector: range.end };
        let mut known: Vec<At> = self.durable.range(within.clone()).map(|(at, _)| *at).collect();
        known.extend(self.pending.iter().flat_map(|write| write.sectors.iter().map(|(at, _)| *at)).filter(|at| within.contains(at)));
        if self.map.place(within.start) != Place::State {
            known.extend(range.map(|sector| At { disk, sector }));
        }
        known.sort_unstable();
        known.dedup();
        for at in known {
            self.know_base(at)?;
            sectors.push((at, Version::new(self.recording, at, Content::Zero)?));
        }
        Ok(sectors)
    }

    fn know_base(&mut self, at: At) -> io::Result<()> {
        if !self.base.contains_key(&at) {
            let version = Version::new(self.recording, at, Content::Base)?;
            self.base.insert(at, version);
        }
        Ok(())
    }

    fn make_durable(&mut self, ids: &[u64]) {
        if ids.is_empty() {
            return;
        }
        let (now, later) = std::mem::take(&mut self.pending).into_iter().partition(|write| ids.contains(&write.id));
        self.pending = later;
        for write in Vec::from_iter::<Vec<Pending>>(now) {
            for (at, version) in write.sectors {
                let old = self.durable_at(at).map_or(0, |old| old.print);
                self.prints[self.map.place(at) as usize] ^= old ^ version.print;
                self.durable.insert(at, version);
            }
        }
    }
}

impl Pending {
    fn disk(&self) -> Option<usize> {
        self.sectors.first().map(|(at, _)| at.disk)
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::Story;
    use super::*;

    /// The moments, each with the first bytes of the durable sectors and the number of writes at stake.
    fn moments(story: &Story) -> Vec<(Why, Vec<u8>, usize)> {
        let recording = story.recording();
        let mut timeline = Timeline::new(&recording);
        let mut moments = Vec::new();
        while let Some(cut) = timeline.next_cut().unwrap() {
            let bytes = timeline.durable.iter().map(|(at, version)| {
                let mut byte = [0];
                super::super::sector::read(&recording, *at, version.content, 0, &mut byte).unwrap();
                byte[0]
            });
            moments.push((cut.why, bytes.collect(), timeline.pending.len()));
        }
        moments
    }

    #[test]
    fn a_flush_covers_what_was_answered_before_it_was_asked_for() {
        let mut story = Story::small();
        let first = story.ask(0, 0, &[1; 512]);
        story.answer(first);
        let second = story.ask(0, 1, &[2; 512]);
        let flush = story.ask_flush(0);
        story.answer(second);
        story.answer(flush);
        assert_eq!(moments(&story), [(Why::Flush, vec![], 2), (Why::End, vec![1], 1)]);
    }

    #[test]
    fn a_flush_of_one_disk_says_nothing_of_the_other() {
        let mut story = Story::small();
        story.write(0, 0, &[1; 512]);
        let flush = story.ask_flush(1);
        story.answer(flush);
        assert_eq!(moments(&story), [(Why::End, vec![], 1)]);
    }

    #[test]
    fn flash_and_fua_are_durable_one_by_one() {
        let mut story = Story::small();
        story.write(0, 0, &[1; 512]);
        story.write(1, 0, &[2; 512]);
        story.write_fua(0, 1, &[3; 512]);
        let expected = [(Why::Flash, vec![], 2), (Why::Fua, vec![2], 2), (Why::End, vec![3, 2], 1)];
        assert_eq!(moments(&story), expected);
    }

    #[test]
    fn a_refused_write_never_happened() {
        let mut story = Story::small();
        let write = story.ask(0, 0, &[1; 512]);
        story.refuse(write);
        story.flush(0);
        assert_eq!(moments(&story), [(Why::End, vec![], 0)]);
    }

    #[test]
    fn equal_content_has_equal_fingerprints_whatever_the_way() {
        let mut direct = Story::small();
        direct.write(0, 0, &[1; 512]);
        direct.flush(0);
        let mut detour = Story::small();
        for byte in [3, 0, 2, 1] {
            detour.write(0, 0, &[byte; 512]);
            detour.flush(0);
        }
        let last = |story: &Story| {
            let recording = story.recording();
            let mut timeline = Timeline::new(&recording);
            while timeline.next_cut().unwrap().is_some() {}
            timeline.prints
        };
        assert_eq!(last(&direct), last(&detour));
        assert_ne!(last(&direct), Prints::default());
    }
}
