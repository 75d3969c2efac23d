//! All checks, repeated until they pass or time is up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use zbus::Connection;

use super::units::{self, Bus, Manager};
use super::{docker, etcd, journal, own, process};
use crate::daemon::host::{HealthCheck, HealthPlan, HealthReport};
use crate::sandbox::messages::presentable;

/// Pause between two rounds.
const PAUSE: Duration = Duration::from_secs(2);
/// A built-in check must answer within this time; the next round asks again.
const PATIENCE: Duration = Duration::from_secs(15);
/// One of the operator's checks may take this long.
const OWN_PATIENCE: Duration = Duration::from_secs(60);
/// Name of the check for failed units.
const FAILED_UNITS: &str = "failed-units";
/// Where etcd listens unless its configuration says otherwise.
const ETCD_ENDPOINT: &str = "http://127.0.0.1:2379";

/// What is checked and where to find it.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Deadline and required services.
    pub plan: HealthPlan,
    /// Units that may be failed.
    pub ignore: Vec<String>,
    /// The Docker engine's socket.
    pub docker: PathBuf,
    /// File with etcd's environment.
    pub etcd_environment: PathBuf,
    /// Folder of the operator's checks.
    pub own: PathBuf,
    /// Pause between rounds.
    pub pause: Duration,
    /// Time for one of the operator's checks.
    pub own_patience: Duration,
}

impl Gate {
    /// The gate of the image.
    #[must_use]
    pub fn new(plan: HealthPlan) -> Self {
        Self {
            ignore: [vec![super::UNIT.to_owned()], plan.ignore.clone()].concat(),
            plan,
            docker: "/run/docker.sock".into(),
            etcd_environment: "/etc/default/etcd".into(),
            own: "/etc/slipway/health.d".into(),
            pause: PAUSE,
            own_patience: OWN_PATIENCE,
        }
    }

    /// The first URL on which etcd serves clients.
    fn etcd_endpoint(&self) -> String {
        let text = std::fs::read_to_string(&self.etcd_environment).unwrap_or_default();
        let environment = crate::slot::OsRelease::parse(&text);
        let urls =
            environment.get("ETCD_LISTEN_CLIENT_URLS").or_else(|| environment.get("ETCD_ADVERTISE_CLIENT_URLS")).unwrap_or(ETCD_ENDPOINT);
        let first = urls.split(',').next().unwrap_or(ETCD_ENDPOINT).trim();
        first.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
    }

    /// One round over all checks. Once a check fails, the rest of the round is still done: the report should be complete.
    async fn round(&self, manager: &impl Manager, deadline: Instant) -> Vec<HealthCheck> {
        let mut checks = vec![timed(FAILED_UNITS, deadline, self.failed_units(manager)).await];
        for unit in &self.plan.services {
            checks.push(timed(&format!("service {unit}"), deadline, units::active(manager, unit)).await);
        }
        if manager.enabled("docker.service").await || manager.enabled("docker.socket").await {
            checks.push(timed("docker", deadline, docker::check(&self.docker, PATIENCE)).await);
        }
        if manager.enabled("etcd.service").await {
            let endpoint = self.etcd_endpoint();
            checks.push(timed("etcd", deadline, etcd::check(&endpoint, PATIENCE)).await);
        }
        match own::list(&self.own) {
            Err(error) => checks.push(timed("health.d", deadline, std::future::ready(Err(error))).await),
            Ok(programs) => {
                for program in programs {
                    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    checks.push(timed(&format!("health.d/{name}"), deadline, self.own(&program)).await);
                }
            }
        }
        checks
    }

    async fn failed_units(&self, manager: &impl Manager) -> Result<String, String> {
        units::none_failed(manager, &self.ignore).await.map_err(|failed| failed.join(", "))
    }

    async fn own(&self, program: &Path) -> Result<String, String> {
        let ended = process::run(program, &[], self.own_patience).await;
        if ended.success { Ok(ended.tail) } else { Err(ended.tail) }
    }

    /// Rounds until all pass or the deadline is over; the last round that was not cut short is the report.
    pub(super) async fn judge(&self, manager: &impl Manager) -> HealthReport {
        let deadline = Instant::now() + self.plan.deadline;
        let mut complete: Option<Vec<HealthCheck>> = None;
        loop {
            let mut checks = self.round(manager, deadline).await;
            if checks.iter().all(|check| check.passed) {
                return HealthReport { passed: true, cause: None, checks };
            }
            if Instant::now() >= deadline {
                checks = complete.unwrap_or(checks);
                return HealthReport { passed: false, cause: cause(&checks).await, checks };
            }
            if Instant::now() + self.pause >= deadline {
                return HealthReport { passed: false, cause: cause(&checks).await, checks };
            }
            if let Some(failed) = checks.iter().find(|check| !check.passed) {
                tracing::info!(check = failed.name, detail = failed.detail, "not healthy yet");
            }
            complete = Some(checks);
            sleep(self.pause).await;
        }
    }
}

/// The first failed check in one line, with the last words of a failed unit.
async fn cause(checks: &[HealthCheck]) -> Option<String> {
    let failed = checks.iter().find(|check| !check.passed)?;
    let mut text = format!("{}: {}", failed.name, failed.detail);
    if failed.name == FAILED_UNITS
        && let Some(unit) = failed.detail.split(", ").next().filter(|unit| unit.contains('.') && !unit.contains(' '))
    {
        let words = journal::last_words(unit).await;
        if !words.is_empty() {
            text.push_str(&format!(" ({words})"));
        }
    }
    Some(presentable(&text))
}

/// Does one check, and notes how it went.
async fn timed(name: &str, deadline: Instant, work: impl Future<Output = Result<String, String>>) -> HealthCheck {
    let started = Instant::now();
    let outcome = timeout_at(deadline, work).await.unwrap_or_else(|_| Err("not finished by the deadline".to_owned()));
    let passed = outcome.is_ok();
    let (Ok(detail) | Err(detail)) = outcome;
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    HealthCheck { name: name.to_owned(), passed, detail: presentable(&detail), millis }
}

/// Judges this machine. That systemd cannot be asked is a failed gate.
pub async fn run(gate: &Gate) -> HealthReport {
    match Connection::system().await {
        Ok(bus) => gate.judge(&Bus(bus)).await,
        Err(error) => HealthReport {
            passed: false,
            cause: Some(presentable(&format!("the system bus cannot be reached: {error}"))),
            checks: Vec::new(),
        },
    }
}
