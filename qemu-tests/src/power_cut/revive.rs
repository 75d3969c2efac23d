//! A state on real firmware: served as disks, so that a machine can be started on it.

use anyhow::Context;
use camino::Utf8Path;

use super::machine::{About, DISK, ServedMachine, VARIABLES};
use super::sector::{SECTOR, read};
use super::state::State;
use super::timeline::Timeline;
use crate::nbd::disk::Layered;

/// Longest piece that is written at once, in bytes.
const RUN_BYTES_MAX: usize = 4 << 20;

/// Serves `state`; `folder` is that of the recording.
pub fn revive(folder: &Utf8Path, timeline: &Timeline<'_>, state: &State<'_>) -> anyhow::Result<ServedMachine> {
    let (mut disk, mut variables) = About::read(folder)?.layers(folder)?;
    fill(&mut disk, timeline, state, DISK).context("making the disk")?;
    fill(&mut variables, timeline, state, VARIABLES).context("making the variables")?;
    ServedMachine::start(disk, variables, None)
}

fn fill(layered: &mut Layered, timeline: &Timeline<'_>, state: &State<'_>, disk: usize) -> std::io::Result<()> {
    let (mut run, mut start) = (Vec::new(), 0);
    for (at, version) in state.sectors(disk) {
        let place = at.sector * SECTOR;
        if start + run.len() as u64 != place || run.len() >= RUN_BYTES_MAX {
            layered.write(start, &run)?;
            run.clear();
            start = place;
        }
        let mut sector = [0; SECTOR as usize];
        read(timeline.recording, at, version.content, 0, &mut sector)?;
        run.extend_from_slice(&sector);
    }
    layered.write(start, &run)
}

#[cfg(test)]
mod tests {
    use super::super::synthetic::Story;
    use super::*;

    #[test]
    fn a_filled_disk_reads_like_the_state() {
        let mut story = Story::small();
        story.write(0, 1, &[[1; 512], [2; 512]].concat());
        story.write(0, 7, &[3; 512]);
        story.flush(0);
        let recording = story.recording();
        let mut timeline = Timeline::new(&recording);
        while timeline.next_cut().unwrap().is_some() {}
        let state = State::new(&timeline, vec![]);
        let mut layered = Layered::over(tempfile::tempfile().unwrap(), 16 * 512).unwrap();
        fill(&mut layered, &timeline, &state, 0).unwrap();
        let mut bytes = vec![9; 16 * 512];
        layered.read(0, &mut bytes).unwrap();
        let firsts: Vec<u8> = bytes.chunks(512).map(|sector| sector[0]).collect();
        assert_eq!(firsts, [0, 1, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]);
    }
}
