//! The Docker engine of this machine, over its socket: what is asked of it, and nothing more.
//!
//! | module | holds |
//! | --- | --- |
//! | [`local`] | what this machine is in the swarm, by its own engine |
//! | [`glance`] | the same, asked for little as long as nothing changes |
//! | [`convert`] | Docker's types into ours |

pub mod convert;
pub mod glance;
pub mod local;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;

use bollard::models::{Service, ServiceSpec, SwarmInitRequest, SwarmJoinRequest, Task};
use bollard::query_parameters::{
    DeleteNodeOptionsBuilder, LeaveSwarmOptionsBuilder, ListContainersOptionsBuilder, ListServicesOptions, ListTasksOptions,
    UpdateNodeOptionsBuilder, UpdateServiceOptionsBuilder,
};
use bollard::{ClientVersion, Docker};
use zeroize::Zeroizing;

use crate::view::{Node, NodeId};
pub use local::{Local, LocalState};

/// Where Docker listens.
pub const SOCKET: &str = "/run/docker.sock";
/// The version of Docker's API that was tried. `bollard` leaves it out of the paths, so that Docker answers in its own.
const API: &ClientVersion = &ClientVersion { major_version: 1, minor_version: 45 };
/// How long one request may take, in seconds. Joining answers after 20 s at the latest, leaving waits for tasks to stop.
const REQUEST_SECONDS: u64 = 60;
/// The port on which managers talk; Docker's default, and what [`crate::record::Join`] holds.
const PORT: u16 = 2377;
/// Docker puts this label on each container that is a task of a swarm.
const TASK_LABEL: &str = "com.docker.swarm.task.id";
/// What Docker says with [`UNAVAILABLE`] when a join goes on in the background.
const GOES_ON: &str = "continue in the background";
/// The status with which Docker says that something is not possible in the state the node is in.
const UNAVAILABLE: u16 = 503;

/// Why Docker did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// It does not answer.
    #[error("Docker at {} does not answer while {what}: {source}; see `systemctl status docker.service`", socket.display())]
    Unreachable {
        /// What was asked.
        what: &'static str,
        /// Where.
        socket: PathBuf,
        /// What the connection says.
        source: Box<bollard::errors::Error>,
    },
    /// It says no.
    #[error("Docker refuses {what}: {message}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// Its status.
        status: u16,
        /// Its reason.
        message: String,
    },
    /// Its answer lacks something.
    #[error("Docker's answer to {what} has no {missing}")]
    Incomplete {
        /// What was asked.
        what: &'static str,
        /// What is not there.
        missing: &'static str,
    },
}

/// How a join ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// The node is in.
    Now,
    /// Docker goes on trying; the node's state says how it ends.
    GoesOn,
}

/// The join tokens and the name of a swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swarm {
    /// Docker's name for it.
    pub cluster: String,
    /// Makes managers.
    pub manager_token: Zeroizing<String>,
    /// Makes workers.
    pub worker_token: Zeroizing<String>,
}

/// The engine of this machine. Cheap to clone; each request connects anew, so a restart of Docker needs nothing.
#[derive(Debug, Clone)]
pub struct Engine {
    socket: PathBuf,
}

impl Default for Engine {
    fn default() -> Self {
        Self::at(SOCKET)
    }
}

impl Engine {
    /// The engine that listens there.
    #[must_use]
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    fn docker(&self, what: &'static str) -> Result<Docker, EngineError> {
        let path = self.socket.to_string_lossy();
        Docker::connect_with_unix(&path, REQUEST_SECONDS, API).map_err(|error| self.error(what, error))
    }

    fn error(&self, what: &'static str, error: bollard::errors::Error) -> EngineError {
        match error {
            bollard::errors::Error::DockerResponseServerError { status_code, message } => {
                EngineError::Refused { what, status: status_code, message }
            }
            source => EngineError::Unreachable { what, socket: self.socket.clone(), source: Box::new(source) },
        }
    }

