//! What the swarm keeps in etcd, read and written.

pub mod lock;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use cluster_store::{Access, Machine, watch};
use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::engine::Swarm;
use crate::keys;
use crate::record::{Join, Leave, Member, Standing};
use crate::seal::{Seal, SealError};
use crate::view::NodeId;
pub use lock::Lock;

/// How long it is remembered that a node was removed: longer than certificates last, so that its machine, if it ever comes back,
/// knows that it may forget the swarm.
const REMEMBER_SECONDS: i64 = 400 * 24 * 3600;

/// Why something cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// etcd cannot be reached at all.
    #[error(transparent)]
    Access(#[from] cluster_store::AccessError),
    /// etcd does not answer, or refuses.
    #[error("etcd does not take part in {what}: {source}")]
    Etcd {
        /// What was asked.
        what: &'static str,
        /// What it says.
        source: Box<etcd_client::Error>,
    },
    /// A value makes no sense.
    #[error("the value of {key} in etcd makes no sense: {source}")]
    Value {
        /// Its key.
        key: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A token does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A key that must be there is not.
    #[error("{key} is not in etcd; a manager writes it")]
    Missing {
        /// The key.
        key: &'static str,
    },
}

/// etcd, as far as the swarm is in it. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    client: Client,
    seal: Arc<Seal>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("seal", &self.seal).finish_non_exhaustive()
    }
}

/// The error of a request.
fn during(what: &'static str) -> impl Fn(etcd_client::Error) -> StoreError {
    move |source| StoreError::Etcd { what, source: Box::new(source) }
}

impl Store {
    /// Connects.
    ///
    /// # Errors
    /// A certificate cannot be read, or an address makes no sense.
    pub async fn connect(access: &Access, seal: Seal) -> Result<Self, StoreError> {
        Ok(Self { client: access.connect().await?, seal: Arc::new(seal) })
    }

    async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StoreError> {
        let answer = self.client.clone().get(key, None).await.map_err(during("reading"))?;
        let Some(kv) = answer.kvs().first() else { return Ok(None) };
        serde_json::from_slice(kv.value()).map(Some).map_err(|source| StoreError::Value { key: key.to_owned(), source })
    }

    async fn put<T: Serialize + Sync>(&self, key: &str, value: &T) -> Result<(), StoreError> {
        self.client.clone().put(key, json(key, value)?, None).await.map(drop).map_err(during("writing"))
    }

    /// All values below a prefix. One that makes no sense is passed over with a warning: it must not stop everybody.
    async fn list<T: DeserializeOwned>(&self, prefix: &str) -> Result<BTreeMap<String, T>, StoreError> {
        let (all, _) = watch::list(&mut self.client.clone(), prefix).await.map_err(during("listing"))?;
        let read = |(key, value): (String, String)| match serde_json::from_str(&value) {
            Ok(value) => key.strip_prefix(prefix).map(|name| (name.to_owned(), value)),
            Err(error) => {
                tracing::warn!(key, %error, "a value in etcd makes no sense");
                None
            }
        };
        Ok(all.into_iter().filter_map(read).collect())
    }

    /// The swarm that machines join.
    ///
    /// # Errors
    /// etcd does not answer, or the value makes no sense.
    pub async fn join(&self) -> Result<Option<Join>, StoreError> {
        self.get(keys::JOIN).await
    }

    /// A token: [`keys::MANAGER_TOKEN`] or [`keys::WORKER_TOKEN`].
    ///
    /// # Errors
    /// etcd does not answer, there is none, or it does not open.
    pub async fn token(&self, key: &'static str) -> Result<Zeroizing<String>, StoreError> {
        let answer = self.client.clone().get(key, None).await.map_err(during("reading a token"))?;
        let kv = answer.kvs().first().ok_or(StoreError::Missing { key })?;
        Ok(self.seal.open(key, &String::from_utf8_lossy(kv.value()))?)
    }

    /// Writes the swarm with its tokens, all or nothing. `first` refuses when there is one already; says whether it was written.
    ///
    /// # Errors
    /// etcd does not answer, or the tokens cannot be sealed.
    pub async fn publish(&self, join: &Join, swarm: &Swarm, first: First) -> Result<bool, StoreError> {
        let mut puts = vec![TxnOp::put(keys::JOIN, json(keys::JOIN, join)?, None)];
        for (key, token) in [(keys::MANAGER_TOKEN, &swarm.manager_token), (keys::WORKER_TOKEN, &swarm.worker_token)] {
            puts.push(TxnOp::put(key, self.seal.close(key, token)?, None));
        }
        let absent = match first {
            First::Yes => vec![Compare::create_revision(keys::JOIN, CompareOp::Equal, 0)],
            First::No => Vec::new(),
        };
        let answer = self.client.clone().txn(Txn::new().when(absent).and_then(puts)).await.map_err(during("publishing the swarm"))?;
        Ok(answer.succeeded())
    }

