//! Docker engines that pretend: each on a Unix socket of its own, all in one pretended world.
//!
//! The answers have the form of those that dockerd 26.1.5 gives.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::{Path, Query, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use swarm::engine::Engine;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

/// All engines, and all swarms that they have made.
#[derive(Clone, Default)]
pub struct World(Arc<Mutex<Inner>>);

#[derive(Default)]
pub struct Inner {
    /// Every call that changes something, as `machine METHOD path`.
    pub calls: Vec<String>,
    /// Calls that fail once: the beginning of `machine METHOD path`, and whether the engine does it all the same.
    pub failures: BTreeMap<String, Failure>,
    /// Swarms by name, with their nodes.
    pub swarms: BTreeMap<String, BTreeMap<String, Node>>,
    /// What each machine's engine is in: a swarm and a node.
    pub engines: BTreeMap<String, Daemon>,
    /// The only node on which the service `web` runs, which wants two replicas; without it there is no service.
    pub alone: Option<String>,
    counter: u64,
}

/// How a call fails.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing is done, and Docker says so.
    Refused,
    /// It is done, but the answer never comes.
    AnswerLost,
    /// For joins: Docker says that it goes on in the background, and it does.
    GoesOn,
    /// For joins: Docker says that it goes on in the background, and fails then.
    GoesOnAndFails,
}

#[derive(Clone, Default)]
pub struct Daemon {
    pub swarm: Option<(String, String)>,
    /// The state when it is not the usual one, and the error.
    pub trouble: Option<(String, String)>,
    pub tasks: usize,
    pub down: bool,
}

#[derive(Clone)]
pub struct Node {
    pub machine: String,
    pub address: String,
    pub version: u64,
    pub spec: Value,
    pub leader: bool,
    pub up: bool,
}

impl Node {
    pub fn is_manager(&self) -> bool {
        self.spec["Role"] == "manager"
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        serde_json::from_value(self.spec["Labels"].clone()).unwrap_or_default()
    }
}

/// One engine; it goes away when this is dropped.
pub struct Docker {
    pub engine: Engine,
    task: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone)]
struct Here {
    world: World,
    machine: String,
}

type Answer = Result<Response, Response>;

impl World {
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// An engine for a machine.
    pub fn engine(&self, machine: &str) -> Docker {
        self.lock().engines.entry(machine.to_owned()).or_default();
        let directory = tempfile::tempdir().unwrap();
        let socket: PathBuf = directory.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let here = Here { world: self.clone(), machine: machine.to_owned() };
        let api = Router::new()
            .route("/_ping", get(ping))
            .route("/info", get(info))
            .route("/swarm/init", post(init))
            .route("/swarm/join", post(join))
            .route("/swarm/leave", post(leave))
            .route("/swarm", get(inspect))
            .route("/nodes", get(nodes))
            .route("/nodes/{id}/update", post(update))
            .route("/nodes/{id}", delete(remove))
            .route("/containers/json", get(containers))
            .route("/services", get(services))
            .route("/tasks", get(tasks))
            .with_state(here);
        let task = tokio::spawn(async move { axum::serve(listener, api).await.unwrap() });
        Docker { engine: Engine::at(socket), task, _directory: directory }
    }

    pub fn fail(&self, call: &str, failure: Failure) {
        self.lock().failures.insert(call.to_owned(), failure);
    }

    /// The machine loses its power: nobody reaches its engine, and its node is down.
    pub fn power_off(&self, machine: &str) {
        self.set_power(machine, false);
    }

    pub fn power_on(&self, machine: &str) {
        self.set_power(machine, true);
    }

    fn set_power(&self, machine: &str, up: bool) {
        let mut inner = self.lock();
        inner.engines.get_mut(machine).unwrap().down = !up;
        let Some((swarm, node)) = inner.engines[machine].swarm.clone() else { return };
        let Some(nodes) = inner.swarms.get_mut(&swarm) else { return };
        if let Some(node) = nodes.get_mut(&node) {
            node.up = up;
            node.leader = false;
        }
        if !nodes.values().any(|node| node.leader)
            && let Some(next) = nodes.values_mut().find(|node| node.up && node.is_manager())
        {
            next.leader = true;
        }
    }

    /// The only swarm there is: its nodes by machine.
    pub fn nodes(&self) -> BTreeMap<String, Node> {
        let inner = self.lock();
        let live: BTreeSet<&String> = inner.engines.values().filter_map(|engine| engine.swarm.as_ref().map(|(swarm, _)| swarm)).collect();
        assert!(live.len() <= 1, "there are {} swarms", live.len());
        let nodes = live.first().map(|swarm| inner.swarms[*swarm].clone()).unwrap_or_default();
        nodes.into_values().map(|node| (node.machine.clone(), node)).collect()
    }

