//! The [`Host`] of a real machine: glue over the modules that do the work.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use payload::Version;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::boot::{self, Loader, Services, SystemBus};
use crate::daemon::host::{
    Access, Booted, CheckAnswer, CheckReport, Event, Failure, FailureKind, HealthPlan, HealthReport, Host, Identity, Offer, Refusal,
    Report, Slot, TurnAnswer, VerifiedRelease, Wanted,
};
use crate::disk::{self, Disk};
use crate::health;
use crate::sandbox::messages::{FetchAnswer, OmahaAsk, presentable};
use crate::sandbox::{FetchedFrames, Fetcher, Sources, Workers};
use crate::slot::Facts;
use crate::stage::{self, DiskSlot, Frames, Passive, Places};
use crate::turn;

/// Longest wish of a server for the time until the next check.
const POLL_MAX: Duration = Duration::from_secs(24 * 3600);
/// The gate's unit may take this much longer than its checks.
const HEALTH_SLACK: Duration = Duration::from_secs(60);

/// Where everything is on a machine.
#[derive(Debug, Clone)]
pub struct Layout {
    /// How workers are reached.
    pub workers: Workers,
    /// Trusted metadata.
    pub sources: Sources,
    /// The disk with partitions, ESP and state.
    pub disk: Arc<dyn Disk>,
    /// Partitions and ESP.
    pub places: Places,
    /// The boot loader's choices.
    pub loader: Loader,
    /// Facts about the machine.
    pub facts: Facts,
    /// What the health gate writes.
    pub health: PathBuf,
    /// The daemon's own folder, where the file lies that arms the deadline of a trial.
    pub state: PathBuf,
    /// Devices, for terminals.
    pub dev: PathBuf,
    /// Where `cluster-agent` is asked for a turn.
    pub turns: PathBuf,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            workers: Workers::of_the_image(),
            sources: Sources { kept: "/var/lib/slipway/updater/tuf".into(), initial_root: "/usr/share/slipway/tuf/root.json".into() },
            disk: disk::linux(),
            places: Places::default(),
            loader: Loader::default(),
            facts: Facts::default(),
            health: health::REPORT.into(),
            state: "/var/lib/slipway/updater".into(),
            dev: "/dev".into(),
            turns: turn::SOCKET.into(),
        }
    }
}

/// This machine.
#[derive(Debug)]
pub struct SystemHost<S = SystemBus> {
    layout: Layout,
    booted: Booted,
    services: S,
    /// Whoever writes to the passive slot holds it.
    slot: Arc<Mutex<()>>,
}

impl SystemHost {
    /// Looks around.
    pub fn open(layout: Layout) -> Result<Self, Failure> {
        let booted = layout.facts.booted()?;
        Ok(Self::of(layout, booted, SystemBus::default()))
    }
}

impl<S: Services> SystemHost<S> {
    /// The machine that booted as `booted`; firmware and boot loader are asked for the rest.
    pub(crate) fn of(layout: Layout, booted: Booted, services: S) -> Self {
        let booted = Booted { firmware: boot::firmware(&layout.loader.variables), ..booted };
        boot::tidy(&layout.state, &layout.loader);
        Self { layout, booted, services, slot: Arc::default() }
    }

    /// The present for judging expiry: never before the image was made, nor before metadata was trusted last.
    fn now(&self) -> i64 {
        let past = [self.layout.facts.image_time(), last_trusted(&self.layout.sources.kept)];
        let past = past.into_iter().filter_map(|seconds| jiff::Timestamp::from_second(seconds).ok());
        trust::clock::latest(jiff::Timestamp::now(), past).as_second()
    }

    async fn disarm(&self, slot: Slot) -> Result<(), Failure> {
        let (disk, folder) = (Arc::clone(&self.layout.disk), self.layout.state.clone());
        let disarmed = move || {
            boot::disarm(&*disk, &folder, slot)
                .map_err(|error| Failure::new(FailureKind::Boot, format!("disarming the deadline of the trial: {error}")))
        };
        blocking(disarmed).await
    }

    fn passive(&self, slot: Slot) -> Result<Box<dyn Passive>, Failure> {
        let disk = DiskSlot::new(Arc::clone(&self.layout.disk), self.layout.places.clone(), self.booted.slot, slot);
        Ok(Box::new(disk.map_err(|error| Failure::new(FailureKind::Disk, format!("finding slot {slot}: {error}")))?))
    }

