//! Machines become one swarm over a real etcd, whatever fails on the way. Docker is pretended.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use cluster_store::{Machine, Presence, Report};
use support::docker::{Docker, Failure, World};
use support::etcd::Etcd;
use swarm::form::step::Pace;
use swarm::run::{Setup, run_with};
use swarm::seal::Seal;
use swarm::{Node, Plan};
use tokio::task::JoinHandle;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A machine of the cluster, from its presence to its agent.
struct Host {
    machine: Machine,
    docker: Docker,
    _presence: Presence,
    report: Report,
    agent: JoinHandle<()>,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.agent.abort();
    }
}

struct Cluster {
    etcd: Etcd,
    world: World,
    hosts: BTreeMap<String, Host>,
}

impl Cluster {
    async fn new() -> Option<Self> {
        Some(Self { etcd: Etcd::start().await?, world: World::default(), hosts: BTreeMap::new() })
    }

    async fn add(&mut self, number: u8) {
        self.add_with(number, Plan::default(), support::pace(), secret()).await;
    }

    async fn add_with(&mut self, number: u8, plan: Plan, pace: Pace, seal: Seal) {
        let id = format!("m{number}");
        let metadata = BTreeMap::from([("number".to_owned(), number.to_string())]);
        let machine = Machine { id: id.clone(), name: id.clone(), address: [10, 0, 0, number].into(), metadata };
        let presence = self.etcd.presence(&machine).await;
        let docker = self.world.engine(&id);
        let report = Report::alone("swarm");
        let setup = Setup { access: self.etcd.access.clone(), machine: machine.clone(), plan, seal, engine: docker.engine.clone(), pace };
        let told = report.clone();
        let agent = tokio::spawn(async move {
            let never = run_with(setup, told).await;
            match never {}
        });
        self.hosts.insert(id, Host { machine, docker, _presence: presence, report, agent });
    }

    /// The power goes, and with it the machine's presence in etcd.
    async fn lose(&mut self, id: &str) {
        let host = self.hosts.remove(id).unwrap();
        self.world.power_off(id);
        host.agent.abort();
        let mut client = self.etcd.access.connect().await.unwrap();
        client.delete(format!("slipway/machines/{id}"), None).await.unwrap();
    }