    /// What all machines say about themselves.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn members(&self) -> Result<BTreeMap<String, Member>, StoreError> {
        self.list(keys::MEMBERS).await
    }

    /// What a machine has said about itself.
    ///
    /// # Errors
    /// etcd does not answer, or the value makes no sense.
    pub async fn member(&self, machine: &str) -> Result<Option<Member>, StoreError> {
        self.get(&keys::member(machine)).await
    }

    /// Says about a machine what it is in the swarm.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn set_member(&self, machine: &str, member: &Member) -> Result<(), StoreError> {
        self.put(&keys::member(machine), member).await
    }

    /// Remembers for a while that a machine's node was removed.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn set_removed(&self, machine: &str, member: &Member) -> Result<(), StoreError> {
        let key = keys::member(machine);
        let mut client = self.client.clone();
        let lease = client.lease_grant(REMEMBER_SECONDS, None).await.map_err(during("remembering a removal"))?;
        let value = json(&key, &Member { standing: Standing::Removed, ..member.clone() })?;
        client.put(key, value, Some(PutOptions::new().with_lease(lease.id()))).await.map(drop).map_err(during("remembering a removal"))
    }

    /// Machines that are there.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn machines(&self) -> Result<BTreeMap<String, Machine>, StoreError> {
        self.list(keys::MACHINES).await
    }

    /// Those of `machines` that vote in etcd; a member has the name of its machine.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn voters(&self, machines: &BTreeMap<String, Machine>) -> Result<BTreeSet<String>, StoreError> {
        let answer = self.client.clone().member_list().await.map_err(during("listing its members"))?;
        let names: BTreeSet<&str> = answer.members().iter().filter(|member| !member.is_learner()).map(etcd_client::Member::name).collect();
        Ok(machines.iter().filter(|(_, machine)| names.contains(machine.name.as_str())).map(|(id, _)| id.clone()).collect())
    }

    /// Nodes that reboot.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn leaving(&self) -> Result<BTreeMap<NodeId, Leave>, StoreError> {
        Ok(self.list(keys::DRAIN).await?.into_iter().map(|(node, leave)| (NodeId(node), leave)).collect())
    }

    /// How far the drain of a node is.
    ///
    /// # Errors
    /// etcd does not answer, or the value makes no sense.
    pub async fn leave(&self, node: &NodeId) -> Result<Option<Leave>, StoreError> {
        self.get(&keys::drain(node)).await
    }

    /// Writes how far the drain of a node is, if it is still as `from`. Says whether it was.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn set_leave(&self, node: &NodeId, from: Option<Leave>, to: Option<Leave>) -> Result<bool, StoreError> {
        let key = keys::drain(node);
        let as_before = match from {
            None => Compare::create_revision(key.as_str(), CompareOp::Equal, 0),
            Some(from) => Compare::value(key.as_str(), CompareOp::Equal, json(&key, &from)?),
        };
        let change = match to {
            None => TxnOp::delete(key.as_str(), None),
            Some(to) => TxnOp::put(key.as_str(), json(&key, &to)?, None),
        };
        let answer = self.client.clone().txn(Txn::new().when([as_before]).and_then([change])).await;
        Ok(answer.map_err(during("a drain"))?.succeeded())
    }

    /// Who had the lock for starting a swarm last.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn initialiser(&self) -> Result<Option<String>, StoreError> {
        let answer = self.client.clone().get(keys::INITIALISER, None).await.map_err(during("reading"))?;
        Ok(answer.kvs().first().map(|kv| String::from_utf8_lossy(kv.value()).into_owned()))
    }
}

impl Store {
    /// Takes back that `machine` has started a swarm: it has none.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn forget_initialiser(&self, machine: &str) -> Result<(), StoreError> {
        let ours = Compare::value(keys::INITIALISER, CompareOp::Equal, machine);
        let change = Txn::new().when([ours]).and_then([TxnOp::delete(keys::INITIALISER, None)]);
        self.client.clone().txn(change).await.map(drop).map_err(during("forgetting who starts the swarm"))
    }
}

/// Whether there may be a swarm in etcd already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum First {
    /// No.
    Yes,
    /// It is replaced.
    No,
}

fn json<T: Serialize>(key: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Value { key: key.to_owned(), source })
}
