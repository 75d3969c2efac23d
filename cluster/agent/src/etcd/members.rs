//! The live members, asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use cluster_store::{Access, Machine, PREFIX, Tls};
use etcd_client::{Client, StatusResponse};
use tokio::time::{Instant, timeout};

use super::seen::{Health, Live, Member};

/// How long one question to one member may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// A key whose reading proves a quorum; it need not exist.
const PROBE: &str = "slipway/probe";

/// Since when members are silent. A clock of ours: nobody else's is asked.
#[derive(Debug, Default)]
pub struct Silences(BTreeMap<u64, Instant>);

impl Silences {
    fn health(&mut self, id: u64, healthy: Option<bool>, present: bool, now: Instant) -> Health {
        if healthy.is_none() && !present {
            return Health::Silent(now.duration_since(*self.0.entry(id).or_insert(now)));
        }
        self.0.remove(&id);
        if healthy == Some(true) { Health::Healthy } else { Health::Sick }
    }

    fn forget_others(&mut self, members: &[Member]) {
        self.0.retain(|id, _| members.iter().any(|member| member.id == *id));
    }
}

/// A client of one member.
///
/// # Errors
/// A certificate cannot be read, or the address makes no sense.
pub async fn client(endpoint: &str, tls: Option<&Tls>) -> Result<Client> {
    Ok(Access { endpoints: vec![endpoint.to_owned()], tls: tls.cloned() }.connect().await?)
}

/// Finds a member that answers for a quorum and asks it for all; with each a look at how it is. `None` when no quorum answers.
///
/// `me` is this machine's own id: that it is present itself says nothing about a member whose name or seat it has.
pub async fn look(endpoints: &BTreeSet<String>, tls: Option<&Tls>, me: &str, silences: &mut Silences) -> Option<(Client, Live)> {
    for endpoint in endpoints {
        match timeout(PATIENCE, agreed(endpoint, tls, me)).await {
            Ok(Ok((client, mut live, present))) => {
                check_all(&mut live, &present, tls, silences).await;
                return Some((client, live));
            }
            Ok(Err(error)) => tracing::debug!(endpoint, error = format!("{error:#}"), "asking for the members"),
            Err(_) => tracing::debug!(endpoint, "asking for the members: no answer"),
        }
    }
    None
}

/// What a quorum agrees on, through one member, and the names of machines that are present.
async fn agreed(endpoint: &str, tls: Option<&Tls>, me: &str) -> Result<(Client, Live, BTreeSet<String>)> {
    let mut client = client(endpoint, tls).await?;
    // The client asks a member for what it knows by itself; after a read that all agree on, that is no older than the question.
    client.get(PROBE, None).await?;
    let answer = client.member_list().await?;
    let cluster = answer.header().context("an answer without a header")?.cluster_id();
    let members = answer.members().iter().map(|member| Member {
        id: member.id(),
        name: member.name().to_owned(),
        peer_urls: member.peer_urls().to_vec(),
        client_urls: member.client_urls().to_vec(),
        learner: member.is_learner(),
        health: Health::Sick,
    });
    let live = Live { cluster, members: members.collect() };
    let (machines, _) = cluster_store::watch::list(&mut client, &format!("{PREFIX}machines/")).await?;
    let machines = machines.values().filter_map(|json| serde_json::from_str::<Machine>(json).ok());
    let others = machines.filter(|machine| machine.id != me);
    Ok((client, live, others.map(|machine| machine.name).collect()))
}

async fn check_all(live: &mut Live, present: &BTreeSet<String>, tls: Option<&Tls>, silences: &mut Silences) {
    let mut asked = tokio::task::JoinSet::new();
    for member in &live.members {
        let (id, urls, tls) = (member.id, member.client_urls.clone(), tls.cloned());
        asked.spawn(async move { (id, is_well(&urls, tls.as_ref()).await) });
    }
    let answers: BTreeMap<u64, Option<bool>> = asked.join_all().await.into_iter().collect();
    let now = Instant::now();
    for member in &mut live.members {
        let answer = answers.get(&member.id).copied().flatten();
        member.health = silences.health(member.id, answer, present.contains(&member.name), now);
    }
    silences.forget_others(&live.members);
}

/// Whether a member is well; `None` when it does not answer.
async fn is_well(urls: &[String], tls: Option<&Tls>) -> Option<bool> {
    for url in urls {
        if let Some(status) = status(url, tls).await {
            return Some(status.leader() != 0 && status.errors().is_empty());
        }
    }
    None
}

/// What a member says of itself; without a quorum, too.
pub async fn status(url: &str, tls: Option<&Tls>) -> Option<StatusResponse> {
    let asked = async { client(url, tls).await.ok()?.status().await.ok() };
    timeout(PATIENCE, asked).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_counted_from_when_it_began() {
        let mut silences = Silences::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(silences.health(1, None, false, start), Health::Silent(Duration::ZERO));
        assert_eq!(silences.health(1, None, false, after(5)), Health::Silent(Duration::from_secs(5)));
        assert_eq!(silences.health(1, None, true, after(6)), Health::Sick, "its machine is there");
        assert_eq!(silences.health(1, None, false, after(7)), Health::Silent(Duration::ZERO), "counted anew");
        assert_eq!(silences.health(1, Some(false), false, after(8)), Health::Sick);
        assert_eq!(silences.health(1, Some(true), false, after(9)), Health::Healthy);
        silences.health(2, None, false, after(9));
        silences.forget_others(&[]);
        assert!(silences.0.is_empty());
    }
}
