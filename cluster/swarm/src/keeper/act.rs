//! Looking at the swarm, and doing what was decided.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::engine::Engine;
use crate::form::step::StepError;
use crate::keeper::alone::alone;
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
    /// Since when nodes ask to be drained; likewise.
    asked_since: BTreeMap<NodeId, Instant>,
    /// Those of them of which the journal says already why they wait.
    told: BTreeSet<NodeId>,
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
            self.asked_since.clear();
            return Ok(None);
        }
        // The nodes first: a mark of ours that is seen on one of them had its wish in etcd before.
        let swarm = engine.swarm().await?;
        let machines = store.machines().await?;
        let leaving = store.leaving().await?;
        let asks = self.remember_asking(&leaving);
        let alone = if asks { alone(&nodes, &engine.services().await?, &engine.tasks().await?) } else { BTreeMap::new() };
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
            asked_for: self.asked_since.iter().map(|(node, since)| (node.clone(), since.elapsed())).collect(),
            alone,
            leaving,
            stored: store.join().await?,
            tokens_agree: tokens_agree(store, &swarm).await?,
        };
        self.tell_kept(&observed);
        let Some(action) = decide(&observed) else { return Ok(None) };
        tracing::info!("{action}");
        act(engine, store, &observed, &swarm, &action).await?;
        Ok(Some(action))
    }

    /// Whether any node asks to be drained.
    fn remember_asking(&mut self, leaving: &BTreeMap<NodeId, Leave>) -> bool {
        let asks = |node: &NodeId| leaving.get(node) == Some(&Leave::Asked);
        self.asked_since.retain(|node, _| asks(node));
        for node in leaving.keys().filter(|node| asks(node)) {
            self.asked_since.entry(node.clone()).or_insert_with(Instant::now);
        }
        !self.asked_since.is_empty()
    }

    /// Says once why a node waits that asks to be drained.
    fn tell_kept(&mut self, observed: &Observed) {
        self.told.retain(|node| self.asked_since.contains_key(node));
        for node in self.asked_since.keys() {
            if let Some(services) = observed.kept_by(node)
                && self.told.insert(node.clone())
            {
                let services = services.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
                tracing::info!("node {node} is not drained yet, because nothing else runs of: {services}; see `docker service ps`");
            }
        }
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
