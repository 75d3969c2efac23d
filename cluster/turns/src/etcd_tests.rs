//! The lock and the members on a real etcd. The folder of its programs is in `SLIPWAY_TEST_ETCD`; without it these tests are passed over.

#![allow(clippy::disallowed_methods, reason = "members of etcd are processes")]
#![allow(clippy::print_stdout, reason = "a test that is passed over says so")]

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cluster_store::Access;
use tempfile::TempDir;

use crate::lock::{announce, connect, overview};
use crate::{EtcdLock, Group, Kind, Reason, leaving, members};

/// How long a cluster may take to stand; the machine may be busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster on loopback, gone when dropped.
struct Etcd {
    members: Vec<Child>,
    urls: Vec<String>,
    _folder: TempDir,
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for member in &mut self.members {
            let _ = member.kill();
            let _ = member.wait();
        }
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Etcd {
    /// Members `n1` to `nCOUNT`; `None` where there is no etcd to test with.
    async fn start(count: usize) -> Option<Self> {
        let Some(programs) = std::env::var_os("SLIPWAY_TEST_ETCD").map(PathBuf::from) else {
            println!("passed over: SLIPWAY_TEST_ETCD does not say where etcd is");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let peers: Vec<String> =
            ports.iter().enumerate().map(|(index, (_, peer))| format!("n{}=http://127.0.0.1:{peer}", index + 1)).collect();
        let member = |(index, (client, peer)): (usize, &(u16, u16))| {
            let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
            Command::new(programs.join("etcd"))
                .args(["--name", &format!("n{}", index + 1), "--data-dir"])
                .arg(folder.path().join(index.to_string()))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &peers.join(","), "--unsafe-no-fsync", "--log-level", "error"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        };
        let members = ports.iter().enumerate().map(member).collect();
        let urls = ports.iter().map(|(client, _)| format!("http://127.0.0.1:{client}")).collect();
        let etcd = Self { members, urls, _folder: folder };
        let begin = Instant::now();
        loop {
            let seen = members::observe(&etcd.access(0), "n1").await;
            if seen.is_ok_and(|seen| seen.voters.len() == count && seen.voters.iter().all(|voter| voter.healthy)) {
                return Some(etcd);
            }
            assert!(begin.elapsed() < PATIENCE, "etcd does not stand");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn access(&self, member: usize) -> Access {
        Access { endpoints: vec![self.urls[member].clone()], tls: None }
    }

    fn lock(&self, id: &str, max: u32) -> EtcdLock {
        EtcdLock::new(self.access(0), Group::default(), id, &format!("name-of-{id}"), max)
    }

    fn kill(&mut self, member: usize) {
        self.members[member].kill().unwrap();
        self.members[member].wait().unwrap();
    }

    async fn value(&self, key: &str) -> Option<String> {
        let answer = connect(&self.access(0)).await.unwrap().get(key, None).await.unwrap();
        answer.kvs().first().map(|kv| String::from_utf8_lossy(kv.value()).into_owned())
    }

    /// What happens when nobody renews the lease of a holder for half an hour.
    async fn expire(&self, id: &str) {
        let mut client = connect(&self.access(0)).await.unwrap();
        let key = client.get(format!("slipway/turns/holding/default/{id}"), None).await.unwrap();
        client.lease_revoke(key.kvs()[0].lease()).await.unwrap();
    }
}

#[tokio::test]
async fn one_at_a_time_with_locksmiths_json_and_a_lease_for_the_holder() {
    let Some(etcd) = Etcd::start(1).await else { return };
    let (a, b) = (etcd.lock("a", 1), etcd.lock("b", 1));
    a.take().await.unwrap();
    a.take().await.unwrap();
    let key = "coreos.com/updateengine/rebootlock/semaphore";
    assert_eq!(etcd.value(key).await.unwrap(), r#"{"semaphore":0,"max":1,"holders":["a"]}"#);
    let refusal = b.take().await.unwrap_err();
    assert_eq!(
        (refusal.kind, refusal.to_string().as_str()),
        (Kind::LockHeld, "name-of-a has the reboot lock of group default (1 at a time)")
    );
    b.release().await.unwrap();
    assert!(a.held().await.unwrap() && !b.held().await.unwrap(), "only the owner releases");
    a.release().await.unwrap();
    a.release().await.unwrap();
    assert_eq!(etcd.value(key).await.unwrap(), r#"{"semaphore":1,"max":1,"holders":[]}"#);
    assert_eq!(etcd.value("slipway/turns/holding/default/a").await, None);
    b.take().await.unwrap();

    // A machine that died in its turn.
    assert!(b.extend().await.unwrap());
    assert!(a.take().await.is_err());
    etcd.expire("b").await;
    assert!(!b.extend().await.unwrap());
    a.take().await.unwrap();
    assert_eq!(etcd.value(key).await.unwrap(), r#"{"semaphore":0,"max":1,"holders":["a"]}"#);
    assert_eq!(b.take().await.unwrap_err().kind, Kind::LockHeld, "who comes back late has to ask again");

    // What is no semaphore is not overwritten.
    let mut client = connect(&etcd.access(0)).await.unwrap();
    client.put(key, "broken", None).await.unwrap();
    assert!(a.take().await.unwrap_err().to_string().contains("makes no sense"));
    assert_eq!(etcd.value(key).await.unwrap(), "broken");
}

#[tokio::test]
async fn however_many_want_it_at_once_no_more_than_max_get_it() {
    let Some(etcd) = Etcd::start(1).await else { return };
    let wishes: Vec<_> = (0..12)
        .map(|index| {
            let lock = etcd.lock(&format!("m{index}"), 3);
            tokio::spawn(async move { lock.take().await })
        })
        .collect();
    let mut granted = 0;
    for wish in wishes {
        granted += usize::from(wish.await.unwrap().is_ok());
    }
    assert_eq!(granted, 3);
}

#[tokio::test]
async fn an_operator_sees_and_helps() {
    let Some(etcd) = Etcd::start(1).await else { return };
    let (access, group) = (etcd.access(0), Group::default());
    let (a, b) = (etcd.lock("a", 1), etcd.lock("b", 1));
    a.take().await.unwrap();
    let why = b.take().await.unwrap_err().reason;
    announce(&access, &group, "b", "n2", Some((&why, 5)), 60).await.unwrap();
    let seen = overview(&access).await.unwrap();
    assert_eq!((seen.len(), seen[0].holders[0].id.as_str(), seen[0].holders[0].dead), (1, "a", false));
    assert_eq!((seen[0].waiting[0].machine.as_str(), seen[0].waiting[0].reason.as_str()), ("n2", why.to_string().as_str()));
    assert_eq!(b.set_max(2).await.unwrap(), 2);
    b.take().await.unwrap();
    announce(&access, &group, "b", "n2", None, 60).await.unwrap();
    assert!(b.release_of("a").await.unwrap());
    assert!(!b.release_of("nobody").await.unwrap());
    etcd.expire("b").await;
    let seen = overview(&access).await.unwrap();
    assert_eq!((seen[0].max, seen[0].waiting.len(), seen[0].holders.len(), seen[0].holders[0].dead), (2, 0, 1, true));
}

#[tokio::test]
async fn the_quorum_stays_and_leadership_goes() {
    let Some(mut etcd) = Etcd::start(3).await else { return };
    let seen = members::observe(&etcd.access(0), "n1").await.unwrap();
    let leader = seen.voters.iter().find(|voter| Some(voter.id) == seen.leader).unwrap().name.clone();
    // Through a member that is not asked itself.
    let index = leader[1..].parse::<usize>().unwrap() - 1;
    let other = etcd.access((index + 1) % 3);
    members::may_leave(&other, &leader).await.unwrap();
    members::hand_over(&other, &leader).await.unwrap();
    let after = members::observe(&other, &leader).await.unwrap();
    assert!(after.leader.is_some() && after.leader != seen.leader, "{after:?}");
    members::hand_over(&other, &leader).await.unwrap();

    // Two machines of groups that know nothing of each other.
    leaving::say(&other, "machine-1", &leader).await.unwrap();
    members::may_leave(&other, &leader).await.unwrap();
    let (staying, name) = (etcd.access((index + 2) % 3), format!("n{}", (index + 2) % 3 + 1));
    let refusal = members::may_leave(&staying, &name).await.unwrap_err();
    assert!(refusal.kind == Kind::Quorum && refusal.to_string().contains("is about to reboot"), "{refusal}");
    leaving::unsay(&other, "machine-1").await.unwrap();
    members::may_leave(&staying, &name).await.unwrap();
    let mut client = connect(&other).await.unwrap();
    client.put("slipway/etcd/lock/1", "", None).await.unwrap();
    assert!(members::may_leave(&staying, &name).await.is_err(), "while members change");
    client.delete("slipway/etcd/lock/1", None).await.unwrap();
    members::may_leave(&staying, "no-member").await.unwrap();

    // One is dead: nobody else may go, but for those that do not vote.
    etcd.kill(index);
    let refusal = members::may_leave(&staying, &name).await.unwrap_err();
    assert!(refusal.kind == Kind::Quorum && refusal.to_string().contains(&format!("{leader} does not answer")), "{refusal}");
    members::may_leave(&staying, "no-member").await.unwrap();

    // Two are dead: nobody can tell, so nobody goes.
    etcd.kill((index + 1) % 3);
    let lock = EtcdLock::new(staying.clone(), Group::default(), "a", "a", 1);
    let (take, may, well) = tokio::join!(lock.take(), members::may_leave(&staying, "no-member"), members::well(&staying, &name));
    for refusal in [take.unwrap_err(), may.unwrap_err()] {
        assert!(refusal.kind == Kind::Unreachable && refusal.to_string().contains("nobody reboots"), "{refusal}");
    }
    let reason: Reason = well.unwrap_err();
    assert!(reason.to_string().contains("quorum"), "{reason}");
}
