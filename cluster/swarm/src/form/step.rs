//! Taking the steps into the swarm.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use cluster_store::Machine;
use tokio::time::Instant;

use crate::engine::{Engine, EngineError, Force, Joined, Local, LocalState};
use crate::form::role::{self, Applicant};
use crate::keys;
use crate::plan::{Plan, Wish};
use crate::record::{Join, Member, Standing};
use crate::store::{First, Store, StoreError};
use crate::view::Role;

/// How fast things go. Tests go faster.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two looks when nothing was done.
    pub tick: Duration,
    /// Between two looks when something was done.
    pub again: Duration,
    /// How long a machine that finds no swarm waits for others to tell of one, after etcd was made anew, before it starts one.
    pub hesitate: Duration,
    /// How much longer a machine waits that does not vote in etcd: those that do should become managers.
    pub defer: Duration,
    /// A machine that said it starts a swarm, and is there, may take so long before another one starts.
    pub take_over: Duration,
    /// How long a join may go on in the background before the next manager is tried.
    pub follow: Duration,
    /// How long a node that was a manager may take to be one again before it counts as demoted.
    pub settle: Duration,
    /// How long what Docker says at length is believed while what it says in short stays the same.
    pub believe: Duration,
    /// How long the leader may take to give tasks to a node again.
    pub acknowledge: Duration,
    /// How long the leader may take until a node is drained; longer than [`crate::view::ALONE_PATIENCE`].
    pub part: Duration,
    /// How long tasks may take to end when the node is drained.
    pub drain: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            tick: seconds(5),
            again: Duration::from_millis(500),
            hesitate: seconds(10),
            defer: seconds(120),
            take_over: seconds(300),
            follow: seconds(60),
            settle: seconds(60),
            believe: seconds(60),
            acknowledge: seconds(60),
            part: seconds(300),
            drain: seconds(300),
        }
    }
}

/// Why a step was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// etcd.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Docker.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No manager lets this machine in.
    #[error("no manager lets this machine in: {0}")]
    Shut(String),
}

/// What a person is told: a word for the state, and a reason.
pub type Told = (&'static str, String);

/// A machine on its way into the swarm.
#[derive(Debug)]
pub struct Newcomer<'a> {
    /// Docker here.
    pub engine: &'a Engine,
    /// etcd.
    pub store: &'a Store,
    /// This machine.
    pub machine: &'a Machine,
    /// What its owner wants.
    pub plan: &'a Plan,
    /// How fast.
    pub pace: Pace,
    /// Since when there is no swarm to be seen.
    pub alone_since: Instant,
}

