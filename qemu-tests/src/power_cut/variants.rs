//! All states that a cut at one moment may leave, in a fixed order: the number of a state in it finds it again.

use super::choices::{Choice, Extent, Limits, choices};
use super::place::Place;
use super::sector::{At, Version};
use super::state::{Layer, State};
use super::timeline::{Cut, Sectors, Timeline, Why};

/// Sectors that are chosen together.
#[derive(Debug, Default)]
struct Group {
    /// Each with its unflushed contents, oldest first.
    sectors: Vec<(At, Vec<Version>)>,
    /// Index of the sector and of its content (from one, zero for what was there before), as written.
    written: Vec<(usize, u8)>,
}

/// More unflushed contents of one sector than this are not told apart from the last one.
const CONTENTS_MAX: usize = 8;

impl Group {
    fn of(timeline: &Timeline<'_>, belongs: impl Fn(Place) -> bool) -> Self {
        let mut group = Self::default();
        let mut known = std::collections::HashMap::new();
        let all = timeline.pending.iter().flat_map(|write| &write.sectors);
        for (at, version) in all.filter(|(at, _)| belongs(timeline.map.place(*at))) {
            let sector = *known.entry(*at).or_insert_with(|| {
                group.sectors.push((*at, Vec::new()));
                group.sectors.len() - 1
            });
            let before = timeline.durable_at(*at).map(|old| old.print);
            let contents = &mut group.sectors[sector].1;
            let content = if before == Some(version.print) {
                0
            } else if let Some(found) = contents.iter().position(|other| other.print == version.print) {
                found + 1
            } else {
                if contents.len() == CONTENTS_MAX {
                    contents.pop();
                }
                contents.push(*version);
                contents.len()
            };
            group.written.push((sector, content as u8));
        }
        group
    }

    fn choices(&self, limits: Limits, seed: u64) -> (Vec<Choice>, Extent) {
        let alternatives: Vec<u8> = self.sectors.iter().map(|(_, contents)| contents.len() as u8).collect();
        choices(&alternatives, &self.written, limits, seed)
    }

    fn layer(&self, timeline: &Timeline<'_>, choice: &[u8]) -> Layer {
        let chosen = self.sectors.iter().zip(choice).filter(|(_, content)| **content > 0);
        let sectors: Sectors = chosen.map(|((at, contents), content)| (*at, contents[usize::from(*content) - 1])).collect();
        Layer::new(timeline, sectors)
    }

    fn last(&self) -> Choice {
        // What a disk holds that lost nothing.
        let mut last = vec![0; self.sectors.len()];
        for (sector, content) in &self.written {
            last[*sector] = *content;
        }
        last
    }
}

/// How far the choices at a moment go.
#[derive(Debug, Clone, Copy, Default)]
pub struct Breadth {
    /// Unflushed sectors of tables, ESP and OEM partition.
    pub boot_sectors: usize,
    /// Unflushed sectors of the state partition.
    pub state_sectors: usize,
    /// Whether all ways to choose among both were tried.
    pub exhaustive: bool,
}