    /// What this machine is in the swarm.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn local(&self) -> Result<Local, EngineError> {
        const WHAT: &str = "asking for its state";
        let info = self.docker(WHAT)?.info().await.map_err(|error| self.error(WHAT, error))?;
        Ok(Local::from(info.swarm.unwrap_or_default()))
    }

    /// Starts a swarm of which this machine is the only node.
    ///
    /// # Errors
    /// Docker does not answer, or the machine is in a swarm.
    pub async fn init(&self, address: IpAddr) -> Result<NodeId, EngineError> {
        const WHAT: &str = "starting a swarm";
        let request = SwarmInitRequest {
            listen_addr: Some(listen(address)),
            advertise_addr: Some(with_port(address)),
            force_new_cluster: Some(false),
            ..SwarmInitRequest::default()
        };
        self.docker(WHAT)?.init_swarm(request).await.map(NodeId).map_err(|error| self.error(WHAT, error))
    }

    /// Joins through one manager. Docker would use only the first of several.
    ///
    /// # Errors
    /// Docker does not answer, or refuses: the manager does not answer, the token is not that of the swarm.
    pub async fn join(&self, address: IpAddr, manager: &str, token: &str) -> Result<Joined, EngineError> {
        const WHAT: &str = "joining the swarm";
        let request = SwarmJoinRequest {
            listen_addr: Some(listen(address)),
            advertise_addr: Some(with_port(address)),
            data_path_addr: None,
            remote_addrs: Some(vec![manager.to_owned()]),
            join_token: Some(token.to_owned()),
        };
        match self.docker(WHAT)?.join_swarm(request).await.map_err(|error| self.error(WHAT, error)) {
            Ok(()) => Ok(Joined::Now),
            Err(EngineError::Refused { status: UNAVAILABLE, message, .. }) if message.contains(GOES_ON) => Ok(Joined::GoesOn),
            Err(error) => Err(error),
        }
    }

    /// Leaves the swarm, or gives up joining one. `Force` is what a manager needs, and what costs the others a vote.
    ///
    /// # Errors
    /// Docker does not answer, or refuses.
    pub async fn leave(&self, force: Force) -> Result<(), EngineError> {
        const WHAT: &str = "leaving the swarm";
        let options = LeaveSwarmOptionsBuilder::default().force(force == Force::Yes).build();
        self.docker(WHAT)?.leave_swarm(Some(options)).await.map_err(|error| self.error(WHAT, error))
    }

    /// Name and tokens of the swarm; managers only.
    ///
    /// # Errors
    /// Docker does not answer, or this node is no manager, or there is no leader.
    pub async fn swarm(&self) -> Result<Swarm, EngineError> {
        const WHAT: &str = "looking at the swarm";
        let missing = |missing| EngineError::Incomplete { what: WHAT, missing };
        let swarm = self.docker(WHAT)?.inspect_swarm().await.map_err(|error| self.error(WHAT, error))?;
        let tokens = swarm.join_tokens.ok_or_else(|| missing("join tokens"))?;
        Ok(Swarm {
            cluster: swarm.id.ok_or_else(|| missing("id"))?,
            manager_token: Zeroizing::new(tokens.manager.ok_or_else(|| missing("token for managers"))?),
            worker_token: Zeroizing::new(tokens.worker.ok_or_else(|| missing("token for workers"))?),
        })
    }

    /// The nodes; managers only.
    ///
    /// # Errors
    /// Docker does not answer, or this node is no manager, or there is no leader.
    pub async fn nodes(&self) -> Result<Vec<Node>, EngineError> {
        const WHAT: &str = "listing the nodes";
        let nodes = self.docker(WHAT)?.list_nodes(None).await.map_err(|error| self.error(WHAT, error))?;
        nodes.into_iter().map(|node| convert::node(node).ok_or(EngineError::Incomplete { what: WHAT, missing: "id or version" })).collect()
    }

    /// Changes a node as it was seen in `node`; refused when somebody has changed it since then.
    ///
    /// # Errors
    /// Docker does not answer, or refuses.
    pub async fn update_node(&self, node: &Node) -> Result<(), EngineError> {
        const WHAT: &str = "changing a node";
        let options = UpdateNodeOptionsBuilder::default().version(i64::try_from(node.version).unwrap_or(i64::MAX)).build();
        self.docker(WHAT)?.update_node(&node.id.0, convert::spec(node), options).await.map_err(|error| self.error(WHAT, error))
    }

    /// Removes a node that is down and no manager.
    ///
    /// # Errors
    /// Docker does not answer, or refuses: the node is up again, or still a manager.
    pub async fn remove_node(&self, id: &NodeId) -> Result<(), EngineError> {
        const WHAT: &str = "removing a node";
        let options = DeleteNodeOptionsBuilder::default().force(false).build();
        self.docker(WHAT)?.delete_node(&id.0, Some(options)).await.map_err(|error| self.error(WHAT, error))
    }

    /// How many tasks of the swarm run on this machine; also known to workers.
    ///
    /// # Errors
    /// Docker does not answer.
    pub async fn tasks_here(&self) -> Result<usize, EngineError> {
        const WHAT: &str = "listing the tasks of this machine";
        let filters = HashMap::from([("label", vec![TASK_LABEL])]);
        let options = ListContainersOptionsBuilder::default().filters(&filters).build();
        let containers = self.docker(WHAT)?.list_containers(Some(options)).await.map_err(|error| self.error(WHAT, error))?;
        Ok(containers.len())
    }

    /// All services; managers only.
    ///
    /// # Errors
    /// Docker does not answer, or this node is no manager.
    pub async fn services(&self) -> Result<Vec<Service>, EngineError> {
        const WHAT: &str = "listing the services";
        self.docker(WHAT)?.list_services(None::<ListServicesOptions>).await.map_err(|error| self.error(WHAT, error))
    }

    /// One service; managers only.
    ///
    /// # Errors
    /// Docker does not answer, or there is no such service.
    pub async fn service(&self, id: &str) -> Result<Service, EngineError> {
        const WHAT: &str = "looking at a service";
        self.docker(WHAT)?.inspect_service(id, None).await.map_err(|error| self.error(WHAT, error))
    }

    /// All tasks, also past ones that Docker remembers; managers only.
    ///
    /// # Errors
    /// Docker does not answer, or this node is no manager.
    pub async fn tasks(&self) -> Result<Vec<Task>, EngineError> {
        const WHAT: &str = "listing the tasks";
        self.docker(WHAT)?.list_tasks(None::<ListTasksOptions>).await.map_err(|error| self.error(WHAT, error))
    }

    /// Replaces all tasks of a service, by the service's own rules for updates.
    ///
    /// # Errors
    /// Docker does not answer, or somebody has changed the service in between.
    pub async fn restart_service(&self, id: &str) -> Result<(), EngineError> {
        const WHAT: &str = "updating a service";
        let missing = |missing| EngineError::Incomplete { what: WHAT, missing };
        let service = self.service(id).await?;
        let version = service.version.and_then(|version| version.index).ok_or_else(|| missing("version"))?;
        let mut spec: ServiceSpec = service.spec.ok_or_else(|| missing("spec"))?;
        let template = spec.task_template.as_mut().ok_or_else(|| missing("task template"))?;
        template.force_update = Some(template.force_update.unwrap_or(0).wrapping_add(1));
        let options =
            UpdateServiceOptionsBuilder::default().version(i32::try_from(version).map_err(|_| missing("usable version"))?).build();
        self.docker(WHAT)?.update_service(id, spec, options, None).await.map(drop).map_err(|error| self.error(WHAT, error))
    }
}

/// Whether to leave although that costs something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// Also as a manager.
    Yes,
    /// Only when it harms nobody.
    No,
}

/// Everywhere, in the family of the address.
fn listen(address: IpAddr) -> String {
    match address {
        IpAddr::V4(_) => format!("0.0.0.0:{PORT}"),
        IpAddr::V6(_) => format!("[::]:{PORT}"),
    }
}

fn with_port(address: IpAddr) -> String {
    std::net::SocketAddr::new(address, PORT).to_string()
}
