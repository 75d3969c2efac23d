//! Announcements under one lease: a machine that dies takes all of them along, and one that comes back brings all of them again.

use std::time::Duration;

use cluster_store::{Access, AccessError, Presence, Report};
use etcd_client::{Client, PutOptions, Txn, TxnOp};
use tokio::sync::watch;

use crate::diff::{Step, steps};
use crate::{Entries, TTL_SECONDS};

/// Writes in one transaction; etcd allows 128.
const WRITES: usize = 100;
/// Pauses between attempts to reach etcd grow from here,
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// to here.
const LAST_PAUSE: Duration = Duration::from_secs(10);
/// How long giving the lease back may take at the end; after that its keys go by themselves.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why announcements are not kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// How to reach etcd is not known.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// etcd does not do it.
    #[error("etcd: {0}")]
    Etcd(#[from] etcd_client::Error),
    /// The program that says what to announce is gone.
    #[error("nobody says any more what to announce")]
    Orphaned,
}

/// Keeps in etcd what `wanted` holds, until `end` comes; then takes everything back.
///
/// While etcd is away it is tried again and again. Each time there is a new lease, everything is announced under it, and the lease before
/// is given back after that: what was not wanted any more goes with it, what is wanted is never missing.
pub async fn keep(
    access: impl Fn() -> Result<Access, AccessError>,
    mut wanted: watch::Receiver<Entries>,
    report: &Report,
    end: impl Future<Output = ()>,
) {
    tokio::pin!(end);
    let mut before = None;
    let mut pause = FIRST_PAUSE;
    loop {
        let attempt = async {
            let client = access()?.connect().await?;
            Ok::<_, KeepError>(Presence::begin(client.clone(), TTL_SECONDS).await.map(|presence| (client, presence))?)
        };
        let begun = tokio::select! {
            biased;
            () = &mut end => return,
            begun = attempt => begun,
        };
        let error = match begun {
            Ok((client, presence)) => {
                let lost = async {
                    match presence.keep().await {
                        Ok(never) => match never {},
                        Err(error) => KeepError::from(error),
                    }
                };
                let work = follow(client, presence.lease(), &mut wanted, &mut before, &mut pause, report);
                let error = tokio::select! {
                    biased;
                    () = &mut end => {
                        if !matches!(tokio::time::timeout(FAREWELL, presence.end()).await, Ok(Ok(()))) {
                            tracing::warn!("etcd does not answer; the announcements go by themselves in {TTL_SECONDS} s");
                        }
                        return;
                    }
                    error = lost => error,
                    error = work => error,
                };
                before = Some(presence.lease());
                error
            }
            Err(error) => error,
        };
        report.say("waiting", format!("{error}; trying again"));
        tokio::select! {
            () = &mut end => return,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LAST_PAUSE),
        }
    }
}

/// Announces under one lease, for as long as that works.
async fn follow(
    mut client: Client,
    lease: i64,
    wanted: &mut watch::Receiver<Entries>,
    before: &mut Option<i64>,
    pause: &mut Duration,
    report: &Report,
) -> KeepError {
    let mut announced = Entries::new();
    loop {
        let next = wanted.borrow_and_update().clone();
        if let Err(error) = write(&mut client, lease, &steps(&announced, &next)).await {
            return error.into();
        }
        announced = next;
        *pause = FIRST_PAUSE;
        report.say("announcing", summary(&announced));
        if let Some(lease) = before.take() {
            // Mostly it is over anyway; if etcd does not know it any more, all the better.
            let _ = client.lease_revoke(lease).await;
        }
        if wanted.changed().await.is_err() {
            return KeepError::Orphaned;
        }
    }
}

async fn write(client: &mut Client, lease: i64, steps: &[Step<'_>]) -> Result<(), etcd_client::Error> {
    for some in steps.chunks(WRITES) {
        let operations: Vec<TxnOp> = some
            .iter()
            .map(|step| match *step {
                Step::Put(key, value) => TxnOp::put(key, value, Some(PutOptions::new().with_lease(lease))),
                Step::Delete(key) => TxnOp::delete(key, None),
            })
            .collect();
        client.txn(Txn::new().and_then(operations)).await?;
    }
    Ok(())
}

fn summary(announced: &Entries) -> String {
    match announced.len() {
        0 => "nothing here is to be announced".to_owned(),
        1 => "1 service".to_owned(),
        more => format!("{more} services"),
    }
}
