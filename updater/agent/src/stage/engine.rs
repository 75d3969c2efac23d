//! The order of steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use payload::{Full, PartName, Release};
use tokio::sync::OwnedMutexGuard;
use tokio::task::spawn_blocking;

use super::part::{self, Job};
use super::passive::Passive;
use super::{disk_failure, read_back};
use crate::daemon::host::{Failure, FailureKind};
use crate::disk::Aligned;

/// Where frames come from. What it hands over is checked; it cannot do harm, only fail.
#[allow(async_fn_in_trait, reason = "used by the daemon's one thread only")]
pub trait Frames {
    /// Starts to fetch the frames `wanted` (ascending) of a packed part whose unpacked frames have the given lengths.
    async fn begin(&mut self, full: &Full, part: &payload::Part, wanted: &[u32]) -> Result<(), Failure>;
    /// The number of the next frame; its bytes are put into `into`, whose length is the right one if the number is one of those wanted.
    async fn next(&mut self, into: &mut Aligned) -> Result<Fetched, Failure>;
    /// The last frames of this place were wrong. `Err` when there is no other place to begin with again.
    async fn distrust(&mut self, place: u32) -> Result<(), Failure>;
}

/// What [`Frames::next`] brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// A frame.
    Frame {
        /// Its number.
        number: u32,
        /// Where it came from.
        place: u32,
    },
    /// All that were asked for have come.
    End,
}

/// Raised when the future of [`stage`] is dropped, so that the threads which write stop at the next frame.
#[derive(Debug, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Exclusive use of the passive slot. It is held by every thread that writes, so that it outlives a cancelled call.
pub(super) type Lease = Arc<OwnedMutexGuard<()>>;

/// How often progress is told while a thread reads what is on the slot.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Makes the passive slot hold `release`. `progress` gets bytes in place and bytes in all.
pub async fn stage(
    mut passive: Box<dyn Passive>,
    lease: OwnedMutexGuard<()>,
    release: &Release,
    frames: &mut impl Frames,
    progress: impl Fn(u64, u64),
) -> Result<(), Failure> {
    let lease = Arc::new(lease);
    let stop = Stop::default();
    let total = release.parts.iter().map(|part| part.size).sum();
    let done = Arc::new(AtomicU64::new(0));
    let parts = [PartName::Root, PartName::Verity, PartName::Uki].map(|name| release.part(name).cloned());
    let [Some(root), Some(verity), Some(uki)] = parts else {
        return Err(Failure::new(FailureKind::Internal, "a release without all three parts was verified"));
    };
    passive = blocking(&lease, move || {
        passive.invalidate().map_err(|error| disk_failure("removing the passive slot's boot entry", &error))?;
        Ok(passive)
    })
    .await?;
    let mut media = Vec::new();
    for part in [&root, &verity, &uki] {
        let (name, bytes) = (part.name, part.size);
        let (returned, medium) = blocking(&lease, move || {
            let medium =
                passive.open(name, bytes).map_err(|error| disk_failure(&format!("opening the place of the {}", name.as_str()), &error))?;
            Ok((passive, medium))
        })
        .await?;
        passive = returned;
        if medium.capacity() < bytes {
            let text = format!("the {} has {bytes} bytes, its partition {}; the slot stays unbootable", name.as_str(), medium.capacity());
            return Err(Failure::new(FailureKind::Space, text));
        }
        let job = Job { part: Arc::new(part.clone()), lease: Arc::clone(&lease), stop: stop.flag(), done: Arc::clone(&done) };
        let told = || progress(done.load(Ordering::Relaxed).min(total), total);
        media.push(watched(part::fill(&job, medium, frames), &told).await?);
        told();
    }
    let root_hash = release.root_hash;
    let flag = stop.flag();
    blocking(&lease, move || read_back::check(media, &root, &verity, &uki, root_hash, &flag)).await?;
    blocking(&lease, move || passive.publish().map_err(|error| disk_failure("giving the boot entry its name", &error))).await
}

/// Does `work` and tells progress meanwhile.
async fn watched<T>(work: impl Future<Output = T>, told: &impl Fn()) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(PROGRESS_EVERY) => told(),
        }
    }
}

/// Runs `work`, which holds the slot's lease, on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    lease: &Lease,
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let lease = Arc::clone(lease);
    let work = move || {
        let result = work();
        drop(lease);
        result
    };
    spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Failure::new(FailureKind::Internal, format!("the writing thread ended: {error}"))))
}
