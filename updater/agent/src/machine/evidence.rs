//! Whether a trial boot happened, when it left nothing behind.
//!
//! A new release can end before it writes a byte: a kernel panic leaves the disk as it was. So a machine that directed its next boot to
//! a slot, lost power, and finds itself in the old slot cannot tell from its disk whether the release was tried. Two things know:
//!
//! - the variable of the one-shot choice: the boot loader removes it before it starts anything. Still there: not tried;
//! - the firmware's count of boots: one boot since the flip is this one, so there was none in between. Two may have been the trial.
//!
//! The count is believed only where it was seen to go up at each of the last [`PROVEN_MIN`] reboots: a count that stands still would
//! make a release that failed look untried, and such a release must never be tried again by itself. Without evidence, a release counts
//! as tried.

use super::persisted::{BootCount, Trial};
use super::{Effect, Machine};

/// Reboots in a row at which the count must have gone up before anything is concluded from it.
pub(super) const PROVEN_MIN: u32 = 2;

impl Machine {
    /// Looks at the firmware's count, once a boot.
    pub(super) fn note_boot_count(&mut self) -> Option<Effect> {
        let before = self.persisted.boot_count.take();
        let Some(count) = self.booted.firmware.boots else { return before.map(|_| Effect::Persist) };
        let proven = match &before {
            Some(seen) if seen.boot_id == self.booted.boot_id => {
                self.persisted.boot_count = before;
                return None;
            }
            Some(seen) if seen.count < count => seen.proven.saturating_add(1).min(PROVEN_MIN),
            // Stood still or went back: start over.
            _ => 0,
        };
        self.persisted.boot_count = Some(BootCount { boot_id: self.booted.boot_id.clone(), count, proven });
        Some(Effect::Persist)
    }

    /// The firmware's count of boots, where it proved itself.
    pub(super) fn reliable_boot_count(&self) -> Option<u32> {
        self.persisted.boot_count.as_ref().filter(|seen| seen.proven >= PROVEN_MIN).map(|seen| seen.count)
    }

    /// Whether it is certain that nothing was booted between the flip to `trial` and this boot of the other slot.
    pub(super) fn was_not_tried(&self, trial: &Trial) -> bool {
        match (trial.flipped_at, self.booted.firmware.boots) {
            // The same count in another boot: this system was started without the firmware, by kexec; a loader did not run.
            (Some(then), Some(now)) => now == then || now == then.wrapping_add(1),
            // The loader never ran.
            _ => self.booted.firmware.one_shot == Some(trial.slot),
        }
    }
}
