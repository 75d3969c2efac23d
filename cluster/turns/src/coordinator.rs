//! The order of things before a reboot and after it.
//!
//! Before: remember what runs, take the lock, look at the quorums with the lock in hand, hand over etcd's leadership, drain, say yes. Whatever
//! fails undoes what came before it. After: wait until the machine is as steady as it was, give it work again, give the lock back last.
//! A turn that no reboot followed is given back too.

use std::future::Future;
use std::time::Duration;

use tokio::sync::{Mutex, Notify};

use crate::memory::Turn;
use crate::{Kind, Reason, Refusal};

/// A machine that was told yes and has not rebooted by now will not: whoever asked gave up, or is gone. Longer than a slow shutdown; who
/// still wants to reboot asks again.
pub(crate) const GRANT_GOOD_FOR: Duration = Duration::from_secs(20 * 60);

/// Everything the coordinator needs of the machine and the cluster. Every call may be repeated.
pub(crate) trait World: Send + Sync + 'static {
    /// Says that this machine leaves, before anybody is asked whether it may.
    fn say_leaving(&self) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Whether etcd and Swarm keep their quorums while this machine is away.
    fn may_leave(&self) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Takes the lock.
    fn take(&self) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Gives back the lock, and does not leave any more.
    fn release(&self) -> impl Future<Output = Result<(), Reason>> + Send;
    /// Renews the lease of the lock; whether this machine holds it, or must be taken to.
    fn extend(&self) -> impl Future<Output = Result<bool, Reason>> + Send;
    /// Hands over etcd's leadership.
    fn hand_over(&self) -> impl Future<Output = Result<(), Reason>> + Send;
    /// See [`crate::Drain::drain`].
    fn drain(&self) -> impl Future<Output = Result<(), Reason>> + Send;
    /// See [`crate::Drain::undrain`].
    fn undrain(&self) -> impl Future<Output = Result<(), Reason>> + Send;
    /// See [`crate::Drain::settled`].
    fn settled(&self) -> impl Future<Output = Result<(), Reason>> + Send;
    /// Units that have to run again after the reboot.
    fn units(&self) -> impl Future<Output = Result<Vec<String>, Reason>> + Send;
    /// What keeps this machine from being steady, given the units that ran before.
    fn unsteady(&self, units: &[String]) -> impl Future<Output = Vec<String>> + Send;
    /// Refuses a release that failed on another machine.
    fn not_failed(&self, release: &str) -> impl Future<Output = Result<(), Refusal>> + Send;
    /// Tells the other machines that the release failed here, if it did.
    fn tell_if_failed(&self, release: &str) -> impl Future<Output = Result<(), Reason>> + Send;
    /// Tells the other machines why this one waits, or that it does not.
    fn announce(&self, why: Option<&Reason>) -> impl Future<Output = ()> + Send;
    /// Remembers a turn, or that there is none.
    fn remember(&self, turn: Option<&Turn>) -> Result<(), Reason>;
    /// Time since the daemon started; never goes back.
    fn clock(&self) -> Duration;
    /// Tells the daemon where this part is.
    fn report(&self, state: &'static str, reason: &str);
}

/// What has to be done with the turn there is, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Todo {
    /// There is none.
    Nothing,
    /// A reboot may come at any moment.
    AwaitReboot,
    /// No reboot will come: give it back.
    GiveUp,
    /// The reboot is behind us: give it back once the machine is steady.
    Settle,
}

/// What has to be done. `held` is whether the lock is ours, as far as anybody knows; `granted_for` is how long ago we said yes.
pub(crate) fn decide(turn: Option<&Turn>, boot_id: &str, held: bool, granted_for: Duration) -> Todo {
    match turn {
        Some(turn) if turn.boot_id != boot_id => Todo::Settle,
        Some(turn) if turn.granted && granted_for < GRANT_GOOD_FOR => Todo::AwaitReboot,
        Some(_) => Todo::GiveUp,
        // A lock that this machine holds and knows nothing of: it may have been reinstalled meanwhile.
        None if held => Todo::Settle,
        None => Todo::Nothing,
    }
}

/// The turn of this machine, and what is done about it, one thing at a time.
pub(crate) struct Coordinator<W> {
    pub(crate) world: W,
    boot_id: String,
    now: Mutex<Now>,
    /// Something happened that has to be looked after.
    pub(crate) asked: Notify,
}

struct Now {
    turn: Option<Turn>,
    /// When we last said yes, on [`World::clock`]; after a restart of the daemon, when it started.
    granted: Duration,
}

impl<W: World> Coordinator<W> {
    /// Goes on with the turn that was remembered.
    pub(crate) fn new(world: W, boot_id: &str, turn: Option<Turn>) -> Self {
        let granted = world.clock();
        Self { world, boot_id: boot_id.to_owned(), now: Mutex::new(Now { turn, granted }), asked: Notify::new() }
    }

    /// "May this machine reboot?" `release` is what it reboots into, where that is known.
    pub(crate) async fn pre_reboot(&self, release: Option<&str>) -> Result<(), Refusal> {
        let mut now = self.now.lock().await;
        let result = self.prepare(&mut now, release).await;
        match &result {
            Ok(()) => {
                self.world.announce(None).await;
                self.world.report("leaving", "this machine has its turn and is about to reboot");
            }
            Err(refusal) => {
                // Also the turn of an earlier yes: a no is a no.
                if now.turn.as_ref().is_some_and(|turn| turn.boot_id == self.boot_id)
                    && let Err(reason) = self.give_up(&mut now).await
                {
                    tracing::warn!(%reason, "the turn is given back later");
                }
                self.world.announce(Some(&refusal.reason)).await;
                self.world.report("waiting", &format!("this machine wants to reboot: {refusal}"));
            }
        }
        self.asked.notify_one();
        result
    }