    pub fn calls(&self, path: &str) -> Vec<String> {
        self.lock().calls.iter().filter(|call| call.contains(path)).cloned().collect()
    }
}

fn refuse(status: u16, message: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(json!({ "message": message }))).into_response()
}

impl Here {
    /// Notes the call down; a failure that was ordered for it comes out once.
    fn call(&self, method: &Method, uri: &Uri) -> Result<Option<Failure>, Response> {
        let mut inner = self.world.lock();
        if inner.engines[&self.machine].down {
            return Err(refuse(500, "no power"));
        }
        let call = format!("{} {method} {}", self.machine, uri.path());
        if *method != Method::GET {
            inner.calls.push(call.clone());
        }
        let ordered = inner.failures.keys().find(|beginning| call.starts_with(*beginning)).cloned();
        let failure = ordered.and_then(|beginning| inner.failures.remove(&beginning));
        if failure == Some(Failure::Refused) { Err(refuse(500, "the fake was told to fail")) } else { Ok(failure) }
    }

    /// The swarm that this machine manages.
    fn managed(&self, inner: &Inner) -> Result<(String, String), Response> {
        let none = || {
            refuse(
                503,
                "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
            )
        };
        let (swarm, node) = inner.engines[&self.machine].swarm.clone().ok_or_else(none)?;
        let nodes = &inner.swarms[&swarm];
        if !nodes.get(&node).is_some_and(Node::is_manager) {
            return Err(none());
        }
        let managers = nodes.values().filter(|node| node.is_manager());
        if managers.clone().filter(|node| node.up).count() <= managers.count() / 2 {
            return Err(refuse(
                500,
                "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.",
            ));
        }
        Ok((swarm, node))
    }
}

/// The answer, unless it is to get lost.
fn answer(failure: Option<Failure>, value: impl IntoResponse) -> Answer {
    if failure == Some(Failure::AnswerLost) { Err(refuse(500, "the answer was lost")) } else { Ok(value.into_response()) }
}

fn enter(inner: &mut Inner, machine: &str, swarm: &str, address: &str, manager: bool, leader: bool) -> String {
    inner.counter += 1;
    let id = format!("node{}", inner.counter);
    let role = if manager { "manager" } else { "worker" };
    let node = Node {
        machine: machine.to_owned(),
        address: address.rsplit_once(':').unwrap().0.to_owned(),
        version: inner.counter,
        spec: json!({"Labels": {}, "Role": role, "Availability": "active"}),
        leader,
        up: true,
    };
    inner.swarms.entry(swarm.to_owned()).or_default().insert(id.clone(), node);
    inner.engines.get_mut(machine).unwrap().swarm = Some((swarm.to_owned(), id.clone()));
    id
}

const PART_OF_ONE: &str = "This node is already part of a swarm. Use \"docker swarm leave\" to leave this swarm and join another one.";

async fn ping(State(here): State<Here>) -> Response {
    let inner = here.world.lock();
    let engine = &inner.engines[&here.machine];
    let standing = match (&engine.trouble, &engine.swarm) {
        _ if engine.down => return refuse(500, "no power"),
        (Some((state, _)), _) => state.to_string(),
        (None, None) => "inactive".to_owned(),
        (None, Some((swarm, node))) if inner.swarms[swarm].get(node).is_some_and(Node::is_manager) => "active/manager".to_owned(),
        (None, Some(_)) => "active/worker".to_owned(),
    };
    ([("Swarm", standing)], "OK").into_response()
}

