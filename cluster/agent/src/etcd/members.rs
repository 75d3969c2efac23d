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
/// The same before a person begins again without the others: a cluster that is merely late is not lost.
const PATIENCE_BEFORE_RECOVERY: Duration = Duration::from_secs(15);
/// A key whose reading proves a quorum; it need not exist.
const PROBE: &str = "slipway/probe";

/// Since when members are silent. A clock of ours: nobody else's is asked.
#[derive(Debug, Default)]
struct Silences(BTreeMap<u64, Instant>);

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

/// Connections to members, kept from one look to the next. A new one costs both sides a handshake with two certificates, and members that are
/// late because they are busy would be later with every look at them.
#[derive(Default)]
struct Connections {
    /// With which the open ones were made.
    certificate: Option<Vec<u8>>,
    open: BTreeMap<String, Client>,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.open.keys()).finish()
    }
}

impl Connections {
    /// Forgets what was made with another certificate than this machine's present one.
    fn renew(&mut self, tls: Option<&Tls>) {
        // One that cannot be read is none; whoever connects says so.
        let certificate = tls.and_then(|tls| std::fs::read(&tls.cert_file).ok());
        if certificate != self.certificate {
            self.open.clear();
            self.certificate = certificate;
        }
    }

    /// Closes those that lead to no member any more.
    fn keep_only(&mut self, endpoints: &BTreeSet<String>, live: &Live) {
        let is_members = |url: &String| live.members.iter().any(|member| member.client_urls.contains(url));
        self.open.retain(|url, _| endpoints.contains(url) || is_members(url));
    }

    /// The one that is open, or a new one.
    ///
    /// # Errors
    /// A certificate cannot be read, or the address makes no sense.
    async fn to(&mut self, endpoint: &str, tls: Option<&Tls>) -> Result<Client> {
        if let Some(client) = self.open.get(endpoint) {
            return Ok(client.clone());
        }
        let client = Access { endpoints: vec![endpoint.to_owned()], tls: tls.cloned() }.connect().await?;
        self.open.insert(endpoint.to_owned(), client.clone());
        Ok(client)
    }
}

/// Looks at the members, again and again.
#[derive(Debug)]
pub struct Lookout {
    connections: Connections,
    silences: Silences,
    patience: Duration,
}

impl Default for Lookout {
    fn default() -> Self {
        Self { connections: Connections::default(), silences: Silences::default(), patience: PATIENCE }
    }
}

impl Lookout {
    /// For whom a cluster that is late must not look like one that is lost.
    #[must_use]
    pub fn before_recovery() -> Self {
        Self { patience: PATIENCE_BEFORE_RECOVERY, ..Self::default() }
    }

    /// Finds a member that answers for a quorum and asks it for all; with each a look at how it is. `None` when no quorum answers.
    ///
    /// `me` is this machine's own id: that it is present itself says nothing about a member whose name or seat it has.
    pub async fn look(&mut self, endpoints: &BTreeSet<String>, tls: Option<&Tls>, me: &str) -> Option<(Client, Live)> {
        self.connections.renew(tls);
        for endpoint in endpoints {
            let asked = async { agreed(self.connections.to(endpoint, tls).await?, me).await };
            match timeout(self.patience, asked).await {
                Ok(Ok((client, mut live, present))) => {
                    self.connections.keep_only(endpoints, &live);
                    self.check_all(&mut live, &present, tls).await;
                    return Some((client, live));
                }
                Ok(Err(error)) => tracing::debug!(endpoint, error = format!("{error:#}"), "asking for the members"),
                Err(_) => tracing::debug!(endpoint, "asking for the members: no answer"),
            }
        }
        None
    }

    /// Whether a member answers at all, with a quorum or without.
    pub async fn answers(&mut self, url: &str, tls: Option<&Tls>) -> bool {
        let Ok(client) = self.connections.to(url, tls).await else { return false };
        status(client, self.patience).await.is_some()
    }

    async fn check_all(&mut self, live: &mut Live, present: &BTreeSet<String>, tls: Option<&Tls>) {
        let mut asked = tokio::task::JoinSet::new();
        for member in &live.members {
            let mut clients = Vec::new();
            for url in &member.client_urls {
                clients.extend(self.connections.to(url, tls).await.ok());
            }
            let (id, patience) = (member.id, self.patience);
            asked.spawn(async move { (id, is_well(clients, patience).await) });
        }
        let answers: BTreeMap<u64, Option<bool>> = asked.join_all().await.into_iter().collect();
        let now = Instant::now();
        for member in &mut live.members {
            let answer = answers.get(&member.id).copied().flatten();
            member.health = self.silences.health(member.id, answer, present.contains(&member.name), now);
        }
        self.silences.forget_others(&live.members);
    }
}

/// What a quorum agrees on, through one member, and the names of machines that are present.
async fn agreed(mut client: Client, me: &str) -> Result<(Client, Live, BTreeSet<String>)> {
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

/// Whether a member is well; `None` when it does not answer.
async fn is_well(clients: Vec<Client>, patience: Duration) -> Option<bool> {
    for client in clients {
        if let Some(status) = status(client, patience).await {
            return Some(status.leader() != 0 && status.errors().is_empty());
        }
    }
    None
}

async fn status(mut client: Client, patience: Duration) -> Option<StatusResponse> {
    timeout(patience, client.status()).await.ok()?.ok()
}

/// What a member says of itself, asked once; without a quorum, too.
pub async fn status_of(url: &str, tls: Option<&Tls>) -> Option<StatusResponse> {
    let mut connections = Connections::default();
    status(connections.to(url, tls).await.ok()?, PATIENCE).await
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

    #[tokio::test]
    async fn a_member_that_is_late_is_not_connected_to_again() {
        let member = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", member.local_addr().unwrap());
        let mut lookout = Lookout { patience: Duration::from_millis(20), ..Lookout::default() };
        for _ in 0..3 {
            assert!(lookout.look(&BTreeSet::from([endpoint.clone()]), None, "m1").await.is_none());
            assert!(!lookout.answers(&endpoint, None).await);
        }
        // The kernel took the connections; nobody has looked at them yet.
        member.set_nonblocking(true).unwrap();
        assert_eq!(std::iter::from_fn(|| member.accept().ok()).count(), 1);
    }

    #[tokio::test]
    async fn another_certificate_takes_other_connections() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let tls = Tls { ca_file: path("ca"), cert_file: path("cert"), key_file: path("key") };
        let mut connections = Connections::default();
        for (certificate, open) in [(None, 1), (Some("one"), 0), (Some("one"), 1), (Some("two"), 0), (Some("two"), 1)] {
            if let Some(certificate) = certificate {
                std::fs::write(&tls.cert_file, certificate).unwrap();
            }
            connections.renew(certificate.map(|_| &tls));
            assert_eq!(connections.open.len(), usize::from(certificate.is_some()) * open, "{certificate:?}");
            connections.to("http://127.0.0.1:1", None).await.unwrap();
        }
    }
}
