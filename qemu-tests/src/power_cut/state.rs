//! One state that a cut may leave: what is durable, with layers of what else survived above it. Nothing is copied.

use std::io;

use payload::verity::Blocks;

use super::place::Place;
use super::sector::{At, Content, SECTOR, read};
use super::timeline::{Prints, Sectors, Timeline};

/// Sectors that survived, with the change they make to the fingerprints.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    sectors: Sectors,
    prints: Prints,
}

impl Layer {
    /// `sectors` above what is durable in `timeline`.
    #[must_use]
    pub fn new(timeline: &Timeline<'_>, sectors: Sectors) -> Self {
        let mut prints = Prints::default();
        for (at, version) in &sectors {
            let old = timeline.durable_at(*at).map_or(0, |old| old.print);
            prints[timeline.map.place(*at) as usize] ^= old ^ version.print;
        }
        Self { sectors, prints }
    }
}

/// A state of both disks. Its layers do not overlap.
#[derive(Debug)]
pub struct State<'t> {
    timeline: &'t Timeline<'t>,
    layers: Vec<&'t Layer>,
    /// Fingerprints of its places.
    pub prints: Prints,
}

impl<'t> State<'t> {
    /// What is durable at this moment of `timeline`, and `layers`.
    #[must_use]
    pub fn new(timeline: &'t Timeline<'t>, layers: Vec<&'t Layer>) -> Self {
        let mut prints = timeline.prints;
        for layer in &layers {
            for (print, change) in prints.iter_mut().zip(layer.prints) {
                *print ^= change;
            }
        }
        Self { timeline, layers, prints }
    }

    /// The fingerprint of a place.
    #[must_use]
    pub fn print(&self, place: Place) -> u128 {
        self.prints[place as usize]
    }

    /// A byte range of a disk.
    #[must_use]
    pub fn view(&self, name: &'static str, disk: usize, range: std::ops::Range<u64>) -> View<'_> {
        View { state: self, name, disk, start: range.start, len: range.end.saturating_sub(range.start) }
    }

    /// A whole disk.
    #[must_use]
    pub fn disk(&self, name: &'static str, disk: usize) -> View<'_> {
        self.view(name, disk, 0..self.timeline.recording.bases[disk].bytes)
    }

    /// All sectors of a disk that differ in origin from the base, layers above what is durable.
    pub fn sectors(&self, disk: usize) -> Sectors {
        let range = || At { disk, sector: 0 }..At { disk: disk + 1, sector: 0 };
        let layers = std::iter::once(&self.timeline.durable).chain(self.layers.iter().map(|layer| &layer.sectors));
        layers.flat_map(|sectors| sectors.range(range())).map(|(at, version)| (*at, *version)).collect()
    }

    fn read(&self, disk: usize, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let end = offset + into.len() as u64;
        self.timeline.recording.bases[disk].source.read(offset, into)?;
        let range = || At { disk, sector: offset / SECTOR }..At { disk, sector: end.div_ceil(SECTOR) };
        for sectors in std::iter::once(&self.timeline.durable).chain(self.layers.iter().map(|layer| &layer.sectors)) {
            let mut found = sectors.range(range()).peekable();
            while let Some((at, version)) = found.next() {
                // Neighbours that were written together are read together.
                let mut count = 1;
                while let (Content::Written(first), Some((next, other))) = (version.content, found.peek())
                    && next.sector == at.sector + count
                    && other.content == Content::Written(first + count * SECTOR)
                {
                    count += 1;
                    found.next();
                }
                let (from, to) = ((at.sector * SECTOR).max(offset), ((at.sector + count) * SECTOR).min(end));
                let part = &mut into[(from - offset) as usize..(to - offset) as usize];
                read(self.timeline.recording, *at, version.content, from - at.sector * SECTOR, part)?;
            }
        }
        Ok(())
    }
}

/// A byte range of a disk in some state.
#[derive(Debug)]
pub struct View<'a> {
    state: &'a State<'a>,
    name: &'static str,
    disk: usize,
    start: u64,
    len: u64,
}

impl Blocks for View<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("reading beyond the end of {}", self.name)));
        }
        self.state.read(self.disk, self.start + offset, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::Story;
    use super::*;

    #[test]
    fn layers_lie_above_what_is_durable_and_that_above_the_base() {
        let mut story = Story::small();
        story.write(0, 1, &[[1; 512], [2; 512], [3; 512]].concat());
        story.flush(0);
        story.write(0, 2, &[4; 512]);
        let recording = story.recording();
        let mut timeline = Timeline::new(&recording);
        while timeline.next_cut().unwrap().is_some() {}
        let layer = Layer::new(&timeline, timeline.pending[0].sectors.iter().copied().collect());
        let firsts = |state: &State<'_>| {
            let mut bytes = vec![9; 5 * 512 - 2];
            state.disk("disk", 0).read_at(1, &mut bytes).unwrap();
            bytes.chunks(512).map(|sector| sector[510.min(sector.len() - 1)]).collect::<Vec<u8>>()
        };
        let (without, with) = (State::new(&timeline, vec![]), State::new(&timeline, vec![&layer]));
        assert_eq!((firsts(&without), firsts(&with)), (vec![0, 1, 2, 3, 0], vec![0, 1, 4, 3, 0]));
        assert_ne!(without.prints, with.prints);
        assert_eq!(with.sectors(0).len(), 3);
        let end = without.disk("disk", 0).len();
        assert!(without.disk("disk", 0).read_at(end - 1, &mut [0; 2]).is_err());
    }
}