    async fn prepare(&self, now: &mut Now, release: Option<&str>) -> Result<(), Refusal> {
        // Cheap, and before anything changes.
        self.world.may_leave().await?;
        let not_ready = |reason: Reason| Refusal::new(Kind::NotReady, reason);
        let before = now.turn.clone();
        let units = self.world.units().await.map_err(not_ready)?;
        let mut turn = Turn { boot_id: self.boot_id.clone(), granted: false, units, release: release.map(str::to_owned) };
        if let Some(before) = &before {
            // What was missing already has to come back all the same.
            turn.units.extend(before.units.iter().filter(|unit| !turn.units.contains(unit)).cloned().collect::<Vec<_>>());
        }
        self.world.remember(Some(&turn)).map_err(not_ready)?;
        now.turn = Some(turn.clone());
        match self.leave(&turn).await {
            Ok(()) => {
                now.turn = Some(Turn { granted: true, ..turn });
                now.granted = self.world.clock();
                Ok(())
            }
            Err(refusal) => {
                // The reboot before may not be over: its turn is not given back before the machine is steady.
                if let Some(before) = before.filter(|before| before.boot_id != self.boot_id) {
                    self.world.remember(Some(&before)).map_err(not_ready)?;
                    now.turn = Some(before);
                }
                Err(refusal)
            }
        }
    }

    async fn leave(&self, turn: &Turn) -> Result<(), Refusal> {
        let not_ready = |reason: Reason| Refusal::new(Kind::NotReady, reason);
        self.world.take().await?;
        // With the lock in hand: who had it before told everybody how its release did.
        if let Some(release) = &turn.release {
            self.world.not_failed(release).await?;
        }
        self.world.say_leaving().await?;
        self.world.may_leave().await?;
        self.world.hand_over().await.map_err(not_ready)?;
        self.world.drain().await.map_err(not_ready)?;
        // The last word: a daemon that starts now knows that there may be a reboot.
        self.world.remember(Some(&Turn { granted: true, ..turn.clone() })).map_err(not_ready)
    }

    /// "I am back, or I will not reboot."
    pub(crate) async fn steady_state(&self) -> Result<(), Refusal> {
        let mut now = self.now.lock().await;
        let done = match &now.turn {
            Some(turn) if turn.boot_id != self.boot_id => self.settle(&mut now).await,
            _ => {
                self.world.announce(None).await;
                self.give_up(&mut now).await
            }
        };
        self.asked.notify_one();
        done.map_err(|reason| Refusal::new(Kind::NotSteady, reason))
    }

    /// Looks after the turn now and then. Whether there is one.
    pub(crate) async fn look_after(&self) -> bool {
        let mut now = self.now.lock().await;
        let held = self.world.extend().await;
        let granted_for = self.world.clock().saturating_sub(now.granted);
        let todo = decide(now.turn.as_ref(), &self.boot_id, *held.as_ref().unwrap_or(&false), granted_for);
        let done = match (todo, held) {
            (Todo::Nothing, Ok(_)) => {
                self.world.report("idle", "no reboot is wanted");
                return false;
            }
            (Todo::Nothing, Err(reason)) => {
                self.world.report("unknown", &reason.to_string());
                return true;
            }
            (Todo::AwaitReboot, _) => return true,
            (Todo::GiveUp, _) => self.give_up(&mut now).await,
            (Todo::Settle, _) => self.settle(&mut now).await,
        };
        match done {
            Ok(()) => {
                self.world.report("idle", "the turn was given back");
                false
            }
            Err(reason) => {
                self.world.report("settling", &format!("the reboot lock is kept until the machine is steady: {reason}"));
                true
            }
        }
    }

    /// Ends a turn that no reboot followed.
    async fn give_up(&self, now: &mut Now) -> Result<(), Reason> {
        if let Some(turn) = &mut now.turn
            && turn.granted
        {
            // Not a yes any more, whatever comes next.
            turn.granted = false;
            self.world.remember(Some(turn))?;
        }
        self.world.undrain().await.map_err(|reason| reason.during("giving this machine work again"))?;
        self.end(now).await
    }

    /// Ends the turn of a reboot that is over, once the machine is steady.
    async fn settle(&self, now: &mut Now) -> Result<(), Reason> {
        let (units, release) = now.turn.as_ref().map(|turn| (turn.units.clone(), turn.release.clone())).unwrap_or_default();
        let missing = self.world.unsteady(&units).await;
        if !missing.is_empty() {
            return Err(Reason::new(missing.join("; ")));
        }
        if let Some(release) = &release {
            self.world.tell_if_failed(release).await.map_err(|reason| reason.during("telling the others how the release did"))?;
        }
        self.world.undrain().await.map_err(|reason| reason.during("giving this machine work again"))?;
        self.world.settled().await?;
        self.end(now).await
    }

    async fn end(&self, now: &mut Now) -> Result<(), Reason> {
        self.world.release().await.map_err(|reason| reason.during("giving back the lock"))?;
        self.world.remember(None)?;
        now.turn = None;
        Ok(())
    }
}

#[cfg(test)]
#[path = "coordinator_tests.rs"]
pub(crate) mod tests;
