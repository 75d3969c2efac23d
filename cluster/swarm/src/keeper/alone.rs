//! Services that would go away with one node: several replicas are wanted, and all that run, run there.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{Service, Task, TaskState};

use crate::view::{Node, NodeId, State};

/// From here on somebody counts on there being another one.
const SEVERAL: i64 = 2;

/// The services that run on one node only although several replicas are wanted, by name, for each such node.
///
/// What Docker thinks runs on a node that is down does not. Global services and single replicas are left out: nobody counts on those
/// being somewhere else.
#[must_use]
pub fn alone(nodes: &[Node], services: &[Service], tasks: &[Task]) -> BTreeMap<NodeId, BTreeSet<String>> {
    let up: BTreeSet<&str> = nodes.iter().filter(|node| node.state == State::Ready).map(|node| node.id.0.as_str()).collect();
    let mut alone = BTreeMap::<_, BTreeSet<_>>::new();
    for service in services {
        let (Some(id), Some(spec)) = (&service.id, &service.spec) else { continue };
        let replicas = spec.mode.as_ref().and_then(|mode| mode.replicated.as_ref()).and_then(|replicated| replicated.replicas);
        if replicas.is_none_or(|replicas| replicas < SEVERAL) {
            continue;
        }
        let places: BTreeSet<&str> = tasks
            .iter()
            .filter(|task| task.service_id.as_ref() == Some(id) && runs(task))
            .filter_map(|task| task.node_id.as_deref().filter(|node| up.contains(node)))
            .collect();
        if let (1, Some(node)) = (places.len(), places.first()) {
            let name = spec.name.clone().unwrap_or_else(|| id.clone());
            alone.entry(NodeId((*node).to_owned())).or_default().insert(name);
        }
    }
    alone
}

fn runs(task: &Task) -> bool {
    task.desired_state == Some(TaskState::RUNNING) && task.status.as_ref().and_then(|status| status.state) == Some(TaskState::RUNNING)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(states: &[State]) -> Vec<Node> {
        let node = |(number, state): (usize, &State)| Node { state: *state, ..Node::example(number) };
        states.iter().enumerate().map(node).collect()
    }

    /// One service, whose tasks are on these nodes, wanted and found in these states; the nodes it is said to be alone on.
    fn check(mode: &str, tasks: &[(usize, &str, &str)], states: &[State], expected: &[&str]) {
        let service = format!(r#"{{"ID":"s","Spec":{{"Name":"web","Mode":{mode}}}}}"#);
        let service: Service = serde_json::from_str(&service).unwrap();
        let task = |(node, wanted, found): &(usize, &str, &str)| {
            let task = format!(r#"{{"ServiceID":"s","NodeID":"n{node}","DesiredState":"{wanted}","Status":{{"State":"{found}"}}}}"#);
            serde_json::from_str(&task).unwrap()
        };
        let said = alone(&nodes(states), &[service], &tasks.iter().map(task).collect::<Vec<_>>());
        assert_eq!(said.keys().map(|node| node.0.as_str()).collect::<Vec<_>>(), expected, "{mode} {tasks:?}");
        assert!(said.values().all(|services| services.iter().eq(["web"])));
    }

    #[test]
    fn a_service_is_alone_where_nothing_else_of_it_runs() {
        const UP: &[State] = &[State::Ready, State::Ready];
        let two = r#"{"Replicated":{"Replicas":2}}"#;
        check(two, &[(0, "running", "running"), (1, "running", "starting")], UP, &["n0"]);
        check(two, &[(0, "running", "running"), (1, "shutdown", "running")], UP, &["n0"]);
        check(two, &[(0, "running", "running"), (0, "running", "running")], UP, &["n0"]);
        check(two, &[(0, "running", "running"), (1, "running", "running")], &[State::Ready, State::Down], &["n0"]);
        check(two, &[(0, "running", "running"), (1, "running", "running")], UP, &[]);
    }

    #[test]
    fn what_nobody_counts_on_holds_nothing_up() {
        const UP: &[State] = &[State::Ready, State::Ready];
        let one = &[(0, "running", "running")];
        check(r#"{"Replicated":{"Replicas":1}}"#, one, UP, &[]);
        check(r#"{"Replicated":{}}"#, one, UP, &[]);
        check(r#"{"Global":{}}"#, one, UP, &[]);
        check(r#"{"ReplicatedJob":{"TotalCompletions":5}}"#, one, UP, &[]);
        // Nothing runs at all: a reboot takes nothing away.
        check(r#"{"Replicated":{"Replicas":2}}"#, &[(0, "running", "starting")], UP, &[]);
        check(r#"{"Replicated":{"Replicas":2}}"#, one, &[State::Down, State::Ready], &[]);
    }
}
