//! Services whose tasks sit unevenly. Swarm never moves a task that runs, so after a node has come back it stays empty.
//!
//! Moving means replacing: `docker service update --force` starts every task of the service anew, by the service's own rules for
//! updates. That is why it is a person's command, one service at a time, and nothing that the keeper does.

use std::collections::BTreeMap;
use std::time::Duration;

use bollard::models::{Service, ServiceUpdateStatusStateEnum as Update, Task, TaskState};
use serde::Serialize;
use tokio::time::Instant;

use crate::engine::{Engine, EngineError};
use crate::view::{Availability, Node, Role, State};

/// A difference of one task is as even as it gets.
const EVEN: usize = 1;
/// How long one service may take to be updated.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A service whose tasks sit unevenly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Uneven {
    /// Docker's id of it.
    #[serde(skip)]
    pub id: String,
    /// Its name.
    pub service: String,
    /// How many tasks run on each node that it may use, by the node's host name and the first digits of its id.
    pub tasks: BTreeMap<String, usize>,
}

/// A service that was passed over, because it is not known which nodes it may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Unclear {
    /// Its name.
    pub service: String,
    /// The constraint that only Docker understands.
    pub constraint: String,
}

/// What there is to do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Findings {
    /// To be updated, by name.
    pub uneven: Vec<Uneven>,
    /// Passed over.
    pub unclear: Vec<Unclear>,
}

/// Why a service was not brought into balance.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RebalanceError {
    /// Docker.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The update did not go through. The services after it are left as they are.
    #[error("the update of service {service} {state}: {message}; see `docker service ps {service}`")]
    Update {
        /// The service.
        service: String,
        /// How it ended.
        state: String,
        /// What Docker says.
        message: String,
    },
    /// The update did not end.
    #[error("the update of service {service} has not ended after {} minutes; see `docker service ps {service}`", PATIENCE.as_secs() / 60)]
    Late {
        /// The service.
        service: String,
    },
}

/// The services whose tasks sit unevenly on the nodes that they may use. Replicated services only: the others have no choice.
#[must_use]
pub fn find(nodes: &[Node], services: &[Service], tasks: &[Task]) -> Findings {
    let mut findings = Findings::default();
    for service in services {
        let (Some(id), Some(spec)) = (&service.id, &service.spec) else { continue };
        let name = spec.name.clone().unwrap_or_else(|| id.clone());
        if spec.mode.as_ref().is_none_or(|mode| mode.replicated.is_none()) {
            continue;
        }
        let placement = spec.task_template.as_ref().and_then(|template| template.placement.as_ref());
        let constraints = placement.and_then(|placement| placement.constraints.as_deref()).unwrap_or_default();
        match usable(nodes, constraints) {
            Err(constraint) => findings.unclear.push(Unclear { service: name, constraint }),
            Ok(nodes) => {
                let tasks = count(&nodes, id, tasks);
                let (least, most) = (tasks.values().min().copied().unwrap_or(0), tasks.values().max().copied().unwrap_or(0));
                if most > least + EVEN {
                    findings.uneven.push(Uneven { id: id.clone(), service: name, tasks });
                }
            }
        }
    }
    findings.uneven.sort_by(|one, other| one.service.cmp(&other.service));
    findings.unclear.sort_by(|one, other| one.service.cmp(&other.service));
    findings
}

/// The nodes that take tasks and that every constraint allows; the first constraint that is not understood otherwise.
fn usable<'a>(nodes: &'a [Node], constraints: &[String]) -> Result<Vec<&'a Node>, String> {
    let mut usable: Vec<&Node> =
        nodes.iter().filter(|node| node.state == State::Ready && node.availability == Availability::Active).collect();
    for constraint in constraints {
        let (left, right, equal) = match (constraint.split_once("=="), constraint.split_once("!=")) {
            (Some((left, right)), None) => (left.trim(), right.trim(), true),
            (None, Some((left, right))) => (left.trim(), right.trim(), false),
            _ => return Err(constraint.clone()),
        };
        let label = left.strip_prefix("node.labels.");
        if label.is_none() && !matches!(left, "node.id" | "node.hostname" | "node.role") {
            return Err(constraint.clone());
        }
        usable.retain(|node| {
            let value = match (label, left) {
                (Some(label), _) => node.labels.get(label).map_or("", String::as_str),
                (None, "node.id") => &node.id.0,
                (None, "node.role") => match node.role {
                    Role::Manager => "manager",
                    Role::Worker => "worker",
                },
                (None, _) => &node.hostname,
            };
            // Swarm compares without regard to case.
            value.eq_ignore_ascii_case(right) == equal
        });
    }
    Ok(usable)
}

/// How many tasks of the service run on each of the nodes.
fn count(nodes: &[&Node], service: &str, tasks: &[Task]) -> BTreeMap<String, usize> {
    let runs = |task: &&Task| {
        task.service_id.as_deref() == Some(service)
            && task.desired_state == Some(TaskState::RUNNING)
            && task.status.as_ref().and_then(|status| status.state) == Some(TaskState::RUNNING)
    };
    let on = |node: &Node| tasks.iter().filter(runs).filter(|task| task.node_id.as_deref() == Some(node.id.0.as_str())).count();
    nodes.iter().map(|node| (format!("{} ({})", node.hostname, node.id.0.get(..8).unwrap_or(&node.id.0)), on(node))).collect()
}

