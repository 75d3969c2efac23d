//! A host that does what a test says.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use payload::Version;

use super::time::Virtual;
use crate::daemon::host::{
    Access, Booted, CheckAnswer, CheckReport, Failure, HealthPlan, HealthReport, Host, Identity, Offer, Refusal, Report, Slot, TurnAnswer,
    VerifiedRelease, Wanted,
};
use crate::machine::test_support::{booted, healthy, offer, release};

/// What the host is told to do, and what it was asked.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) booted: Booted,
    pub(super) offer: RefCell<Option<String>>,
    pub(super) health: RefCell<HealthReport>,
    pub(super) stage_takes: Cell<Duration>,
    pub(super) users: RefCell<Vec<String>>,
    pub(super) metadata: RefCell<Result<Option<jiff::Timestamp>, Refusal>>,
    /// What `cluster-agent` answers; afterwards it says yes.
    pub(super) turns: RefCell<VecDeque<TurnAnswer>>,
    pub(super) calls: RefCell<Vec<String>>,
    /// When the server was asked.
    pub(super) checks: RefCell<Vec<Duration>>,
    pub(super) time: Rc<Virtual>,
}

impl Script {
    pub(super) fn new(slot: Slot, boot: u32, running: &str) -> Self {
        Self {
            booted: booted(slot, boot, running),
            offer: RefCell::default(),
            health: RefCell::new(healthy()),
            stage_takes: Cell::new(Duration::from_secs(100)),
            users: RefCell::default(),
            metadata: RefCell::new(Ok(Some(crate::machine::test_support::EXPIRES.parse().unwrap()))),
            turns: RefCell::default(),
            calls: RefCell::default(),
            checks: RefCell::default(),
            time: Rc::default(),
        }
    }

    fn note(&self, call: impl Into<String>) {
        self.calls.borrow_mut().push(call.into());
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.borrow().clone()
    }
}

impl Host for Script {
    fn booted(&self) -> Booted {
        self.booted.clone()
    }

    async fn check(&self, access: &Access, report: CheckReport) -> Result<CheckAnswer, Failure> {
        self.checks.borrow_mut().push(self.time.elapsed());
        self.note(format!("check {} first={} on-demand={}", access.server, report.first, report.on_demand));
        Ok(match &*self.offer.borrow() {
            Some(version) => CheckAnswer::Update(offer(version)),
            None => CheckAnswer::NoUpdate { info: None, poll_interval: None },
        })
    }

    async fn ping(&self, _access: &Access, _identity: Identity) -> Result<(), Failure> {
        self.note("ping");
        Ok(())
    }

    async fn report(&self, _access: &Access, report: Report) -> Result<(), Failure> {
        self.note(format!("report {}/{}", report.event.kind, report.event.result));
        Ok(())
    }

    async fn verify(&self, _access: &Access, offer: &Offer, wanted: &Wanted) -> Result<VerifiedRelease, Refusal> {
        self.note(format!("verify {} {}", offer.version, wanted.arch));
        Ok(release(&offer.version.to_string()))
    }

    async fn refresh(&self, _access: &Access) -> Result<Option<jiff::Timestamp>, Refusal> {
        self.note("refresh");
        self.metadata.borrow().clone()
    }

    async fn stage(&self, _access: &Access, release: &VerifiedRelease, slot: Slot, progress: impl Fn(u64, u64)) -> Result<(), Failure> {
        self.note(format!("stage {} in {slot}", release.release.version));
        for part in 1..=10 {
            self.time.sleep(self.stage_takes.get() / 10).await;
            progress(part * 30, 300);
        }
        self.note("staged");
        Ok(())
    }

    async fn bootable(&self, slot: Slot) -> Result<bool, Failure> {
        self.note(format!("bootable {slot}"));
        Ok(true)
    }

    async fn flip(&self, slot: Slot) -> Result<(), Failure> {
        self.note(format!("flip {slot}"));
        Ok(())
    }

    async fn unflip(&self) -> Result<(), Failure> {
        self.note("unflip");
        Ok(())
    }

    async fn discard(&self, slot: Slot) -> Result<(), Failure> {
        self.note(format!("discard {slot}"));
        Ok(())
    }

    async fn reboot(&self) -> Result<(), Failure> {
        self.note("reboot");
        Ok(())
    }

    async fn take_turn(&self, _version: Option<&Version>) -> TurnAnswer {
        self.note("take turn");
        self.turns.borrow_mut().pop_front().unwrap_or(TurnAnswer::Granted)
    }

    async fn give_up_turn(&self) {
        self.note("give up turn");
        self.time.sleep(Duration::from_secs(1)).await;
        self.note("turn given up");
    }

    async fn health(&self, plan: &HealthPlan) -> HealthReport {
        self.note(format!("health within {} s", plan.deadline.as_secs()));
        self.health.borrow().clone()
    }

    async fn commit(&self, slot: Slot) -> Result<(), Failure> {
        self.note(format!("commit {slot}"));
        Ok(())
    }

    async fn roll_back_entry(&self, slot: Slot) -> Result<(), Failure> {
        self.note(format!("default {slot}"));
        Ok(())
    }

    async fn logged_in_users(&self) -> Vec<String> {
        self.users.borrow().clone()
    }

    async fn warn_users(&self, _text: &str) {
        self.note("warn users");
    }
}
