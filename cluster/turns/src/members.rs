//! etcd's members as [`crate::quorum`] sees them, and the hand-over of its leadership.

use std::collections::BTreeSet;
use std::time::Duration;

use cluster_store::Access;
use etcd_client::{Client, Error, GetOptions};
use tokio::task::JoinSet;

use crate::group;
use crate::lock::{connect, failed, within};
use crate::quorum::{self, Members, Voter};
use crate::{Kind, Reason, Refusal};

/// How long a member may take to say that it is well.
const MEMBER_PATIENCE: Duration = Duration::from_secs(3);
/// Whoever changes the members of etcd holds this key.
const CHANGING: &str = "slipway/etcd/lock";

/// Looks at the members. `name` is the member of this machine, should there be one by that name.
pub(crate) async fn observe(access: &Access, name: &str) -> Result<Members, Reason> {
    within(look(access, name)).await.map_err(|error| failed(&error))
}

async fn look(access: &Access, name: &str) -> Result<Members, Error> {
    let mut client = connect(access).await?;
    let list = client.member_list().await?;
    let changing = client.get(CHANGING, Some(GetOptions::new().with_prefix().with_count_only())).await?.count() > 0;
    let prefix = group::leaving();
    let leaving: BTreeSet<u64> = {
        let (notes, _) = cluster_store::watch::list(&mut client, &prefix).await?;
        notes.values().filter_map(|member| u64::from_str_radix(member, 16).ok()).collect()
    };
    let mut members = Members { voters: Vec::new(), me: None, changing, leader: None };
    let mut asked = JoinSet::new();
    for member in list.members().iter().filter(|member| !member.is_learner()) {
        if member.name() == name {
            members.me = Some(member.id());
        }
        let voter = Voter { id: member.id(), name: member.name().to_owned(), healthy: false, leaving: leaving.contains(&member.id()) };
        let there = Access { endpoints: member.client_urls().to_vec(), tls: access.tls.clone() };
        asked.spawn(async move { (voter, leader_seen_by(&there).await) });
    }
    while let Some(answer) = asked.join_next().await {
        let Ok((voter, leader)) = answer else { continue };
        members.leader = members.leader.or(leader);
        members.voters.push(Voter { healthy: leader.is_some(), ..voter });
    }
    members.voters.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

/// The leader a member follows; `None` when it does not answer or follows nobody.
async fn leader_seen_by(member: &Access) -> Option<u64> {
    let status = async { connect(member).await?.status().await };
    let status = tokio::time::timeout(MEMBER_PATIENCE, status).await.ok()?.ok()?;
    Some(status.leader()).filter(|leader| *leader != 0)
}

/// Whether etcd keeps its quorum without this machine.
pub(crate) async fn may_leave(access: &Access, name: &str) -> Result<(), Refusal> {
    let members =
        observe(access, name).await.map_err(|reason| Refusal::new(Kind::Unreachable, format!("nobody reboots while {reason}")))?;
    quorum::may_leave(&members).map_err(|reason| Refusal::new(Kind::Quorum, reason))
}

/// Lets another member lead, if this machine's does.
pub(crate) async fn hand_over(access: &Access, name: &str) -> Result<(), Reason> {
    let members = observe(access, name).await?;
    let Some(successor) = quorum::successor(&members) else { return Ok(()) };
    let hand_over = async {
        // Only the leader itself can hand over, and `access` may lead to any member.
        let list = connect(access).await?.member_list().await?;
        let urls = list.members().iter().find(|member| Some(member.id()) == members.me).map(|member| member.client_urls().to_vec());
        let here = Access { endpoints: urls.unwrap_or_default(), tls: access.tls.clone() };
        connect(&here).await?.move_leader(successor).await.map(drop)
    };
    within(hand_over).await.map_err(|error| Reason::new(format!("handing over the leadership of etcd: {error}")))
}

/// Whether etcd answers here, and this machine's member, if it has one, is well.
pub(crate) async fn well(access: &Access, name: &str) -> Result<(), Reason> {
    let members = observe(access, name).await?;
    let Some(me) = members.me else { return Ok(()) };
    match members.voters.iter().find(|voter| voter.id == me) {
        Some(voter) if voter.healthy => Ok(()),
        _ => Err(Reason::new(format!("etcd's member {name} on this machine does not answer"))),
    }
}

/// Id of this machine's member, for others to count it as away.
pub(crate) async fn own_member(client: &mut Client, name: &str) -> Result<Option<u64>, Error> {
    Ok(client.member_list().await?.members().iter().find(|member| member.name() == name).map(etcd_client::Member::id))
}
