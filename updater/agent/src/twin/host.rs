//! The host of a machine in the twin: the real one over the twin's disk, with the network and the services of systemd played.

use std::cell::Cell;
use std::future::poll_fn;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use payload::{Full, Part, Version};

use super::computer::{ONE_SHOT, encoded, loader, places, variable};
use super::disk::{STATE, TwinDisk};
use super::story::{Nature, RELEASES, Scenario, Told, release};
use crate::boot::Services;
use crate::daemon::host::{
    Access, Booted, CheckAnswer, CheckReport, Failure, FailureKind, HealthPlan, HealthReport, Host, Identity, Offer, Refusal, Report, Slot,
    TurnAnswer, VerifiedRelease, Wanted,
};
use crate::disk::Aligned;
use crate::host::{Layout, SystemHost};
use crate::machine::test_support::{EXPIRES, booted, healthy, ill, offer};
use crate::stage::testing::Memory;
use crate::stage::{Fetched, Frames};

/// logind as far as the updater knows it.
#[derive(Debug)]
pub(super) struct TwinServices(TwinDisk);

impl Services for TwinServices {
    async fn set_one_shot(&self, slot: Slot) -> Result<(), Failure> {
        let set = self.0.change_variable(&variable(ONE_SHOT), Some(&encoded(&slot.entry())));
        set.map_err(|error| Failure::new(FailureKind::Boot, format!("asking logind to boot {slot} once: {error}")))
    }

    async fn clear_one_shot(&self) -> Result<(), Failure> {
        match self.0.change_variable(&variable(ONE_SHOT), None) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::new(FailureKind::Boot, format!("asking logind to forget the one-shot boot entry: {error}")))
            }
            _ => Ok(()),
        }
    }

    async fn reboot(&self, _why: &str) -> Result<(), Failure> {
        let mut power = self.0.power();
        let down = power.step("shutting down", Path::new("the machine"));
        down.map_err(|error| Failure::new(FailureKind::Reboot, format!("asking logind to reboot: {error}")))?;
        power.shut_down();
        Ok(())
    }

    async fn users(&self) -> Result<Vec<(String, String)>, Failure> {
        Ok(Vec::new())
    }

    async fn failed_units(&self) -> Result<Vec<String>, Failure> {
        Ok(vec!["broken.service".to_owned()])
    }

    async fn start_unit(&self, _name: &str, _patience: Duration) -> Result<String, Failure> {
        Err(Failure::new(FailureKind::Internal, "the twin plays the health gate itself"))
    }
}

/// Frames that come to a halt before the second part.
struct Stalling<'a> {
    inner: Memory<'a>,
    parts: usize,
    /// A stalled download is nothing to wait for.
    busy: Option<Busy>,
}

impl Frames for Stalling<'_> {
    async fn begin(&mut self, full: &Full, part: &Part, wanted: &[u32]) -> Result<(), Failure> {
        self.parts += 1;
        self.inner.begin(full, part, wanted).await
    }

    async fn next(&mut self, into: &mut Aligned) -> Result<Fetched, Failure> {
        if self.parts > 1 {
            self.busy = None;
            std::future::pending::<()>().await;
        }
        self.inner.next(into).await
    }

    async fn distrust(&mut self, place: u32) -> Result<(), Failure> {
        self.inner.distrust(place).await
    }
}

/// The machine's host.
pub(super) struct TwinHost {
    system: SystemHost<TwinServices>,
    disk: TwinDisk,
    scenario: Scenario,
    running: Version,
    /// Calls that are being made: time does not pass meanwhile.
    pub(super) busy: Rc<Cell<u32>>,
    /// Checks that were answered in this boot, since the outside last did something.
    pub(super) checks: Cell<u32>,
}

