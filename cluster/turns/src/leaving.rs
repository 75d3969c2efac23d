//! Machines that were told that they may reboot, or are just about to be: each has a leased key with the id of its member of etcd.
//!
//! Locks are per group, and let several machines reboot at once; the quorum of etcd is one for all of them. So a machine says that it leaves
//! *before* it looks at the others: of two that do so at the same time, at least one sees the other.

use cluster_store::Access;

use crate::group;
use crate::lock::{LEASE_SECS, connect, failed, put_leased, within};
use crate::members::own_member;
use crate::{Kind, Reason, Refusal};

/// Says that this machine leaves.
pub(crate) async fn say(access: &Access, id: &str, name: &str) -> Result<(), Refusal> {
    let key = format!("{}{id}", group::leaving());
    let said = async {
        let mut client = connect(access).await?;
        let member = own_member(&mut client, name).await?.map(|id| format!("{id:x}")).unwrap_or_default();
        put_leased(&mut client, &key, &member, LEASE_SECS).await
    };
    within(said).await.map_err(|error| Refusal::new(Kind::Unreachable, format!("nobody reboots while {}", failed(&error))))
}

/// Takes it back.
pub(crate) async fn unsay(access: &Access, id: &str) -> Result<(), Reason> {
    let key = format!("{}{id}", group::leaving());
    let taken_back = async { connect(access).await?.delete(key, None).await.map(drop) };
    within(taken_back).await.map_err(|error| failed(&error))
}
