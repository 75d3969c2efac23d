//! Keys that exist for as long as this process keeps them alive.

use std::time::Duration;

use etcd_client::{Client, Error, PutOptions};

/// The share of the lifetime after which a lease is renewed: two attempts may be lost.
const RENEWALS: i64 = 3;

/// A lease of etcd. Its keys go when it is revoked, or when it is not renewed for its lifetime.
pub struct Presence {
    client: Client,
    lease: i64,
    seconds: i64,
}

impl std::fmt::Debug for Presence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presence").field("lease", &self.lease).field("seconds", &self.seconds).finish_non_exhaustive()
    }
}

impl Presence {
    /// Asks for a lease of that many seconds; etcd may grant more, and never less than one and a half election timeouts.
    ///
    /// # Errors
    /// etcd does not answer, or has no quorum.
    pub async fn begin(mut client: Client, seconds: i64) -> Result<Self, Error> {
        let granted = client.lease_grant(seconds, None).await?;
        Ok(Self { client, lease: granted.id(), seconds: granted.ttl() })
    }

    /// The lease, for transactions.
    #[must_use]
    pub fn lease(&self) -> i64 {
        self.lease
    }

    /// Writes a key that goes with the lease.
    ///
    /// # Errors
    /// etcd does not answer, or the lease is over.
    pub async fn put(&mut self, key: &str, value: &str) -> Result<(), Error> {
        self.client.put(key, value, Some(PutOptions::new().with_lease(self.lease))).await.map(drop)
    }

    /// Renews the lease until it is lost, and says why it was; drop the future to stop renewing.
    ///
    /// # Errors
    /// Always ends with one: etcd does not answer for too long, or says that the lease is over.
    pub async fn keep(&self) -> Result<std::convert::Infallible, Error> {
        let pause = Duration::from_secs(u64::try_from(self.seconds / RENEWALS).unwrap_or(0).max(1));
        let over = Duration::from_secs(u64::try_from(self.seconds).unwrap_or(1));
        let mut client = self.client.clone();
        let lost = || Error::LeaseKeepAliveError(format!("lease {:x} is over", self.lease));
        loop {
            let (mut keeper, mut answers) = client.lease_keep_alive(self.lease).await?;
            loop {
                keeper.keep_alive().await?;
                match tokio::time::timeout(over, answers.message()).await {
                    Ok(Ok(Some(answer))) if answer.ttl() > 0 => tokio::time::sleep(pause).await,
                    Ok(Ok(Some(_))) | Err(_) => return Err(lost()),
                    // The connection ended; the lease may be alive, so another one is tried.
                    Ok(Ok(None)) => break,
                    Ok(Err(error)) => return Err(error),
                }
            }
        }
    }

    /// Gives the lease back; its keys are gone at once.
    ///
    /// # Errors
    /// etcd does not answer; then the keys go by themselves.
    pub async fn end(mut self) -> Result<(), Error> {
        self.client.lease_revoke(self.lease).await.map(drop)
    }
}
