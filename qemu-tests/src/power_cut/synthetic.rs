//! Recordings made up for tests.

use image_builder::slot::Slot;

use super::machine::{About, Change};
use super::recording::{Base, Recording};
use super::sector::SECTOR;
use super::source::Source;
use crate::nbd::recorder::Event;
use crate::nbd::wire::Op;

const CHANGE: Change<'static> = Change { from: "1.0.0", to: "1.0.1", written: Slot::B, rest: &[] };

/// A recording in the making.
#[derive(Debug, Clone, Default)]
pub(super) struct Story {
    pub(super) disks: [Vec<u8>; 2],
    /// Size of the first disk, when it is more than its content.
    pub(super) disk_bytes: u64,
    pub(super) events: Vec<Event>,
    pub(super) data: Vec<u8>,
    next: u64,
}

impl Story {
    /// Two empty disks of some sectors; all of the first one is its tables.
    pub(super) fn small() -> Self {
        Self { disks: [vec![0; 16 * 512], vec![0; 16 * 512]], ..Self::default() }
    }

    pub(super) fn recording(&self) -> Recording {
        let bases = self.disks.iter().enumerate().map(|(number, bytes)| {
            let size = if number == 0 { self.disk_bytes.max(bytes.len() as u64) } else { bytes.len() as u64 };
            Base { source: Source::Memory(bytes.clone()), bytes: size }
        });
        Recording {
            bases: bases.collect(),
            events: self.events.clone(),
            data: Source::Memory(self.data.clone()),
            digest: String::new(),
            about: About::new("image".into(), "keys".into(), &CHANGE, String::new()),
        }
    }

    fn submit(&mut self, disk: usize, op: Op, fua: bool, offset: u64, bytes: &[u8]) -> u64 {
        let (id, data) = (self.next, self.data.len() as u64);
        self.next += 1;
        self.data.extend_from_slice(bytes);
        self.events.push(Event::Submit { id, disk, op, fua, offset, len: bytes.len() as u64, data });
        id
    }

    pub(super) fn ask(&mut self, disk: usize, sector: u64, bytes: &[u8]) -> u64 {
        self.submit(disk, Op::Write, false, sector * SECTOR, bytes)
    }

    pub(super) fn ask_flush(&mut self, disk: usize) -> u64 {
        self.submit(disk, Op::Flush, false, 0, &[])
    }

    pub(super) fn answer(&mut self, id: u64) {
        self.events.push(Event::Complete(id));
    }

    pub(super) fn refuse(&mut self, id: u64) {
        self.events.push(Event::Refuse(id));
    }

    pub(super) fn write(&mut self, disk: usize, sector: u64, bytes: &[u8]) {
        let id = self.ask(disk, sector, bytes);
        self.answer(id);
    }

    pub(super) fn write_fua(&mut self, disk: usize, sector: u64, bytes: &[u8]) {
        let id = self.submit(disk, Op::Write, true, sector * SECTOR, bytes);
        self.answer(id);
    }

    pub(super) fn flush(&mut self, disk: usize) {
        let id = self.ask_flush(disk);
        self.answer(id);
    }

    pub(super) fn mark(&mut self, name: &str) {
        self.events.push(Event::Mark(name.to_owned()));
    }
}