    /// [`Host::stage`] with frames from anywhere.
    pub(crate) async fn fill(
        &self,
        frames: &mut impl Frames,
        release: &payload::Release,
        slot: Slot,
        progress: impl Fn(u64, u64),
    ) -> Result<(), Failure> {
        let passive = self.passive(slot)?;
        let lease = Arc::clone(&self.slot).lock_owned().await;
        stage::stage(passive, lease, release, frames, progress).await
    }
}

/// When a timestamp was last trusted, in seconds since 1970: whatever the clock says now, it is not earlier than that.
///
/// The timestamp alone counts. It is kept only while it has not expired, so a clock that was years ahead for an hour cannot have
/// touched it; a root is kept before expiry is looked at, and its time would make everything look expired for ever after.
fn last_trusted(folder: &std::path::Path) -> i64 {
    use std::os::unix::fs::MetadataExt;
    folder.join("timestamp.json").metadata().map_or(0, |metadata| metadata.mtime())
}

fn omaha(identity: &Identity, event: Option<Event>) -> OmahaAsk {
    OmahaAsk {
        app_id: identity.app_id.clone(),
        machine_id: identity.machine_id.clone(),
        boot_id: identity.boot_id.clone(),
        version: identity.version.to_string(),
        arch: identity.arch.clone(),
        group: identity.group.clone(),
        check: false,
        ping: false,
        on_demand: false,
        first: false,
        pin: None,
        event,
    }
}

fn poll(seconds: Option<u32>) -> Option<Duration> {
    seconds.map(|seconds| Duration::from_secs(u64::from(seconds)).min(POLL_MAX))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(Failure::new(FailureKind::Internal, format!("a thread ended: {error}"))))
}

impl<S: Services> Host for SystemHost<S> {
    fn booted(&self) -> Booted {
        self.booted.clone()
    }

    async fn check(&self, access: &Access, report: CheckReport) -> Result<CheckAnswer, Failure> {
        let pin = report.pin.as_ref().map(ToString::to_string);
        let ask = OmahaAsk { check: true, on_demand: report.on_demand, first: report.first, pin, ..omaha(&report.identity, None) };
        match Fetcher::connect(&self.layout.workers, access).await?.omaha(ask).await? {
            FetchAnswer::Update { version, bases, poll_seconds } => {
                let version: Version =
                    version.parse().map_err(|error| Failure::new(FailureKind::Response, format!("the offered version: {error}")))?;
                Ok(CheckAnswer::Update(Offer { version, bases, poll_interval: poll(poll_seconds) }))
            }
            FetchAnswer::NoUpdate { info, poll_seconds } => {
                Ok(CheckAnswer::NoUpdate { info: info.as_deref().map(presentable), poll_interval: poll(poll_seconds) })
            }
            _ => Err(Failure::new(FailureKind::Helper, "the fetcher answered a check like a report")),
        }
    }

    async fn ping(&self, access: &Access, identity: Identity) -> Result<(), Failure> {
        let ask = OmahaAsk { ping: true, ..omaha(&identity, None) };
        Fetcher::connect(&self.layout.workers, access).await?.omaha(ask).await.map(drop)
    }

    async fn report(&self, access: &Access, report: Report) -> Result<(), Failure> {
        let ask = omaha(&report.identity, Some(report.event));
        Fetcher::connect(&self.layout.workers, access).await?.omaha(ask).await.map(drop)
    }

    async fn verify(&self, access: &Access, offer: &Offer, wanted: &Wanted) -> Result<VerifiedRelease, Refusal> {
        crate::sandbox::verify(&self.layout.workers, &self.layout.sources, access, offer, wanted, self.now()).await
    }

    async fn refresh(&self, access: &Access) -> Result<Option<jiff::Timestamp>, Refusal> {
        crate::sandbox::refresh(&self.layout.workers, &self.layout.sources, access, self.now()).await
    }

    async fn stage(&self, access: &Access, release: &VerifiedRelease, slot: Slot, progress: impl Fn(u64, u64)) -> Result<(), Failure> {
        let mut frames = FetchedFrames::new(&self.layout.workers, access, release.bases.clone());
        self.fill(&mut frames, &release.release, slot, progress).await
    }

