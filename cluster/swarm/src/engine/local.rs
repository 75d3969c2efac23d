//! What this machine is in the swarm, by its own engine.

use bollard::models::{LocalNodeState, SwarmInfo};

use crate::view::NodeId;

/// What this machine is in the swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// In which state it is.
    pub state: LocalState,
    /// Its node, while it has one.
    pub node: Option<NodeId>,
    /// It is a manager that works.
    pub manager: bool,
    /// The swarm; only managers know.
    pub cluster: Option<String>,
    /// What Docker says about what went wrong; empty when nothing did.
    pub error: String,
}

/// In which state this machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalState {
    /// In no swarm.
    Inactive,
    /// On the way into one.
    Pending,
    /// In one.
    Active,
    /// In one, but it cannot work there.
    Error,
    /// In one whose store was locked by a person.
    Locked,
}

impl From<SwarmInfo> for Local {
    fn from(info: SwarmInfo) -> Self {
        let state = match info.local_node_state {
            Some(LocalNodeState::ACTIVE) => LocalState::Active,
            Some(LocalNodeState::PENDING) => LocalState::Pending,
            Some(LocalNodeState::ERROR) => LocalState::Error,
            Some(LocalNodeState::LOCKED) => LocalState::Locked,
            Some(LocalNodeState::INACTIVE | LocalNodeState::EMPTY) | None => LocalState::Inactive,
        };
        Self {
            state,
            node: info.node_id.filter(|id| !id.is_empty()).map(NodeId),
            manager: info.control_available.unwrap_or(false),
            cluster: info.cluster.and_then(|cluster| cluster.id).filter(|id| !id.is_empty()),
            error: info.error.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: &Local) {
        let info: SwarmInfo = serde_json::from_str(json).unwrap();
        assert_eq!(Local::from(info), *expected);
    }

    #[test]
    fn docker_says_what_this_machine_is() {
        let inactive = Local { state: LocalState::Inactive, node: None, manager: false, cluster: None, error: String::new() };
        check(
            r#"{"NodeID":"","NodeAddr":"","LocalNodeState":"inactive","ControlAvailable":false,"Error":"","RemoteManagers":null}"#,
            &inactive,
        );
        check("{}", &inactive);
        let worker = Local { state: LocalState::Active, node: Some(NodeId("n".into())), ..inactive.clone() };
        check(
            r#"{"NodeID":"n","NodeAddr":"10.0.0.2","LocalNodeState":"active","ControlAvailable":false,"Error":"",
                "RemoteManagers":[{"NodeID":"m","Addr":"10.0.0.1:2377"}]}"#,
            &worker,
        );
        check(
            r#"{"NodeID":"n","LocalNodeState":"active","ControlAvailable":true,"Error":"","Cluster":{"ID":"c"}}"#,
            &Local { manager: true, cluster: Some("c".into()), ..worker },
        );
        check(
            r#"{"NodeID":"","LocalNodeState":"error","ControlAvailable":false,"Error":"Swarm certificates have expired."}"#,
            &Local { state: LocalState::Error, error: "Swarm certificates have expired.".into(), ..inactive },
        );
    }
}
