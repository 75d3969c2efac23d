//! From an effect to the future that does it.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::watch;

use super::host::{CheckReport, Failure, FailureKind, Host, Report, Wanted};
use crate::machine::{Input, Machine, Work};

/// Something that is being done; its result is an input for the machine.
pub(super) type Job<'h> = Pin<Box<dyn Future<Output = Input> + 'h>>;

/// Begins `work`. Everything it needs from the machine is copied: the machine goes on meanwhile.
pub(super) fn begin<'h, H: Host>(host: &'h H, machine: &Machine, work: Work, progress: watch::Sender<(u64, u64)>) -> Job<'h> {
    let access = machine.settings().access.clone();
    match work {
        Work::Check(purpose) => {
            let report = CheckReport {
                identity: machine.identity(),
                first: machine.first_check(),
                on_demand: purpose.operation.is_some(),
                pin: machine.settings().pin.clone(),
            };
            Box::pin(async move { Input::Checked(host.check(&access, report).await) })
        }
        Work::Refresh => Box::pin(async move { Input::Refreshed(host.refresh(&access).await) }),
        Work::Verify(offer) => {
            let identity = machine.identity();
            let wanted = Wanted { app_id: identity.app_id, arch: identity.arch };
            Box::pin(async move { Input::Verified(Box::new(host.verify(&access, &offer, &wanted).await)) })
        }
        Work::Stage { release, slot } => Box::pin(async move {
            let tell = |done, total| {
                progress.send_replace((done, total));
            };
            Input::Staged(host.stage(&access, &release, slot, tell).await)
        }),
        Work::Probe(slot) => Box::pin(async move { Input::Probed(host.bootable(slot).await) }),
        Work::Flip(slot) => Box::pin(async move { Input::Flipped(host.flip(slot).await) }),
        Work::Discard(slot) => Box::pin(async move {
            // The boot entry goes in any case: without it a flip that stayed leads nowhere but back.
            let unflipped = host.unflip().await;
            let discarded = host.discard(slot).await;
            Input::Discarded(unflipped.and(discarded))
        }),
        Work::TakeTurn(version) => Box::pin(async move { Input::Turn(host.take_turn(version.as_ref()).await) }),
        Work::Reboot => Box::pin(async move { Input::Rebooting(host.reboot().await) }),
        Work::Health => {
            let plan = machine.settings().health.clone();
            Box::pin(async move { Input::Healthy(host.health(&plan).await) })
        }
        Work::Commit(slot) => Box::pin(async move { Input::Committed(host.commit(slot).await) }),
        Work::RestoreDefault(slot) => Box::pin(async move { Input::DefaultRestored(host.roll_back_entry(slot).await) }),
    }
}

/// The result of `work` that must not begin because the state could not be written before it; `None` for work that only leads back to
/// safety and begins all the same.
pub(crate) fn not_begun(work: &Work, reason: &str) -> Option<Input> {
    let failure = || Failure::new(FailureKind::Disk, format!("the state could not be written, so nothing was begun: {reason}"));
    match work {
        Work::Stage { .. } => Some(Input::Staged(Err(failure()))),
        Work::Flip(_) => Some(Input::Flipped(Err(failure()))),
        Work::Commit(_) => Some(Input::Committed(Err(failure()))),
        _ => None,
    }
}

/// Begins to tell the server that the machine is there.
pub(super) fn ping<'h, H: Host>(host: &'h H, machine: &Machine) -> Job<'h> {
    let (access, identity) = (machine.settings().access.clone(), machine.identity());
    Box::pin(async move { Input::Pinged(host.ping(&access, identity).await) })
}

/// Begins to send an event.
pub(super) fn report<'h, H: Host>(host: &'h H, machine: &Machine, event: super::host::Event) -> Job<'h> {
    let access = machine.settings().access.clone();
    let number = event.number;
    let report = Report { identity: machine.identity(), event };
    Box::pin(async move { Input::Reported { number, result: host.report(&access, report).await } })
}
