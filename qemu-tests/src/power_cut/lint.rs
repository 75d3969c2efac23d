//! What the recording itself must show, without looking at any state: who was written to, and in which order.

use super::place::{Map, Place};
use super::recording::Recording;
use super::sector::{At, SECTOR};
use crate::nbd::recorder::Event;
use crate::nbd::wire::Op;

/// I3: no change touches the partition tables, the OEM partition or `active` between two marks.
#[must_use]
pub fn untouched(recording: &Recording, map: &Map, active: Place, from: &str, to: &str) -> Vec<String> {
    let mut inside = false;
    let mut problems = Vec::new();
    for event in &recording.events {
        match event {
            Event::Mark(name) => inside = (inside || name == from) && name != to,
            Event::Submit { id, disk, op, offset, len, .. } if inside && op.changes() && *len > 0 => {
                // Long requests are looked at on both ends and at each boundary of a partition by way of steps of a mebibyte.
                let mut places: Vec<u64> = (*offset..offset + len).step_by(1 << 20).collect();
                places.push(offset + len - 1);
                let hit = places.iter().map(|byte| map.place(At { disk: *disk, sector: byte / SECTOR }));
                if let Some(place) = hit.into_iter().find(|place| [active, Place::Table, Place::Oem].contains(place)) {
                    problems.push(format!("request {id} ({op:?} of {len} bytes at {offset}) changes {place:?}"));
                }
            }
            _ => {}
        }
    }
    problems
}

/// When things became durable, as numbers of events.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Order {
    /// The last change of the slot was answered.
    pub data_written: Option<usize>,
    /// A flush that was asked for after that was answered.
    pub data_durable: Option<usize>,
    /// The first change was asked for after which the entry can be seen.
    pub entry_visible: Option<usize>,
    /// A flush that was asked for after that was answered.
    pub entry_durable: Option<usize>,
    /// The firmware was told to start it.
    pub flipped: Option<usize>,
}

/// I4: data, flush, entry, flush, flip.
#[must_use]
pub fn ordered(order: &Order) -> Option<String> {
    let steps = [
        ("the last write of the slot", order.data_written),
        ("the flush behind it", order.data_durable),
        ("the write that makes the entry visible", order.entry_visible),
        ("the flush behind it", order.entry_durable),
        ("the flip", order.flipped),
    ];
    for ((before, one), (after, two)) in steps.iter().zip(&steps[1..]) {
        match (one, two) {
            (None, _) => return Some(format!("{before} is not in the recording")),
            (_, None) => return Some(format!("{after} is not in the recording")),
            (Some(one), Some(two)) if one >= two => {
                return Some(format!("{after} (event {two}) does not come after {before} (event {one})"));
            }
            _ => {}
        }
    }
    None
}

/// Looks the order up in a recording. `visible` and `flipped` are the numbers of the events at which a state in which everything
/// asked for had survived first showed the entry, and first showed the flip.
#[must_use]
pub fn order(recording: &Recording, map: &Map, slot: Place, from: &str, visible: Option<usize>, flipped: Option<usize>) -> Order {
    let begin = recording.events.iter().position(|event| matches!(event, Event::Mark(name) if name == from)).unwrap_or(0);
    let until = flipped.unwrap_or(recording.events.len()).min(recording.events.len());
    let mut slot_requests = std::collections::HashSet::new();
    let mut order = Order { entry_visible: visible, flipped, ..Order::default() };
    for (number, event) in recording.events[..until].iter().enumerate().skip(begin) {
        match event {
            Event::Submit { id, disk, op, offset, .. }
                if op.changes() && map.place(At { disk: *disk, sector: offset / SECTOR }) == slot =>
            {
                slot_requests.insert(*id);
            }
            Event::Complete(id) if slot_requests.contains(id) => order.data_written = Some(number),
            _ => {}
        }
    }
    let durable = |after: Option<usize>| {
        let after = after?;
        let asked = recording.events.iter().enumerate().skip(after);
        let flushes: Vec<u64> = asked
            .filter_map(|(_, event)| match event {
                Event::Submit { id, disk: 0, op: Op::Flush, .. } => Some(*id),
                _ => None,
            })
            .collect();
        let answered = recording.events.iter().enumerate().skip(after);
        answered.filter_map(|(number, event)| matches!(event, Event::Complete(id) if flushes.contains(id)).then_some(number)).next()
    };
    order.data_durable = durable(order.data_written);
    order.entry_durable = durable(visible);
    order
}

#[cfg(test)]
mod tests {
    use super::super::place::extent;
    use super::super::synthetic::Story;
    use super::*;

    const SECTOR_OF: fn(&str) -> u64 = |label| extent(label).start / SECTOR;

    /// What a machine does in an update, in the order of `steps`.
    fn story(steps: &[&str]) -> Story {
        let mut story = Story::small();
        story.disk_bytes = 10 << 30;
        // The first sector of the ESP is its boot sector; what follows stands for folders.
        for step in steps {
            match *step {
                "update" | "committed" => story.mark(step),
                "flush" => story.flush(0),
                "flip" => story.write(1, 0, &[1; 512]),
                "entry" => story.write(0, SECTOR_OF("esp") + 100, &[2; 512]),
                "table" => story.write(0, 1, &[3; 512]),
                label => story.write(0, SECTOR_OF(label) + 8, &[4; 4096]),
            }
        }
        story
    }

    fn first(story: &Story, wanted: impl Fn(u64, usize) -> bool) -> Option<usize> {
        story.events.iter().position(|event| matches!(event, Event::Submit { offset, disk, op: Op::Write, .. } if wanted(*offset, *disk)))
    }

    fn verdicts(steps: &[&str]) -> (usize, Option<String>) {
        let story = story(steps);
        let recording = story.recording();
        let map = Map::of(&recording);
        let touched = untouched(&recording, &map, Place::SlotA, "update", "committed").len();
        let visible = first(&story, |offset, disk| disk == 0 && offset == extent("esp").start + 100 * SECTOR);
        let flipped = first(&story, |_, disk| disk == 1);
        (touched, ordered(&order(&recording, &map, Place::SlotB, "update", visible, flipped)))
    }

    const GOOD: [&str; 10] = ["root-a", "update", "root-b", "root-b-verity", "flush", "entry", "flush", "state", "flip", "committed"];

    #[test]
    fn a_good_recording_passes() {
        assert_eq!(verdicts(&GOOD), (0, None));
    }

    #[test]
    fn a_recording_that_writes_where_it_must_not_is_caught() {
        for wrong in ["root-a", "root-a-verity", "table", "oem"] {
            let mut steps = GOOD.to_vec();
            steps.insert(4, wrong);
            assert_eq!(verdicts(&steps).0, 1, "{wrong}");
        }
    }

    #[test]
    fn a_recording_in_the_wrong_order_is_caught() {
        let swapped = |one: usize, two: usize| {
            let mut steps = GOOD.to_vec();
            steps.swap(one, two);
            steps
        };
        let without =
            |index: usize| GOOD.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, step)| *step).collect::<Vec<_>>();
        let table = [
            ("the entry before the data", swapped(2, 5)),
            ("the entry before the hash tree", swapped(3, 5)),
            ("no flush between data and entry", without(4)),
            ("no flush between entry and flip", without(6)),
            ("the flip before the entry", swapped(5, 8)),
            ("no entry at all", without(5)),
            ("no flip at all", without(8)),
            ("no data at all", GOOD.iter().filter(|step| !step.starts_with("root-b")).copied().collect()),
        ];
        for (what, steps) in table {
            assert!(verdicts(&steps).1.is_some(), "{what}");
        }
    }
}
