//! Looking at the swarm, and doing what was decided.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::engine::Engine;
use crate::form::step::StepError;
use crate::keeper::{Action, decide};
use crate::labels;
use crate::plan::Plan;
use crate::record::Leave;
use crate::seal::SealError;
use crate::store::{First, Store, StoreError};
use crate::view::{Availability, Node, NodeId, Observed, Role, State};
use crate::{engine, keys};

/// What `slipway.drained` says.
const REBOOT: &str = "reboot";

/// What the leader remembers between two looks.
#[derive(Debug, Default)]
pub struct Keeper {
    /// Since when nodes are down, as far as this machine has seen; a new leader counts from the beginning.
    down_since: BTreeMap<NodeId, Instant>,
}

impl Keeper {
    /// Looks, and does one thing if there is something to do. Nothing on a node that does not lead.
    ///
    /// # Errors
    /// Docker or etcd do not do their part; the next call looks again.
    pub async fn pass(&mut self, engine: &Engine, store: &Store, plan: &Plan, me: &NodeId) -> Result<Option<Action>, StepError> {
        let nodes = engine.nodes().await?;
        self.remember(&nodes);
        let leads = nodes.iter().any(|node| node.id == *me && node.vote.as_ref().is_some_and(|vote| vote.leader));
        if !leads {
            self.down_since.clear();
            return Ok(None);
        }
        // The nodes first: a mark of ours that is seen on one of them had its wish in etcd before.
        let swarm = engine.swarm().await?;
        let machines = store.machines().await?;
        let observed = Observed {
            me: me.clone(),
            cluster: swarm.cluster.clone(),
            managers: plan.managers,
            replace_after: plan.replace_after,
            down_for: self.down_since.iter().map(|(node, since)| (node.clone(), since.elapsed())).collect(),
            nodes,
            members: store.members().await?,
            voters: store.voters(&machines).await?,
            machines,
            leaving: store.leaving().await?,
            stored: store.join().await?,
            tokens_agree: tokens_agree(store, &swarm).await?,
        };
        let Some(action) = decide(&observed) else { return Ok(None) };
        tracing::info!("{action}");
        act(engine, store, &observed, &swarm, &action).await?;
        Ok(Some(action))
    }

    fn remember(&mut self, nodes: &[Node]) {
        let now = Instant::now();
        let silent = |node: &&Node| node.state != State::Ready;
        self.down_since.retain(|id, _| nodes.iter().filter(silent).any(|node| node.id == *id));
        for node in nodes.iter().filter(silent) {
            self.down_since.entry(node.id.clone()).or_insert(now);
        }
    }
}

/// Whether joiners read the tokens that the swarm has now. A person may have rotated them.
async fn tokens_agree(store: &Store, swarm: &engine::Swarm) -> Result<bool, StoreError> {
    for (key, token) in [(keys::MANAGER_TOKEN, &swarm.manager_token), (keys::WORKER_TOKEN, &swarm.worker_token)] {
        match store.token(key).await {
            Ok(stored) if stored == *token => {}
            // Plain ones are replaced by sealed ones, never the other way round.
            Ok(_) | Err(StoreError::Missing { .. } | StoreError::Seal(SealError::NotSealed)) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

async fn act(engine: &Engine, store: &Store, observed: &Observed, swarm: &engine::Swarm, action: &Action) -> Result<(), StepError> {
    let change = |id: &NodeId, change: &dyn Fn(&mut Node)| {
        observed.node(id).cloned().map(|mut node| {
            change(&mut node);
            node
        })
    };
    let changed = match action {
        Action::Drain(id) => change(id, &|node| {
            node.availability = Availability::Drain;
            node.labels.insert(labels::DRAINED.to_owned(), REBOOT.to_owned());
        }),
        Action::Undrain(id) => change(id, &|node| {
            if node.availability == Availability::Drain {
                node.availability = Availability::Active;
            }
            node.labels.remove(labels::DRAINED);
        }),
        Action::Demote(id, _) => change(id, &|node| node.role = Role::Worker),
        Action::Promote(id) => change(id, &|node| node.role = Role::Manager),
        Action::Label(id, labels) => change(id, &|node| node.labels.clone_from(labels)),
        Action::Acknowledge(id) => {
            store.set_leave(id, Some(Leave::Asked), Some(Leave::Drained)).await?;
            None
        }
        Action::Forget(id) => {
            store.set_leave(id, observed.leaving.get(id).copied(), None).await?;
            None
        }
        Action::Remove(id, _) => {
            // Noted down first: without that, a manager that comes back would wait for a person.
            let owner = observed.members.iter().find(|(_, member)| member.node.as_ref() == Some(id));
            if let Some((machine, member)) = owner {
                store.set_removed(machine, member).await?;
            }
            engine.remove_node(id).await?;
            None
        }
        Action::Publish(join) => {
            store.publish(join, swarm, First::No).await?;
            None
        }
    };
    if let Some(node) = changed {
        engine.update_node(&node).await?;
    }
    Ok(())
}