    async fn wait(&self, what: &str, mut good: impl FnMut(&World) -> bool) {
        let begun = std::time::Instant::now();
        while !good(&self.world) {
            if begun.elapsed() > LIMIT {
                let says: Vec<_> = self.hosts.iter().map(|(id, host)| (id, host.report.last())).collect();
                panic!("not within {LIMIT:?}: {what}\n{says:#?}\n{:#?}", self.world.lock().calls);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for so many nodes that are up, and so many managers among them.
    async fn stands(&self, nodes: usize, managers: usize) {
        self.wait(&format!("{nodes} nodes and {managers} managers"), |world| {
            let swarms: std::collections::BTreeSet<_> = world
                .lock()
                .engines
                .values()
                .filter(|engine| !engine.down)
                .filter_map(|engine| engine.swarm.clone().map(|(swarm, _)| swarm))
                .collect();
            if swarms.len() != 1 {
                return false;
            }
            let all = world.lock().swarms[swarms.first().unwrap()].clone();
            let up = all.values().filter(|node| node.up);
            up.clone().count() == nodes && up.filter(|node| node.is_manager()).count() == managers
        })
        .await;
    }

    async fn value(&self, key: &str) -> Option<String> {
        let answer = self.etcd.access.connect().await.unwrap().get(key, None).await.unwrap();
        answer.kvs().first().map(|kv| kv.value_str().unwrap().to_owned())
    }

    fn node(&self, id: &str) -> Node {
        let host = &self.hosts[id];
        Node::with(self.etcd.access.clone(), host.machine.id.clone(), host.docker.engine.clone(), support::pace())
    }
}

fn secret() -> Seal {
    Seal::choose(false, Some(b"correct horse battery")).unwrap()
}

#[tokio::test]
async fn five_machines_become_three_managers_and_two_workers() {
    let Some(mut cluster) = Cluster::new().await else { return };
    for number in 1..=5 {
        cluster.add(number).await;
    }
    cluster.stands(5, 3).await;
    assert_eq!(cluster.world.calls("/swarm/init").len(), 1, "one machine starts the swarm");
    cluster.wait("labels", |world| world.nodes().values().all(|node| node.labels().contains_key("number"))).await;
    let stored = cluster.value("slipway/swarm/token/manager").await.unwrap();
    assert!(stored.starts_with("sealed1:"), "{stored}");
}

#[tokio::test]
async fn one_and_two_machines_have_one_manager_and_a_third_makes_three() {
    let Some(mut cluster) = Cluster::new().await else { return };
    cluster.add(1).await;
    cluster.stands(1, 1).await;
    cluster.add(2).await;
    cluster.stands(2, 1).await;
    cluster.add(3).await;
    cluster.stands(3, 3).await;
}

#[tokio::test]
async fn a_failure_at_each_step_of_the_start_is_survived() {
    let calls = ["m1 POST /swarm/init", "m1 GET /swarm", "m1 GET /info", "m1 GET /nodes"];
    for (call, failure) in calls.into_iter().flat_map(|call| [(call, Failure::Refused), (call, Failure::AnswerLost)]) {
        let Some(mut cluster) = Cluster::new().await else { return };
        cluster.world.fail(call, failure);
        for number in 1..=3 {
            cluster.add(number).await;
        }
        cluster.stands(3, 3).await;
        assert!(cluster.world.lock().swarms.len() == 1, "after {call} there were {} swarms", cluster.world.lock().swarms.len());
    }
}

#[tokio::test]
async fn a_failure_at_each_way_of_joining_is_survived() {
    for failure in [Failure::Refused, Failure::AnswerLost, Failure::GoesOn, Failure::GoesOnAndFails] {
        let Some(mut cluster) = Cluster::new().await else { return };
        cluster.world.fail("m2 POST /swarm/join", failure);
        cluster.world.fail("m3 POST /swarm/join", failure);
        for number in 1..=3 {
            cluster.add(number).await;
        }
        cluster.stands(3, 3).await;
    }
}

#[tokio::test]
async fn a_swarm_whose_starter_dies_before_it_could_say_so_is_waited_for_while_the_machine_is_there() {
    let Some(mut cluster) = Cluster::new().await else { return };
    // The engine of m1 has a swarm that etcd does not know, and m1 said that it starts one.
    let docker = cluster.world.engine("m1");
    docker.engine.init([10, 0, 0, 1].into()).await.unwrap();
    let machine = Machine { id: "m1".into(), name: "m1".into(), address: [10, 0, 0, 1].into(), metadata: BTreeMap::new() };
    let presence = cluster.etcd.presence(&machine).await;
    cluster.etcd.access.connect().await.unwrap().put("slipway/swarm/initialiser", "m1", None).await.unwrap();
    cluster.add(2).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(cluster.world.calls("m2 POST"), Vec::<String>::new(), "m2 must not start another swarm");
    drop((docker, presence));
    cluster.add(1).await;
    cluster.stands(2, 1).await;
    assert_eq!(cluster.world.calls("m2 POST"), ["m2 POST /swarm/join"]);
}

#[tokio::test]
async fn joiners_try_one_manager_after_another() {
    let Some(mut cluster) = Cluster::new().await else { return };
    for number in 1..=3 {
        cluster.add(number).await;
    }
    cluster.stands(3, 3).await;
    // A list from before a power cut: its first manager is not there any more.
    let Some((swarm, _)) = cluster.world.lock().engines["m1"].swarm.clone() else { panic!("m1 is in no swarm") };
    for host in cluster.hosts.values() {
        host.agent.abort();
    }
    let join = format!(r#"{{"cluster":"{swarm}","managers":["10.0.0.99:2377","10.0.0.2:2377"]}}"#);
    cluster.etcd.access.connect().await.unwrap().put("slipway/swarm/join", join, None).await.unwrap();
    cluster.add(4).await;
    cluster.stands(4, 3).await;
    assert_eq!(cluster.world.calls("m4 POST"), ["m4 POST /swarm/join", "m4 POST /swarm/leave", "m4 POST /swarm/join"]);
}

#[tokio::test]
async fn a_lost_manager_is_replaced_and_its_node_removed() {
    let Some(mut cluster) = Cluster::new().await else { return };
    let plan = Plan { replace_after: Duration::from_millis(300), ..Plan::default() };
    for number in 1..=4 {
        cluster.add_with(number, plan.clone(), support::pace(), secret()).await;
    }
    cluster.stands(4, 3).await;
    let follower = cluster.world.nodes().values().find(|node| node.is_manager() && !node.leader).unwrap().machine.clone();
    let id = cluster.world.lock().engines[&follower].swarm.clone().unwrap().1;
    cluster.lose(&follower).await;
    cluster.stands(3, 3).await;
    cluster.wait("the dead node is gone", |world| world.lock().swarms.values().all(|nodes| !nodes.contains_key(&id))).await;
    let calls = cluster.world.calls(&format!("/nodes/{id}"));
    let order: Vec<&str> = calls.iter().filter_map(|call| call.split(' ').nth(1)).collect();
    assert_eq!(order.last(), Some(&"DELETE"), "{calls:?}");
    assert!(order.len() >= 2 && order[order.len() - 2] == "POST", "demoted before it was removed: {calls:?}");
    assert!(cluster.value(&format!("slipway/swarm/members/{follower}")).await.unwrap().contains("removed"));

    // It comes back: with what the others wrote down it knows that it may forget the swarm.
    cluster.world.lock().engines.get_mut(&follower).unwrap().trouble = Some(("error".into(), "raft: no cluster leader".into()));
    cluster.world.power_on(&follower);
    let number = follower[1..].parse().unwrap();
    cluster.add_with(number, plan, support::pace(), secret()).await;
    cluster.stands(4, 3).await;
    assert_eq!(cluster.world.calls(&format!("{follower} POST /swarm/leave")).len(), 1);
}

#[tokio::test]
async fn a_manager_with_an_old_certificate_is_removed_by_the_others_before_it_leaves() {
    let Some(mut cluster) = Cluster::new().await else { return };
    for number in 1..=3 {
        cluster.add(number).await;
    }
    cluster.stands(3, 3).await;
    let follower = cluster.world.nodes().values().find(|node| !node.leader).unwrap().machine.clone();
    {
        let mut world = cluster.world.lock();
        let (swarm, node) = world.engines[&follower].swarm.clone().unwrap();
        world.swarms.get_mut(&swarm).unwrap().get_mut(&node).unwrap().up = false;
        let expired = "Swarm certificates have expired. To replace them, leave the swarm and join again.";
        world.engines.get_mut(&follower).unwrap().trouble = Some(("error".into(), expired.into()));
        world.calls.clear();
    }
    cluster.stands(3, 3).await;
    let calls = cluster.world.lock().calls.clone();
    let removed = calls.iter().position(|call| call.contains("DELETE /nodes/")).unwrap();
    let left = calls.iter().position(|call| call.contains("/swarm/leave")).unwrap();
    assert!(removed < left, "{calls:?}");
}

#[tokio::test]
async fn a_node_is_drained_before_a_reboot_and_gets_tasks_after_it() {
    let Some(mut cluster) = Cluster::new().await else { return };
    for number in 1..=4 {
        cluster.add(number).await;
    }
    cluster.stands(4, 3).await;
    for id in ["m1", "m4"] {
        cluster.world.lock().engines.get_mut(id).unwrap().tasks = 2;
        let node = cluster.node(id);
        node.quorum_after_leaving().await.unwrap();
        node.drain().await.unwrap();
        assert_eq!(cluster.world.nodes()[id].spec["Availability"], "drain");
        assert!(node.settled().await.is_err());
        node.drain().await.unwrap();
        node.undrain().await.unwrap();
        assert_eq!(cluster.world.nodes()[id].spec["Availability"], "active");
        node.settled().await.unwrap();
        node.undrain().await.unwrap();
    }
}

#[tokio::test]
async fn a_node_is_drained_when_what_it_runs_also_runs_elsewhere() {
    let Some(mut cluster) = Cluster::new().await else { return };
    for number in 1..=3 {
        cluster.add(number).await;
    }
    cluster.stands(3, 3).await;
    let node = cluster.world.lock().engines["m2"].swarm.clone().unwrap().1;
    cluster.world.lock().alone = Some(node);
    let quick = Pace { part: Duration::from_secs(1), ..support::pace() };
    let impatient = Node::with(cluster.etcd.access.clone(), "m2", cluster.hosts["m2"].docker.engine.clone(), quick);
    let reason = impatient.drain().await.unwrap_err().to_string();
    assert!(reason.contains("leader has not seen"), "{reason}");
    assert_eq!(cluster.world.nodes()["m2"].spec["Availability"], "active");
    cluster.world.lock().alone = None;
    cluster.node("m2").drain().await.unwrap();
    assert_eq!(cluster.world.nodes()["m2"].spec["Availability"], "drain");
}

#[tokio::test]
async fn tasks_that_do_not_end_and_a_leader_that_does_not_answer_stop_a_reboot() {
    let Some(mut cluster) = Cluster::new().await else { return };
    for number in 1..=3 {
        cluster.add(number).await;
    }
    cluster.stands(3, 3).await;
    let soon = Duration::from_millis(500);
    let quick = Pace { drain: Duration::from_millis(200), part: soon, acknowledge: soon, ..support::pace() };
    let impatient = Node::with(cluster.etcd.access.clone(), "m2", cluster.hosts["m2"].docker.engine.clone(), quick);
    cluster.node("m2").drain().await.unwrap();
    cluster.world.lock().engines.get_mut("m2").unwrap().tasks = 1;
    let reason = impatient.drain().await.unwrap_err().to_string();
    assert!(reason.contains("1 tasks still run"), "{reason}");
    cluster.world.lock().engines.get_mut("m2").unwrap().tasks = 0;
    for host in cluster.hosts.values() {
        host.agent.abort();
    }
    let reason = impatient.undrain().await.unwrap_err().to_string();
    assert!(reason.contains("leader has not seen"), "{reason}");
}

#[tokio::test]
async fn a_manager_that_the_quorum_needs_does_not_go() {
    let Some(mut cluster) = Cluster::new().await else { return };
    for number in 1..=3 {
        cluster.add(number).await;
    }
    cluster.stands(3, 3).await;
    cluster.lose("m3").await;
    let reason = cluster.node("m1").quorum_after_leaving().await.unwrap_err().to_string();
    assert!(reason.contains("2 are needed"), "{reason}");
    cluster.lose("m2").await;
    let reason = cluster.node("m1").quorum_after_leaving().await.unwrap_err().to_string();
    assert!(reason.contains("does not have a leader"), "{reason}");
}

#[tokio::test]
async fn without_a_secret_that_is_said_and_with_another_one_nobody_joins() {
    let Some(mut cluster) = Cluster::new().await else { return };
    cluster.add_with(1, Plan::default(), support::pace(), Seal::Open).await;
    cluster.stands(1, 1).await;
    cluster
        .wait("a warning", |_| cluster.hosts["m1"].report.last().is_some_and(|told| told.reason.contains("root on every machine")))
        .await;
    cluster.add(2).await;
    cluster.wait("a refusal", |_| cluster.hosts["m2"].report.last().is_some_and(|told| told.reason.contains("not sealed"))).await;
    assert_eq!(cluster.world.calls("m2 POST"), Vec::<String>::new());
}
