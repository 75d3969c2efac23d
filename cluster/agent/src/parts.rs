//! The other parts of a cluster that the daemon runs: one small door to each.

use std::future::Future;
use std::path::PathBuf;

use cluster_store::{Access, Machine, Report};
use tokio::sync::watch;
use turns::{Drain, NoSwarm, Reason};

/// What `[swarm]` says.
pub type SwarmPlan = swarm::Plan;
/// What `[turns]` says.
pub type TurnsPlan = turns::Plan;

/// How etcd is reached, as soon as it can be.
pub type Reached = watch::Receiver<Option<Access>>;

/// Gets this machine into the Swarm and keeps it there, for ever. Tokens are sealed with the secret in the file, where there is one.
pub async fn swarm(plan: SwarmPlan, machine: Machine, secret: Option<PathBuf>, access: Reached, report: Report) {
    let secret = match secret.map(std::fs::read).transpose() {
        Ok(secret) => secret,
        Err(error) => return report.say("failed", format!("reading the secret of the cluster: {error}")),
    };
    let secret = secret.as_deref().map(<[u8]>::trim_ascii);
    with_access(access, &report, async |access| match swarm::run(access, machine.clone(), plan.clone(), secret, report.clone()).await {})
        .await;
}

/// Serves reboot turns on this machine, for ever. A group whose lock is in etcd waits until etcd can be reached; FleetLock does not.
pub async fn turns(plan: TurnsPlan, machine: Machine, with_swarm: bool, access: Option<Reached>, report: Report) {
    let serve = async |access: Option<Access>| {
        let (machine, plan, report) = (machine.clone(), plan.clone(), report.clone());
        let ended = match access.clone().filter(|_| with_swarm) {
            Some(etcd) => {
                let node = Node(swarm::Node::new(etcd, machine.id.clone()));
                turns::run(machine, access, plan, node, report.clone()).await
            }
            None => turns::run(machine, access, plan, NoSwarm, report.clone()).await,
        };
        match ended {
            Ok(never) => match never {},
            Err(error) => report.say("failed", error.to_string()),
        }
        std::future::pending::<()>().await;
    };
    match access {
        Some(access) => with_access(access, &report, async |access| serve(Some(access)).await).await,
        None => serve(None).await,
    }
}

/// Runs `part` from the moment etcd can be reached, and anew when the way to it is another one.
async fn with_access<W: Future<Output = ()>>(mut access: Reached, report: &Report, part: impl Fn(Access) -> W) {
    loop {
        let now = access.borrow_and_update().clone();
        match now {
            Some(now) => tokio::select! {
                () = part(now) => return,
                changed = access.changed() => if changed.is_err() { return },
            },
            None => {
                report.say("waiting", "the cluster cannot be reached yet");
                if access.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

/// This machine's node of the Swarm, as the turns see it.
struct Node(swarm::Node);

fn reason(found: Result<(), swarm::Reason>) -> Result<(), Reason> {
    found.map_err(|error| Reason::new(error.to_string()))
}

impl Drain for Node {
    async fn quorum_after_leaving(&self) -> Result<(), Reason> {
        reason(self.0.quorum_after_leaving().await)
    }

    async fn drain(&self) -> Result<(), Reason> {
        reason(self.0.drain().await)
    }

    async fn undrain(&self) -> Result<(), Reason> {
        reason(self.0.undrain().await)
    }

    async fn settled(&self) -> Result<(), Reason> {
        reason(self.0.settled().await)
    }
}
