//! One change of the members at a time, over all machines.

use anyhow::{Result, ensure};
use cluster_store::{PREFIX, Presence};
use etcd_client::{Client, Compare, CompareOp, PutOptions, Txn, TxnOp};

/// How long the lock outlives a machine that dies with it, in seconds. It is renewed while a snapshot is taken, and checked before each step.
const SECONDS: i64 = 120;

fn key() -> String {
    format!("{PREFIX}etcd/lock")
}

/// Held around changes of the members.
pub struct Lock {
    presence: Presence,
    client: Client,
    holder: String,
}

impl std::fmt::Debug for Lock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lock").field("presence", &self.presence).field("holder", &self.holder).finish_non_exhaustive()
    }
}

impl Lock {
    /// Takes the lock; `Ok(Err(holder))` when another machine has it.
    ///
    /// # Errors
    /// etcd does not answer, or has no quorum.
    pub async fn take(client: &Client, holder: &str) -> Result<Result<Self, String>> {
        let presence = Presence::begin(client.clone(), SECONDS).await?;
        let mut client = client.clone();
        let put = TxnOp::put(key(), holder, Some(PutOptions::new().with_lease(presence.lease())));
        let absent = Compare::create_revision(key(), CompareOp::Equal, 0);
        let answer = client.txn(Txn::new().when([absent]).and_then([put])).await?;
        if answer.succeeded() {
            return Ok(Ok(Self { presence, client, holder: holder.to_owned() }));
        }
        presence.end().await?;
        let found = client.get(key(), None).await?;
        Ok(Err(found.kvs().first().map_or_else(String::new, |kv| String::from_utf8_lossy(kv.value()).into_owned())))
    }

    /// Makes sure that it is still ours; asked before each change.
    ///
    /// # Errors
    /// It is not, or etcd does not answer.
    pub async fn check(&self) -> Result<()> {
        let found = self.client.clone().get(key(), None).await?;
        let ours = found.kvs().first().is_some_and(|kv| kv.lease() == self.presence.lease());
        ensure!(ours, "the lock around changes of the members was lost by {}", self.holder);
        Ok(())
    }

    /// Keeps it for as long as this is polled; ends with why it was lost.
    pub async fn keep(&self) -> anyhow::Error {
        match self.presence.keep().await {
            Err(error) => anyhow::Error::from(error).context("the lock around changes of the members was lost"),
            Ok(never) => match never {},
        }
    }

    /// Gives it back.
    ///
    /// # Errors
    /// etcd does not answer; then it goes by itself after two minutes.
    pub async fn give_back(self) -> Result<()> {
        Ok(self.presence.end().await?)
    }
}
