//! The part of the daemon that looks after the swarm, for ever.

use std::convert::Infallible;

use cluster_store::{Access, Machine, Report};
use tokio::time::Instant;

use crate::engine::glance::Glance;
use crate::engine::{Engine, Local, LocalState};
use crate::form::step::{Newcomer, Pace, StepError, Told};
use crate::form::{self, Step};
use crate::keeper::Action;
use crate::keeper::act::Keeper;
use crate::plan::Plan;
use crate::record::Member;
use crate::seal::Seal;
use crate::store::Store;

/// Everything that [`run`] needs.
#[derive(Debug, Clone)]
pub struct Setup {
    /// How etcd is reached.
    pub access: Access,
    /// This machine.
    pub machine: Machine,
    /// What its owner wants.
    pub plan: Plan,
    /// How tokens are kept.
    pub seal: Seal,
    /// Docker here.
    pub engine: Engine,
    /// How fast.
    pub pace: Pace,
}

/// Gets this machine into the swarm and keeps it there; on the leader, keeps the swarm whole. Never ends.
///
/// `secret` is what the machines share, if they do: tokens are sealed with it where etcd asks for no certificates.
pub async fn run(access: Access, machine: Machine, plan: Plan, secret: Option<&[u8]>, report: Report) -> Infallible {
    match Seal::choose(access.tls.is_some(), secret) {
        Ok(seal) => {
            let setup = Setup { access, machine, plan, seal, engine: Engine::default(), pace: Pace::default() };
            Box::pin(run_with(setup, report)).await
        }
        Err(error) => {
            report.say("failed", error.to_string());
            std::future::pending().await
        }
    }
}

/// As [`run`], with everything said.
pub async fn run_with(setup: Setup, report: Report) -> Infallible {
    let warning = setup.seal.warning();
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    let say = |(state, reason): Told| match warning {
        Some(warning) => report.say(state, format!("{reason} [warning: {warning}]")),
        None => report.say(state, reason),
    };
    let store = loop {
        match Store::connect(&setup.access, setup.seal.clone()).await {
            Ok(store) => break store,
            Err(error) => say(("waiting", error.to_string())),
        }
        tokio::time::sleep(setup.pace.tick).await;
    };
    let mut round = Round {
        setup: &setup,
        store,
        keeper: Keeper::default(),
        glance: Glance::default(),
        alone_since: Instant::now(),
        worker_since: None,
        last: None,
    };
    loop {
        let pause = match Box::pin(round.once()).await {
            Ok((told, pause)) => {
                say(told);
                pause
            }
            Err(error) => {
                say(("waiting", error.to_string()));
                setup.pace.tick
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// What is remembered from one look to the next.
struct Round<'a> {
    setup: &'a Setup,
    store: Store,
    keeper: Keeper,
    glance: Glance,
    alone_since: Instant,
    worker_since: Option<Instant>,
    last: Option<Action>,
}

impl Round<'_> {
    /// One look and at most one step; what to tell, and how long to wait.
    async fn once(&mut self) -> Result<(Told, std::time::Duration), StepError> {
        let pace = self.setup.pace;
        let local = self.glance.local(&self.setup.engine, pace.believe).await?;
        let stored = self.store.join().await?;
        if stored.is_some() || local.state != LocalState::Inactive {
            self.alone_since = Instant::now();
        }
        let before = self.store.member(&self.setup.machine.id).await?;
        let newcomer = self.newcomer();
        let step = form::decide(&local, stored.as_ref(), before.as_ref(), self.setup.plan.role);
        let told = match (step, &stored, &before) {
            (Step::Wait(state, reason), _, _) => return Ok(((state, reason), pace.tick)),
            (Step::Initialise, _, _) => Box::pin(newcomer.initialise()).await?,
            (Step::Publish, _, _) => Box::pin(newcomer.publish(&local)).await?,
            (Step::Join, Some(join), _) => Box::pin(newcomer.join(join)).await?,
            (Step::Leave(_), _, _) => newcomer.leave().await?,
            (Step::AskToBeRemoved, _, Some(before)) => newcomer.ask_to_be_removed(before).await?,
            (Step::Keep, _, _) => {
                let manager = self.counts_as_manager(&local, before.as_ref());
                let member = self.newcomer().member(&local, manager);
                if before.as_ref() != Some(&member) {
                    self.store.set_member(&self.setup.machine.id, &member).await?;
                }
                return Box::pin(self.keep(&local)).await;
            }
            // A step without what it was decided from cannot be; looking again is harmless.
            (Step::Join | Step::AskToBeRemoved, _, _) => ("waiting", "looking again".to_owned()),
        };
        Ok((told, pace.again))
    }

    fn newcomer(&self) -> Newcomer<'_> {
        Newcomer {
            engine: &self.setup.engine,
            store: &self.store,
            machine: &self.setup.machine,
            plan: &self.setup.plan,
            pace: self.setup.pace,
            alone_since: self.alone_since,
        }
    }

    /// A manager that has just started is a worker for some seconds; that is no demotion.
    fn counts_as_manager(&mut self, local: &Local, before: Option<&Member>) -> bool {
        if local.manager {
            self.worker_since = None;
            return true;
        }
        let since = *self.worker_since.get_or_insert_with(Instant::now);
        before.is_some_and(|member| member.manager && member.node == local.node) && since.elapsed() < self.setup.pace.settle
    }

    /// In the swarm: a manager looks after it, if it leads.
    async fn keep(&mut self, local: &Local) -> Result<(Told, std::time::Duration), StepError> {
        let pace = self.setup.pace;
        let (Some(me), true) = (&local.node, local.manager) else {
            return Ok((("worker", "runs tasks of the swarm".to_owned()), pace.tick));
        };
        let done = self.keeper.pass(&self.setup.engine, &self.store, &self.setup.plan, me).await?;
        // What had to be done twice does not get better by doing it in haste.
        let pause = if done.is_some() && done != self.last { pace.again } else { pace.tick };
        let reason = done.as_ref().map_or_else(|| "votes in the swarm".to_owned(), ToString::to_string);
        self.last = done;
        Ok((("manager", reason), pause))
    }
}