/// Looks at the swarm; managers only.
///
/// # Errors
/// Docker does not answer, or this node is no manager.
pub async fn look(engine: &Engine) -> Result<Findings, EngineError> {
    Ok(find(&engine.nodes().await?, &engine.services().await?, &engine.tasks().await?))
}

/// Replaces the tasks of one service, and waits until Docker says that the update is through.
///
/// # Errors
/// Docker does not answer, or the update is paused, rolled back or too slow. Nothing further should be moved then.
pub async fn even_out(engine: &Engine, uneven: &Uneven, pause: Duration) -> Result<(), RebalanceError> {
    let before = engine.service(&uneven.id).await?.update_status.and_then(|status| status.started_at);
    engine.restart_service(&uneven.id).await?;
    let begun = Instant::now();
    loop {
        // The status of an earlier update says nothing about this one.
        let status = engine.service(&uneven.id).await?.update_status.filter(|status| status.started_at != before).unwrap_or_default();
        let failed = match status.state {
            Some(Update::COMPLETED) => return Ok(()),
            Some(Update::PAUSED) => Some("was paused"),
            Some(Update::ROLLBACK_STARTED | Update::ROLLBACK_PAUSED | Update::ROLLBACK_COMPLETED) => Some("was rolled back"),
            _ => None,
        };
        if let Some(state) = failed {
            let message = status.message.unwrap_or_default();
            return Err(RebalanceError::Update { service: uneven.service.clone(), state: state.to_owned(), message });
        }
        if begun.elapsed() >= PATIENCE {
            return Err(RebalanceError::Late { service: uneven.service.clone() });
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize) -> Node {
        Node {
            role: if number == 0 { Role::Manager } else { Role::Worker },
            labels: BTreeMap::from([("zone".to_owned(), if number < 2 { "a" } else { "b" }.to_owned())]),
            ..Node::example(number)
        }
    }

    fn service(mode: &str, constraints: &str) -> Service {
        let json = format!(
            r#"{{"ID":"s","Version":{{"Index":7}},"Spec":{{"Name":"web","Mode":{mode},"TaskTemplate":{{"Placement":{{"Constraints":{constraints}}}}}}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    /// `tasks` are the numbers of tasks on nodes 0, 1, 2.
    fn uneven(nodes: &[Node], tasks: &[usize], constraints: &str) -> Findings {
        let task = |node: &usize| {
            serde_json::from_str(&format!(
                r#"{{"ServiceID":"s","NodeID":"n{node}","DesiredState":"running","Status":{{"State":"running"}}}}"#
            ))
            .unwrap()
        };
        let tasks: Vec<Task> = tasks.iter().enumerate().flat_map(|(node, count)| vec![node; *count]).map(|node| task(&node)).collect();
        find(nodes, &[service(r#"{"Replicated":{"Replicas":6}}"#, constraints)], &tasks)
    }

    fn check(tasks: &[usize], constraints: &str, expected: bool) {
        let nodes: Vec<Node> = (0..3).map(node).collect();
        let findings = uneven(&nodes, tasks, constraints);
        assert_eq!(!findings.uneven.is_empty(), expected, "{tasks:?} {constraints}: {findings:?}");
        assert!(findings.unclear.is_empty());
    }

    #[test]
    fn a_difference_of_more_than_one_is_uneven() {
        check(&[2, 2, 2], "null", false);
        check(&[2, 1, 1], "[]", false);
        check(&[3, 3, 0], "null", true);
        check(&[2, 0, 0], "null", true);
        check(&[0, 0, 0], "null", false);
    }

    #[test]
    fn only_nodes_that_the_service_may_use_count() {
        check(&[3, 3, 0], r#"["node.labels.zone==a"]"#, false);
        check(&[0, 0, 6], r#"["node.labels.zone != A"]"#, false);
        check(&[0, 3, 3], r#"["node.role == worker"]"#, false);
        check(&[0, 5, 1], r#"["node.role==worker"]"#, true);
        check(&[6, 0, 0], r#"["node.hostname==h0"]"#, false);
        check(&[0, 6, 0], r#"["node.id==n1"]"#, false);
        let mut nodes: Vec<Node> = (0..3).map(node).collect();
        nodes[2].availability = Availability::Drain;
        assert!(uneven(&nodes, &[3, 3, 0], "null").uneven.is_empty());
        nodes[2] = Node { state: State::Down, ..node(2) };
        assert!(uneven(&nodes, &[3, 3, 0], "null").uneven.is_empty());
    }

    #[test]
    fn a_constraint_that_is_not_understood_moves_nothing() {
        let nodes: Vec<Node> = (0..3).map(node).collect();
        for constraint in ["engine.labels.disk==ssd", "node.platform.os==linux", "node.labels.zone=~a", "zone==a"] {
            let findings = uneven(&nodes, &[6, 0, 0], &format!("[\"{constraint}\"]"));
            assert_eq!((findings.uneven.len(), findings.unclear.len()), (0, 1), "{constraint}");
            assert_eq!(findings.unclear[0].constraint, constraint);
        }
    }

    #[test]
    fn services_without_a_choice_are_left_alone() {
        let nodes: Vec<Node> = (0..3).map(node).collect();
        for mode in [r#"{"Global":{}}"#, r#"{"ReplicatedJob":{"MaxConcurrent":1}}"#, r#"{"GlobalJob":{}}"#, "null"] {
            assert_eq!(find(&nodes, &[service(mode, "null")], &[]), Findings::default(), "{mode}");
        }
    }
}
