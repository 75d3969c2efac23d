//! Docker's types into ours, and back.

use bollard::models::{self, NodeSpec, NodeSpecAvailabilityEnum, NodeSpecRoleEnum, NodeState, Reachability};

use crate::view::{Availability, Node, NodeId, Role, State, Vote};

/// A node; nothing without an id and a version.
#[must_use]
pub fn node(node: models::Node) -> Option<Node> {
    let spec = node.spec.unwrap_or_default();
    let status = node.status.unwrap_or_default();
    let vote = node.manager_status.map(|status| Vote {
        leader: status.leader.unwrap_or(false),
        reachable: status.reachability == Some(Reachability::REACHABLE),
        address: status.addr.unwrap_or_default(),
    });
    Some(Node {
        id: NodeId(node.id?),
        version: node.version?.index?,
        hostname: node.description.and_then(|description| description.hostname).unwrap_or_default(),
        address: status.addr.and_then(|address| address.parse().ok()).filter(|address: &std::net::IpAddr| !address.is_unspecified()),
        state: match status.state {
            Some(NodeState::READY) => State::Ready,
            Some(NodeState::DOWN) => State::Down,
            _ => State::Unknown,
        },
        availability: match spec.availability {
            Some(NodeSpecAvailabilityEnum::DRAIN) => Availability::Drain,
            Some(NodeSpecAvailabilityEnum::PAUSE) => Availability::Pause,
            _ => Availability::Active,
        },
        role: match spec.role {
            Some(NodeSpecRoleEnum::MANAGER) => Role::Manager,
            _ => Role::Worker,
        },
        vote,
        name: spec.name,
        labels: spec.labels.unwrap_or_default().into_iter().collect(),
    })
}

/// What a node is to be.
#[must_use]
pub fn spec(node: &Node) -> NodeSpec {
    NodeSpec {
        name: node.name.clone(),
        labels: Some(node.labels.clone().into_iter().collect()),
        role: Some(match node.role {
            Role::Manager => NodeSpecRoleEnum::MANAGER,
            Role::Worker => NodeSpecRoleEnum::WORKER,
        }),
        availability: Some(match node.availability {
            Availability::Active => NodeSpecAvailabilityEnum::ACTIVE,
            Availability::Pause => NodeSpecAvailabilityEnum::PAUSE,
            Availability::Drain => NodeSpecAvailabilityEnum::DRAIN,
        }),
    }
}