/// Calls `look` with every state of a moment and its number. What `look` says ends it.
pub fn each<E>(
    timeline: &Timeline<'_>,
    cut: &Cut,
    seed: u64,
    mut look: impl FnMut(usize, &State<'_>) -> Result<(), E>,
) -> Result<Breadth, E> {
    let fine = if cut.why == Why::Flash { Limits::COARSE } else { Limits::FINE };
    let seed = seed ^ cut.number as u64;
    let boot = Group::of(timeline, |place| matches!(place, Place::Table | Place::Esp | Place::Oem));
    let state = Group::of(timeline, |place| place == Place::State);
    let bulk = Group::of(timeline, Place::is_bulk);
    let flash = Group::of(timeline, |place| place == Place::Variables);
    let ((boot_ways, boot_extent), (state_ways, state_extent)) = (boot.choices(fine, seed), state.choices(fine, !seed));
    let layers = |group: &Group, ways: &[Choice]| ways.iter().map(|way| group.layer(timeline, way)).collect::<Vec<_>>();
    let boots = layers(&boot, &boot_ways);
    let states = layers(&state, &state_ways);
    // Every other sector: no block of four kilobytes is whole.
    let part = |group: &Group| group.last().iter().enumerate().map(|(index, content)| if index % 2 == 0 { *content } else { 0 }).collect();
    let bulks = if bulk.sectors.is_empty() {
        vec![Layer::default()]
    } else {
        layers(&bulk, &[vec![0; bulk.sectors.len()], part(&bulk), bulk.last()])
    };
    let flashes =
        if flash.sectors.is_empty() { vec![Layer::default()] } else { layers(&flash, &[flash.last(), vec![0; flash.sectors.len()]]) };
    let ends = |group: &Group| {
        layers(group, &if group.sectors.is_empty() { vec![Vec::new()] } else { vec![vec![0; group.sectors.len()], group.last()] })
    };
    let (state_ends, boot_ends) = (ends(&state), ends(&boot));
    let mut number = 0;
    let mut tell = |layers: Vec<&Layer>| {
        let told = look(number, &State::new(timeline, layers));
        number += 1;
        told
    };
    for flash in &flashes {
        for bulk in &bulks {
            for state in &state_ends {
                for boot in &boots {
                    tell(vec![flash, bulk, state, boot])?;
                }
            }
        }
    }
    let bulk_ends = [bulks.first(), bulks.last()];
    for state in &states {
        for (boot, bulk) in boot_ends.iter().zip(bulk_ends.iter().cycle()) {
            tell(vec![&flashes[0], bulk.unwrap_or(&bulks[0]), state, boot])?;
        }
    }
    let exhaustive = boot_extent == Extent::All && state_extent == Extent::All;
    Ok(Breadth { boot_sectors: boot.sectors.len(), state_sectors: state.sectors.len(), exhaustive })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use payload::verity::Blocks;

    use super::super::synthetic::Story;
    use super::*;

    /// First bytes of the first four sectors of the first disk, for each distinct state at the end.
    fn states(story: &Story) -> (BTreeSet<[u8; 4]>, Breadth) {
        let recording = story.recording();
        let mut timeline = Timeline::new(&recording);
        let mut last = None;
        let mut found = BTreeSet::new();
        while let Some(cut) = timeline.next_cut().unwrap() {
            found.clear();
            let breadth = each(&timeline, &cut, 1, |_, state| {
                let mut bytes = [0; 2048];
                state.disk("disk", 0).read_at(0, &mut bytes)?;
                found.insert([bytes[0], bytes[512], bytes[1024], bytes[1536]]);
                Ok::<_, std::io::Error>(())
            });
            last = Some(breadth.unwrap());
        }
        (found, last.unwrap())
    }

    #[test]
    fn every_subset_of_what_was_not_flushed_and_nothing_else() {
        let mut story = Story::small();
        story.write(0, 0, &[1; 512]);
        story.flush(0);
        // Torn in the middle, and overwritten.
        story.write(0, 1, &[[2; 512], [3; 512]].concat());
        story.write(0, 1, &[4; 512]);
        let (found, breadth) = states(&story);
        let expected = [[1, 0, 0, 0], [1, 2, 0, 0], [1, 4, 0, 0], [1, 0, 3, 0], [1, 2, 3, 0], [1, 4, 3, 0]];
        assert_eq!(found, BTreeSet::from(expected));
        assert!(breadth.exhaustive && breadth.boot_sectors == 2);
    }

    #[test]
    fn many_sectors_are_sampled_and_say_so() {
        let mut story = Story::small();
        for sector in 0..14 {
            story.write(0, sector, &[7; 512]);
        }
        let (found, breadth) = states(&story);
        assert!(!breadth.exhaustive && breadth.boot_sectors == 14);
        for expected in [[0; 4], [7; 4], [7, 7, 0, 0], [0, 7, 7, 7], [0, 0, 7, 0]] {
            assert!(found.contains(&expected), "{expected:?}");
        }
    }

    #[test]
    fn what_is_written_again_as_it_was_is_no_choice() {
        let mut story = Story::small();
        story.write(0, 0, &[1; 512]);
        story.flush(0);
        story.write(0, 0, &[1; 512]);
        assert_eq!(states(&story).1.boot_sectors, 1);
        assert_eq!(states(&story).0, BTreeSet::from([[1, 0, 0, 0]]));
    }
}
