//! Locks that go with their holder: keys under a lease that is renewed while the lock is held.

use cluster_store::Presence;
use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp};

use crate::keys;
use crate::store::{Store, StoreError, during};

/// How long a lock outlives its holder, in seconds. Starting a swarm takes a second or two, joining one at most twenty.
const LOCK_SECONDS: i64 = 30;

/// A lock that is held. It is renewed for as long as this lives, and given back by [`Self::release`].
pub struct Lock {
    client: Client,
    lease: i64,
    renewal: tokio::task::JoinHandle<()>,
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lock").field("lease", &self.lease).finish_non_exhaustive()
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Lock {
    /// Gives it back. When etcd does not answer, it goes by itself.
    pub async fn release(self) {
        self.renewal.abort();
        if let Err(error) = self.client.clone().lease_revoke(self.lease).await {
            tracing::debug!(%error, "a lock goes by itself");
        }
    }
}

impl Store {
    /// Takes the lock for starting a swarm, unless somebody has it, or there is a swarm, or another one than `before` has had it
    /// meanwhile, who may have a swarm by now; notes down who took it.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn lock_init(&self, machine: &str, before: Option<&str>) -> Result<Option<Lock>, StoreError> {
        let no_swarm = Compare::create_revision(keys::JOIN, CompareOp::Equal, 0);
        let nobody_since = match before {
            None => Compare::create_revision(keys::INITIALISER, CompareOp::Equal, 0),
            Some(before) => Compare::value(keys::INITIALISER, CompareOp::Equal, before),
        };
        let note = TxnOp::put(keys::INITIALISER, machine, None);
        Box::pin(self.lock(keys::INIT, machine, vec![no_swarm, nobody_since], vec![note])).await
    }

    /// Takes the lock for finding out one's role.
    ///
    /// # Errors
    /// etcd does not answer.
    pub async fn lock_joining(&self, machine: &str) -> Result<Option<Lock>, StoreError> {
        Box::pin(self.lock(keys::JOINING, machine, Vec::new(), Vec::new())).await
    }

    async fn lock(&self, key: &str, machine: &str, mut when: Vec<Compare>, mut then: Vec<TxnOp>) -> Result<Option<Lock>, StoreError> {
        let presence = Presence::begin(self.client.clone(), LOCK_SECONDS).await.map_err(during("a lock"))?;
        when.push(Compare::create_revision(key, CompareOp::Equal, 0));
        then.push(TxnOp::put(key, machine, Some(PutOptions::new().with_lease(presence.lease()))));
        let answer = self.client.clone().txn(Txn::new().when(when).and_then(then)).await.map_err(during("a lock"))?;
        if !answer.succeeded() {
            presence.end().await.map_err(during("a lock"))?;
            return Ok(None);
        }
        let lease = presence.lease();
        let renewal = tokio::spawn(async move {
            let Err(error) = presence.keep().await;
            tracing::warn!(%error, "a lock was lost while it was held");
        });
        Ok(Some(Lock { client: self.client.clone(), lease, renewal }))
    }
}