/// Counts a call while it lasts.
struct Busy(Rc<Cell<u32>>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

impl TwinHost {
    pub(super) fn new(disk: TwinDisk, scenario: Scenario, slot: Slot, version: &Version) -> Self {
        let layout =
            Layout { disk: Arc::new(disk.clone()), places: places(), loader: loader(&disk), state: STATE.into(), ..Layout::default() };
        let boots = disk.power().story.boots;
        let booted = booted(slot, boots, &version.to_string());
        let system = SystemHost::of(layout, booted, TwinServices(disk.clone()));
        Self { system, disk, scenario, running: version.clone(), busy: Rc::default(), checks: Cell::default() }
    }

    fn busy(&self) -> Busy {
        self.busy.set(self.busy.get() + 1);
        Busy(Rc::clone(&self.busy))
    }

    fn nature(&self) -> Nature {
        let index = RELEASES.iter().position(|release| release.release.version == self.running);
        self.scenario.natures[index.unwrap_or_default()]
    }
}

impl Host for TwinHost {
    fn booted(&self) -> Booted {
        self.system.booted()
    }

    async fn check(&self, _access: &Access, _report: CheckReport) -> Result<CheckAnswer, Failure> {
        self.checks.set(self.checks.get() + 1);
        Ok(match self.disk.power().story.offer {
            Some(index) => CheckAnswer::Update(offer(&RELEASES[index].release.version.to_string())),
            None => CheckAnswer::NoUpdate { info: None, poll_interval: None },
        })
    }

    async fn ping(&self, _access: &Access, _identity: Identity) -> Result<(), Failure> {
        Ok(())
    }

    async fn report(&self, _access: &Access, report: Report) -> Result<(), Failure> {
        // Beside other work in production; here after it, so that a history can be told again.
        poll_fn(|_| if self.busy.get() > 0 { Poll::Pending } else { Poll::Ready(()) }).await;
        let mut power = self.disk.power();
        let sent = power.step("reporting to", Path::new("the server"));
        sent.map_err(|error| Failure::new(FailureKind::Network, format!("reporting: {error}")))?;
        let event = report.event;
        let told = Told {
            number: event.number,
            kind: event.kind,
            result: event.result,
            code: event.error_code,
            release: event.release,
            cause: event.cause,
            repeated: event.repeated,
            running: self.running.clone(),
        };
        power.story.told.push(told);
        Ok(())
    }

    async fn verify(&self, _access: &Access, offered: &Offer, _wanted: &Wanted) -> Result<VerifiedRelease, Refusal> {
        let release = release(&offered.version).unwrap().release.clone();
        Ok(VerifiedRelease { release, bases: offered.bases.clone(), expires: Some(EXPIRES.parse().unwrap()) })
    }

    async fn refresh(&self, _access: &Access) -> Result<Option<jiff::Timestamp>, Refusal> {
        Ok(Some(EXPIRES.parse().unwrap()))
    }

    async fn stage(&self, _access: &Access, wanted: &VerifiedRelease, slot: Slot, progress: impl Fn(u64, u64)) -> Result<(), Failure> {
        let busy = self.busy();
        let version = &wanted.release.version;
        if self.disk.power().story.failed.contains(version) {
            self.disk.power().break_rule(format!("{version} failed here and is written again"));
        }
        let frames = Memory::new(release(version).unwrap());
        if self.scenario.stalls {
            let mut frames = Stalling { inner: frames, parts: 0, busy: Some(busy) };
            return self.system.fill(&mut frames, &wanted.release, slot, progress).await;
        }
        let mut frames = frames;
        let filled = self.system.fill(&mut frames, &wanted.release, slot, progress).await;
        drop(busy);
        filled
    }

    async fn bootable(&self, slot: Slot) -> Result<bool, Failure> {
        let _busy = self.busy();
        self.system.bootable(slot).await
    }

    async fn flip(&self, slot: Slot) -> Result<(), Failure> {
        let _busy = self.busy();
        self.system.flip(slot).await
    }

    async fn unflip(&self) -> Result<(), Failure> {
        let _busy = self.busy();
        self.system.unflip().await
    }

    async fn discard(&self, slot: Slot) -> Result<(), Failure> {
        let _busy = self.busy();
        self.system.discard(slot).await
    }

    async fn reboot(&self) -> Result<(), Failure> {
        self.system.reboot().await
    }

    async fn take_turn(&self, _version: Option<&Version>) -> TurnAnswer {
        TurnAnswer::Granted
    }

    async fn give_up_turn(&self) {}

    async fn health(&self, _plan: &HealthPlan) -> HealthReport {
        if self.nature() == Nature::Good {
            return healthy();
        }
        let mut power = self.disk.power();
        if !power.off {
            power.story.failed.insert(self.running.clone());
        }
        ill("a service failed")
    }

    async fn commit(&self, slot: Slot) -> Result<(), Failure> {
        let _busy = self.busy();
        if self.nature() != Nature::Good {
            self.disk.power().break_rule(format!("{} is ill and is committed", self.running));
        }
        self.system.commit(slot).await
    }

    async fn roll_back_entry(&self, slot: Slot) -> Result<(), Failure> {
        let _busy = self.busy();
        self.system.roll_back_entry(slot).await
    }

    async fn logged_in_users(&self) -> Vec<String> {
        Vec::new()
    }

    async fn warn_users(&self, _text: &str) {}
}