    async fn bootable(&self, slot: Slot) -> Result<bool, Failure> {
        let (disk, entry) = (Arc::clone(&self.layout.disk), self.layout.places.entry(slot));
        blocking(move || {
            disk.exists(&entry).map_err(|error| Failure::new(FailureKind::Boot, format!("looking for {}: {error}", entry.display())))
        })
        .await
    }

    async fn flip(&self, slot: Slot) -> Result<(), Failure> {
        let failed = self.services.failed_units().await.unwrap_or_else(|failure| {
            tracing::warn!(%failure, "nobody knows which units are failed before the trial; none will be excused");
            Vec::new()
        });
        let (disk, folder) = (Arc::clone(&self.layout.disk), self.layout.state.clone());
        let armed = move || {
            boot::arm(&*disk, &folder, slot)
                .map_err(|error| Failure::new(FailureKind::Boot, format!("arming the deadline of the trial: {error}")))?;
            if let Err(error) = health::before::remember(&*disk, &folder, &failed) {
                tracing::warn!(%error, "the failed units of before the trial cannot be noted; none will be excused");
            }
            Ok(())
        };
        blocking(armed).await?;
        self.services.set_one_shot(slot).await
    }

    async fn unflip(&self) -> Result<(), Failure> {
        self.services.clear_one_shot().await?;
        self.disarm(self.booted.slot.other()).await
    }

    async fn discard(&self, slot: Slot) -> Result<(), Failure> {
        let mut passive = self.passive(slot)?;
        let lease = Arc::clone(&self.slot).lock_owned().await;
        blocking(move || {
            let result = passive.invalidate();
            drop(lease);
            result.map_err(|error| Failure::new(FailureKind::Disk, format!("removing the boot entry of slot {slot}: {error}")))
        })
        .await
    }

    async fn reboot(&self) -> Result<(), Failure> {
        self.services.reboot("an update of the operating system").await
    }

    async fn take_turn(&self, version: Option<&Version>) -> TurnAnswer {
        turn::take(&self.layout.turns, &self.booted.machine_id, version).await
    }

    async fn give_up_turn(&self) {
        turn::give_up(&self.layout.turns, &self.booted.machine_id).await;
    }

    async fn health(&self, plan: &HealthPlan) -> HealthReport {
        let patience = plan.deadline + HEALTH_SLACK;
        let ran = async {
            let path = self.layout.health.clone();
            blocking(move || {
                health::forget(&path).map_err(|error| Failure::new(FailureKind::Internal, format!("removing an old report: {error}")))
            })
            .await?;
            let result = self.services.start_unit(health::UNIT, patience).await?;
            health::read(&self.layout.health).map_err(|error| {
                Failure::new(FailureKind::Internal, format!("{} ended ({result}) without a report: {error}", health::UNIT))
            })
        };
        ran.await.unwrap_or_else(|failure: Failure| HealthReport {
            passed: false,
            cause: Some(presentable(&failure.text)),
            checks: Vec::new(),
        })
    }

    async fn commit(&self, slot: Slot) -> Result<(), Failure> {
        if slot != self.booted.slot {
            return Err(Failure::new(
                FailureKind::Boot,
                format!("slot {slot} is not the one this machine runs from; only that one has proved itself"),
            ));
        }
        let loader = self.layout.loader.clone();
        blocking(move || boot::commit(&loader, slot)).await?;
        self.disarm(slot).await
    }

    async fn roll_back_entry(&self, slot: Slot) -> Result<(), Failure> {
        let loader = self.layout.loader.clone();
        blocking(move || boot::commit(&loader, slot)).await
    }

    async fn logged_in_users(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .services
            .users()
            .await
            .inspect_err(|failure| tracing::warn!(%failure, "nobody knows who is logged in"))
            .map(|users| users.into_iter().map(|(name, _)| name).collect())
            .unwrap_or_default();
        names.sort();
        names.dedup();
        names
    }

    async fn warn_users(&self, text: &str) {
        let Ok(users) = self.services.users().await else { return };
        let ttys: Vec<String> = users.into_iter().map(|(_, tty)| tty).filter(|tty| !tty.is_empty()).collect();
        let (dev, text) = (self.layout.dev.clone(), text.to_owned());
        let _ = spawn_blocking(move || boot::warn_users(&dev, &ttys, &text)).await;
    }
}

#[cfg(test)]
mod tests;