async fn info(State(here): State<Here>, method: Method, uri: Uri) -> Answer {
    let failure = here.call(&method, &uri)?;
    let inner = here.world.lock();
    let engine = &inner.engines[&here.machine];
    let none =
        json!({"NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "", "RemoteManagers": null});
    let swarm = match (&engine.trouble, &engine.swarm) {
        (Some((state, error)), _) => {
            json!({"NodeID": "", "NodeAddr": "", "LocalNodeState": state, "ControlAvailable": false, "Error": error, "RemoteManagers": null})
        }
        (None, None) => none,
        (None, Some((swarm, node))) => match inner.swarms[swarm].get(node) {
            Some(known) if known.is_manager() => json!({
                "NodeID": node, "NodeAddr": known.address, "LocalNodeState": "active", "ControlAvailable": true, "Error": "",
                "Cluster": {"ID": swarm, "Version": {"Index": 10}, "Spec": {"Name": "default"}, "DataPathPort": 4789},
            }),
            _ => json!({"NodeID": node, "NodeAddr": "", "LocalNodeState": "active", "ControlAvailable": false, "Error": ""}),
        },
    };
    answer(failure, Json(json!({"ID": here.machine, "Name": here.machine, "Swarm": swarm})))
}

async fn init(State(here): State<Here>, method: Method, uri: Uri, Json(body): Json<Value>) -> Answer {
    let failure = here.call(&method, &uri)?;
    let mut inner = here.world.lock();
    assert_eq!(body["ForceNewCluster"], false, "a new swarm must never be forced");
    if inner.engines[&here.machine].swarm.is_some() {
        return Err(refuse(503, PART_OF_ONE));
    }
    inner.counter += 1;
    let swarm = format!("swarm{}", inner.counter);
    let id = enter(&mut inner, &here.machine, &swarm, body["AdvertiseAddr"].as_str().unwrap(), true, true);
    answer(failure, Json(id))
}

async fn join(State(here): State<Here>, method: Method, uri: Uri, Json(body): Json<Value>) -> Answer {
    let failure = here.call(&method, &uri)?;
    let mut inner = here.world.lock();
    let engine = &inner.engines[&here.machine];
    if engine.swarm.is_some() || engine.trouble.is_some() {
        return Err(refuse(503, PART_OF_ONE));
    }
    let goes_on = "Timeout was reached before node joined. The attempt to join the swarm will continue in the background. Use the \"docker info\" command to see the current swarm status of your node.";
    if failure == Some(Failure::GoesOnAndFails) {
        inner.engines.get_mut(&here.machine).unwrap().trouble = Some(("error".into(), "context deadline exceeded".into()));
        return Err(refuse(503, goes_on));
    }
    let through = body["RemoteAddrs"][0].as_str().unwrap().rsplit_once(':').unwrap().0;
    let token = body["JoinToken"].as_str().unwrap();
    let found = inner.swarms.iter().find(|(_, nodes)| nodes.values().any(|node| node.address == through && node.up && node.is_manager()));
    let Some((swarm, _)) = found.map(|(swarm, nodes)| (swarm.clone(), nodes.len())) else {
        inner.engines.get_mut(&here.machine).unwrap().trouble = Some(("error".into(), "connection refused".into()));
        return Err(refuse(
            500,
            "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: connect: connection refused\"",
        ));
    };
    let manager = match token.strip_prefix(&format!("SWMTKN-1-{swarm}-")) {
        Some("manager") => true,
        Some("worker") => false,
        _ => return Err(refuse(400, "invalid join token")),
    };
    enter(&mut inner, &here.machine, &swarm, body["AdvertiseAddr"].as_str().unwrap(), manager, false);
    if failure == Some(Failure::GoesOn) {
        return Err(refuse(503, goes_on));
    }
    answer(failure, StatusCode::OK)
}

async fn leave(State(here): State<Here>, method: Method, uri: Uri, Query(query): Query<BTreeMap<String, String>>) -> Answer {
    let failure = here.call(&method, &uri)?;
    let force = query.get("force").is_some_and(|force| force == "true");
    let mut inner = here.world.lock();
    let engine = inner.engines[&here.machine].clone();
    match &engine.swarm {
        None if engine.trouble.is_none() => return Err(refuse(503, "This node is not part of a swarm")),
        Some((swarm, node)) if !force && inner.swarms[swarm].get(node).is_some_and(Node::is_manager) => {
            return Err(refuse(503, "You are attempting to leave the swarm on a node that is participating as a manager."));
        }
        Some((swarm, node)) => {
            if let Some(node) = inner.swarms.get_mut(swarm).unwrap().get_mut(node) {
                node.up = false;
            }
        }
        None => {}
    }
    let engine = inner.engines.get_mut(&here.machine).unwrap();
    engine.swarm = None;
    engine.trouble = None;
    answer(failure, StatusCode::OK)
}

async fn inspect(State(here): State<Here>, method: Method, uri: Uri) -> Answer {
    let failure = here.call(&method, &uri)?;
    let inner = here.world.lock();
    let (swarm, _) = here.managed(&inner)?;
    let tokens = json!({"Manager": format!("SWMTKN-1-{swarm}-manager"), "Worker": format!("SWMTKN-1-{swarm}-worker")});
    answer(failure, Json(json!({"ID": swarm, "Version": {"Index": 10}, "Spec": {"Name": "default", "Labels": {}}, "JoinTokens": tokens})))
}

async fn nodes(State(here): State<Here>, method: Method, uri: Uri) -> Answer {
    let failure = here.call(&method, &uri)?;
    let inner = here.world.lock();
    let (swarm, _) = here.managed(&inner)?;
    let node = |(id, node): (&String, &Node)| {
        let mut value = json!({
            "ID": id, "Version": {"Index": node.version}, "CreatedAt": "2026-11-21T10:00:00.5Z", "UpdatedAt": "2026-11-21T10:00:01Z",
            "Spec": node.spec,
            "Description": {"Hostname": node.machine, "Platform": {"Architecture": "x86_64", "OS": "linux"}},
            "Status": {"State": if node.up { "ready" } else { "down" }, "Addr": node.address},
        });
        if node.is_manager() {
            value["ManagerStatus"] =
                json!({"Reachability": if node.up { "reachable" } else { "unreachable" }, "Addr": format!("{}:2377", node.address)});
            if node.leader {
                value["ManagerStatus"]["Leader"] = json!(true);
            }
        }
        value
    };
    answer(failure, Json(inner.swarms[&swarm].iter().map(node).collect::<Vec<_>>()))
}

async fn update(
    State(here): State<Here>,
    Path(id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    method: Method,
    uri: Uri,
    Json(spec): Json<Value>,
) -> Answer {
    let failure = here.call(&method, &uri)?;
    let mut inner = here.world.lock();
    let (swarm, _) = here.managed(&inner)?;
    inner.counter += 1;
    let version = inner.counter;
    let nodes = inner.swarms.get_mut(&swarm).unwrap();
    let managers = nodes.values().filter(|node| node.is_manager()).count();
    let Some(node) = nodes.get_mut(&id) else { return Err(refuse(404, &format!("node {id} not found"))) };
    if query["version"] != node.version.to_string() {
        return Err(refuse(500, "rpc error: code = Unknown desc = update out of sequence"));
    }
    if node.is_manager() && spec["Role"] == "worker" && managers == 1 {
        return Err(refuse(400, "attempting to demote the last manager of the swarm"));
    }
    node.version = version;
    let drained_before = node.spec["Availability"] == "drain";
    node.spec = spec;
    let led = node.leader && !node.is_manager();
    node.leader &= !led;
    // Tasks end when a node is drained, not at every other change of a drained one.
    let drained = (node.spec["Availability"] == "drain" && !drained_before).then(|| node.machine.clone());
    if led && let Some(next) = nodes.values_mut().find(|node| node.up && node.is_manager()) {
        next.leader = true;
    }
    if let Some(machine) = drained {
        inner.engines.get_mut(&machine).unwrap().tasks = 0;
    }
    answer(failure, StatusCode::OK)
}

async fn remove(State(here): State<Here>, Path(id): Path<String>, method: Method, uri: Uri) -> Answer {
    let failure = here.call(&method, &uri)?;
    let mut inner = here.world.lock();
    let (swarm, _) = here.managed(&inner)?;
    let nodes = inner.swarms.get_mut(&swarm).unwrap();
    match nodes.get(&id) {
        None => return Err(refuse(404, &format!("node {id} not found"))),
        Some(node) if node.is_manager() => {
            return Err(refuse(
                400,
                &format!(
                    "rpc error: code = FailedPrecondition desc = node {id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal"
                ),
            ));
        }
        Some(node) if node.up => {
            return Err(refuse(400, &format!("rpc error: code = FailedPrecondition desc = node {id} is not down and can't be removed")));
        }
        Some(_) => drop(nodes.remove(&id)),
    }
    answer(failure, StatusCode::OK)
}

async fn containers(State(here): State<Here>, method: Method, uri: Uri) -> Answer {
    let failure = here.call(&method, &uri)?;
    assert!(uri.query().unwrap_or_default().contains("com.docker.swarm.task.id"), "all containers were listed");
    let tasks = here.world.lock().engines[&here.machine].tasks;
    answer(failure, Json((0..tasks).map(|number| json!({"Id": format!("c{number}")})).collect::<Vec<_>>()))
}

async fn services(State(here): State<Here>, method: Method, uri: Uri) -> Answer {
    let failure = here.call(&method, &uri)?;
    let inner = here.world.lock();
    here.managed(&inner)?;
    let web = json!({"ID": "s", "Spec": {"Name": "web", "Mode": {"Replicated": {"Replicas": 2}}}});
    answer(failure, Json(inner.alone.iter().map(|_| web.clone()).collect::<Vec<_>>()))
}

async fn tasks(State(here): State<Here>, method: Method, uri: Uri) -> Answer {
    let failure = here.call(&method, &uri)?;
    let inner = here.world.lock();
    here.managed(&inner)?;
    let task = |node| json!({"ServiceID": "s", "NodeID": node, "DesiredState": "running", "Status": {"State": "running"}});
    answer(failure, Json(inner.alone.iter().map(task).collect::<Vec<_>>()))
}