impl Newcomer<'_> {
    /// Where other nodes reach this one.
    fn address(&self) -> IpAddr {
        self.plan.address.unwrap_or(self.machine.address)
    }

    /// What this machine says about itself.
    #[must_use]
    pub fn member(&self, local: &Local, manager: bool) -> Member {
        Member {
            node: local.node.clone(),
            cluster: local.cluster.clone(),
            manager,
            wish: self.plan.role,
            labels: self.plan.labels.clone(),
            standing: Standing::In,
            address: self.address(),
        }
    }

    /// Starts a swarm, if nobody else has one or is about to.
    ///
    /// # Errors
    /// Docker or etcd do not do their part. Nothing is lost: the next call looks at what there is.
    pub async fn initialise(&self) -> Result<Told, StepError> {
        let machines = self.store.machines().await?;
        let waited = self.alone_since.elapsed();
        let before = self.store.initialiser().await?;
        if let Some(told) = self.reason_to_wait(&machines, before.as_deref(), waited).await? {
            return Ok(told);
        }
        let Some(lock) = self.store.lock_init(&self.machine.id, before.as_deref()).await? else {
            return Ok(("waiting", "another machine starts the swarm".to_owned()));
        };
        let done = self.start().await;
        if done.is_err() && self.engine.local().await.is_ok_and(|local| local.state == LocalState::Inactive) {
            // We have no swarm, so nobody has to wait for us.
            self.store.forget_initialiser(&self.machine.id).await?;
        }
        lock.release().await;
        done
    }

    /// Why this machine does not start a swarm now; `before` is who was about to start one last.
    async fn reason_to_wait(
        &self,
        machines: &BTreeMap<String, Machine>,
        before: Option<&str>,
        waited: Duration,
    ) -> Result<Option<Told>, StepError> {
        let waiting = |reason: String| Ok(Some(("waiting", reason)));
        if waited < self.pace.hesitate {
            return waiting("looking whether another machine is in a swarm".to_owned());
        }
        let members = self.store.members().await?;
        let mut others = members.iter().filter(|(machine, _)| **machine != self.machine.id && machines.contains_key(*machine));
        if let Some((machine, _)) = others.find(|(_, member)| member.cluster.is_some()) {
            return waiting(format!("machine {machine} is in a swarm; waiting until it writes it into etcd"));
        }
        let initialiser = before.filter(|machine| *machine != self.machine.id && machines.contains_key(*machine));
        if let Some(machine) = initialiser.filter(|_| waited < self.pace.take_over) {
            return waiting(format!("machine {machine} starts the swarm"));
        }
        let voters = self.store.voters(machines).await?;
        let defers = self.plan.role == Wish::Auto && !voters.contains(&self.machine.id) && waited < self.pace.hesitate + self.pace.defer;
        if defers {
            return waiting("a machine that votes in etcd should start the swarm".to_owned());
        }
        Ok(None)
    }

    /// With the lock: a swarm, and then etcd knows it.
    async fn start(&self) -> Result<Told, StepError> {
        self.engine.init(self.address()).await?;
        let swarm = self.engine.swarm().await?;
        let managers = vec![std::net::SocketAddr::new(self.address(), 2377).to_string()];
        let join = Join { cluster: swarm.cluster.clone(), managers };
        if self.store.publish(&join, &swarm, First::Yes).await? {
            let local = self.engine.local().await?;
            self.store.set_member(&self.machine.id, &self.member(&local, true)).await?;
            return Ok(("manager", format!("started swarm {}", swarm.cluster)));
        }
        // Our lock ran out meanwhile and somebody was faster; ours is seconds old and holds nothing.
        self.engine.leave(Force::Yes).await?;
        Ok(("waiting", "another machine was faster in starting the swarm; joining that one".to_owned()))
    }

    /// Writes the swarm that this manager is in into etcd, where none is.
    ///
    /// # Errors
    /// Docker or etcd do not do their part.
    pub async fn publish(&self, local: &Local) -> Result<Told, StepError> {
        let swarm = self.engine.swarm().await?;
        let nodes = self.engine.nodes().await?;
        let votes = nodes.iter().filter_map(|node| node.vote.as_ref()).filter(|vote| vote.reachable);
        let join = Join { cluster: swarm.cluster.clone(), managers: votes.map(|vote| vote.address.clone()).collect() };
        self.store.publish(&join, &swarm, First::Yes).await?;
        self.store.set_member(&self.machine.id, &self.member(local, true)).await?;
        Ok(("manager", format!("wrote swarm {} into etcd", swarm.cluster)))
    }

    /// Joins the swarm that etcd knows.
    ///
    /// # Errors
    /// Docker or etcd do not do their part, or no manager lets this machine in.
    pub async fn join(&self, join: &Join) -> Result<Told, StepError> {
        let Some(lock) = self.store.lock_joining(&self.machine.id).await? else {
            return Ok(("waiting", "another machine finds out its role".to_owned()));
        };
        let role = match self.take_role().await {
            Ok(role) => role,
            Err(error) => {
                lock.release().await;
                return Err(error);
            }
        };
        if role == Role::Worker {
            // Workers take nobody's seat.
            lock.release().await;
            return self.join_as(role, join).await;
        }
        let joined = self.join_as(role, join).await;
        lock.release().await;
        joined
    }

    /// Finds out the role, and takes the seat before the lock goes.
    async fn take_role(&self) -> Result<Role, StepError> {
        let machines = self.store.machines().await?;
        let members = self.store.members().await?;
        let voters = self.store.voters(&machines).await?;
        let present: BTreeSet<String> = machines.into_keys().collect();
        let applicant = Applicant {
            machine: &self.machine.id,
            wish: self.plan.role,
            managers: self.plan.managers,
            present: &present,
            members: &members,
            voters: &voters,
        };
        let role = role::role(&applicant);
        let outside = Local { state: LocalState::Inactive, node: None, manager: false, cluster: None, error: String::new() };
        self.store.set_member(&self.machine.id, &self.member(&outside, role == Role::Manager)).await?;
        Ok(role)
    }

    async fn join_as(&self, role: Role, join: &Join) -> Result<Told, StepError> {
        let (word, key) = match role {
            Role::Manager => ("manager", keys::MANAGER_TOKEN),
            Role::Worker => ("worker", keys::WORKER_TOKEN),
        };
        let token = self.store.token(key).await?;
        let mut refusals = Vec::new();
        for manager in &join.managers {
            match self.join_through(manager, &token).await {
                Ok(local) => {
                    self.store.set_member(&self.machine.id, &self.member(&local, role == Role::Manager)).await?;
                    return Ok((word, format!("joined swarm {} as {word} through {manager}", join.cluster)));
                }
                Err(error) => refusals.push(format!("{manager}: {error}")),
            }
        }
        Err(StepError::Shut(refusals.join("; ")))
    }

    /// Joins through one manager, and gives up cleanly, so that another can be tried.
    async fn join_through(&self, manager: &str, token: &str) -> Result<Local, StepError> {
        let result = match self.engine.join(self.address(), manager, token).await {
            Ok(Joined::Now | Joined::GoesOn) => self.follow().await,
            Err(error) => Err(error.into()),
        };
        let Err(error) = result else { return result };
        let local = self.engine.local().await?;
        match local.state {
            // Only the answer was lost.
            LocalState::Active => return Ok(local),
            LocalState::Inactive => {}
            // Docker remembers a join that failed, and refuses another one until it is told to forget it.
            _ => self.engine.leave(Force::Yes).await?,
        }
        Err(error)
    }

    /// Waits until the node is in, or until it is clear that it will not be.
    async fn follow(&self) -> Result<Local, StepError> {
        let begun = Instant::now();
        loop {
            let local = self.engine.local().await?;
            match local.state {
                LocalState::Active => return Ok(local),
                LocalState::Pending if begun.elapsed() < self.pace.follow => tokio::time::sleep(self.pace.again).await,
                LocalState::Pending => return Err(StepError::Shut(format!("no answer within {} s", self.pace.follow.as_secs()))),
                _ => return Err(StepError::Shut(local.error)),
            }
        }
    }

    /// Forgets a swarm that this machine cannot get back into.
    ///
    /// # Errors
    /// Docker or etcd do not do their part.
    pub async fn leave(&self) -> Result<Told, StepError> {
        self.engine.leave(Force::Yes).await?;
        Ok(("waiting", "forgot the swarm that it cannot get back into; joining again".to_owned()))
    }

    /// Asks the others to remove this machine's node.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn ask_to_be_removed(&self, before: &Member) -> Result<Told, StepError> {
        let member = Member { standing: Standing::LockedOut, ..before.clone() };
        self.store.set_member(&self.machine.id, &member).await?;
        Ok(("waiting", "asked the other managers to remove this machine's node, which cannot come back".to_owned()))
    }
}
