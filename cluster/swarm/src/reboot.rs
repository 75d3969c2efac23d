//! This machine's node around a reboot: may it go, take its tasks away, give them back, is it well again.

use std::fmt;

use cluster_store::Access;
use tokio::time::Instant;

use crate::engine::{Engine, LocalState};
use crate::form::step::{Pace, StepError};
use crate::keeper::managers::{Votes, quorum};
use crate::record::Leave;
use crate::seal::Seal;
use crate::store::Store;
use crate::view::{self, NodeId, State};

/// Managers of which one is always too many to lose: two survive no failure, and one is alone.
const TOO_FEW_TO_SPARE: usize = 2;

/// Why not, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Reason {}

impl From<StepError> for Reason {
    fn from(error: StepError) -> Self {
        Self(error.to_string())
    }
}

impl From<crate::store::StoreError> for Reason {
    fn from(error: crate::store::StoreError) -> Self {
        Self(error.to_string())
    }
}

impl From<crate::engine::EngineError> for Reason {
    fn from(error: crate::engine::EngineError) -> Self {
        Self(error.to_string())
    }
}

/// This machine's node. Each call connects anew and may be repeated.
#[derive(Debug, Clone)]
pub struct Node {
    access: Access,
    machine: String,
    engine: Engine,
    pace: Pace,
}

impl Node {
    /// The node of the machine with this id, which reaches etcd so.
    #[must_use]
    pub fn new(access: Access, machine: impl Into<String>) -> Self {
        Self::with(access, machine, Engine::default(), Pace::default())
    }

    /// As [`Self::new`], with everything said.
    #[must_use]
    pub fn with(access: Access, machine: impl Into<String>, engine: Engine, pace: Pace) -> Self {
        Self { access, machine: machine.into(), engine, pace }
    }

    async fn store(&self) -> Result<Store, Reason> {
        // No token is read or written here.
        Ok(Store::connect(&self.access, Seal::Open).await?)
    }

    /// Whether the managers keep their majority while this machine is away. See [`may_leave`].
    ///
    /// # Errors
    /// They would not, or Docker does not answer.
    pub async fn quorum_after_leaving(&self) -> Result<(), Reason> {
        let local = self.engine.local().await?;
        match (local.state, local.manager, &local.node) {
            (LocalState::Active, true, Some(me)) => may_leave(&self.engine.nodes().await?, me),
            _ => Ok(()),
        }
    }

    /// Asks the leader for no new tasks, and waits until none runs here. A machine in no swarm has nothing to drain.
    ///
    /// # Errors
    /// The leader does not answer in time, or tasks still run at the end of it. The node stays drained until [`Self::undrain`].
    pub async fn drain(&self) -> Result<(), Reason> {
        let local = self.engine.local().await?;
        let (LocalState::Active, Some(node)) = (local.state, local.node) else { return Ok(()) };
        let store = self.store().await?;
        self.ask(&store, &node, Leave::Asked).await?;
        let begun = Instant::now();
        loop {
            match self.engine.tasks_here().await? {
                0 => return Ok(()),
                left if begun.elapsed() >= self.pace.drain => {
                    return Err(Reason(format!("{left} tasks still run here {} s after the node was drained", self.pace.drain.as_secs())));
                }
                _ => tokio::time::sleep(self.pace.again).await,
            }
        }
    }

    /// Gives tasks to this node again, if [`Self::drain`] has taken them away. A person's drain stays.
    ///
    /// # Errors
    /// The leader does not answer in time; it does it later.
    pub async fn undrain(&self) -> Result<(), Reason> {
        let store = self.store().await?;
        let Some(node) = self.node(&store).await? else { return Ok(()) };
        if store.leave(&node).await?.is_none() {
            return Ok(());
        }
        self.ask(&store, &node, Leave::Back).await
    }

    /// Writes the wish, and waits until the leader has seen to it.
    async fn ask(&self, store: &Store, node: &NodeId, wish: Leave) -> Result<(), Reason> {
        let patience = if wish == Leave::Asked { self.pace.part } else { self.pace.acknowledge };
        let begun = Instant::now();
        loop {
            let now = store.leave(node).await?;
            match (wish, now) {
                (Leave::Asked, Some(Leave::Drained)) | (Leave::Back, None) => return Ok(()),
                (wish, now) if now != Some(wish) => drop(store.set_leave(node, now, Some(wish)).await?),
                _ => {}
            }
            if begun.elapsed() >= patience {
                return Err(Reason(format!(
                    "the swarm's leader has not seen to node {node} for {} s; is cluster-agent running there?",
                    patience.as_secs()
                )));
            }
            tokio::time::sleep(self.pace.again).await;
        }
    }

    /// Our node: as Docker says, or while it starts, as was written down before.
    async fn node(&self, store: &Store) -> Result<Option<NodeId>, Reason> {
        let local = self.engine.local().await?;
        match (local.state, local.node) {
            (LocalState::Inactive, _) => Ok(None),
            (_, Some(node)) => Ok(Some(node)),
            (_, None) => Ok(store.member(&self.machine).await?.and_then(|member| member.node)),
        }
    }

    /// Whether this machine is back: in the swarm, taking tasks unless a person says otherwise, a manager again if it was one.
    ///
    /// # Errors
    /// What is missing.
    pub async fn settled(&self) -> Result<(), Reason> {
        let local = self.engine.local().await?;
        let (LocalState::Active, Some(me)) = (local.state, &local.node) else {
            let error = if local.error.is_empty() { "Docker is not in the swarm yet" } else { &local.error };
            return Err(Reason(error.to_owned()));
        };
        let store = self.store().await?;
        if store.leave(me).await?.is_some() {
            return Err(Reason(format!("node {me} does not get tasks yet")));
        }
        if !local.manager {
            let was = store.member(&self.machine).await?.is_some_and(|member| member.manager);
            return if was { Err(Reason(format!("node {me} is not a manager again yet"))) } else { Ok(()) };
        }
        let nodes = self.engine.nodes().await?;
        let node = nodes.iter().find(|node| node.id == *me).ok_or_else(|| Reason(format!("the swarm does not know node {me}")))?;
        match &node.vote {
            _ if node.state != State::Ready => Err(Reason(format!("node {me} is not ready"))),
            Some(vote) if !vote.reachable => Err(Reason(format!("the leader does not reach manager {me}"))),
            _ => Ok(()),
        }
    }
}

/// Whether the managers keep their majority without `me`.
///
/// One manager alone, and each of two, cannot be spared ever; refusing would mean that such a machine is never updated. While
/// all of them answer, it may go: nothing is decided until it is back, and what runs goes on.
///
/// # Errors
/// Why not.
pub fn may_leave(nodes: &[view::Node], me: &NodeId) -> Result<(), Reason> {
    let votes = Votes::of(nodes);
    let Some(mine) = nodes.iter().find(|node| node.id == *me).and_then(|node| node.vote.as_ref()) else { return Ok(()) };
    if let Some(changing) = nodes.iter().find(|node| node.is_changing()) {
        return Err(Reason(format!("the role of node {} changes just now", changing.id)));
    }
    let others = votes.reachable.saturating_sub(usize::from(mine.reachable));
    if others >= quorum(votes.total) || (votes.total <= TOO_FEW_TO_SPARE && votes.all_there()) {
        return Ok(());
    }
    Err(Reason(format!(
        "{others} of the swarm's {} managers would be left, and {} are needed; see `docker node ls`",
        votes.total,
        quorum(votes.total)
    )))
}
