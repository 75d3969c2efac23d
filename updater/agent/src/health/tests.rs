//! The gate with a systemd that says what a test wants.

use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::gate::Gate;
use super::units::Manager;
use crate::daemon::host::{HealthPlan, HealthReport};

#[derive(Default)]
struct Fake {
    /// What `failed` answers, one round after the other; the last one for ever.
    failed: Mutex<Vec<Vec<String>>>,
    enabled: Vec<&'static str>,
}

impl Manager for Fake {
    async fn failed(&self) -> Result<Vec<String>, String> {
        let mut rounds = self.failed.lock().unwrap();
        Ok(if rounds.len() > 1 { rounds.remove(0) } else { rounds.first().cloned().unwrap_or_default() })
    }

    async fn state(&self, unit: &str) -> Result<String, String> {
        match unit {
            "web.service" => Ok("active".to_owned()),
            "late.service" => Ok("activating".to_owned()),
            _ => Err(format!("systemd knows no {unit}")),
        }
    }

    async fn enabled(&self, unit: &str) -> bool {
        self.enabled.contains(&unit)
    }
}

fn gate(dir: &tempfile::TempDir, services: &[&str]) -> Gate {
    let plan = HealthPlan {
        deadline: Duration::from_millis(1500),
        services: services.iter().map(|&name| name.to_owned()).collect(),
        ignore: Vec::new(),
    };
    let mut gate = Gate::new(plan);
    gate.docker = dir.path().join("docker.sock");
    gate.etcd_environment = dir.path().join("etcd");
    gate.own = dir.path().join("health.d");
    gate.pause = Duration::from_millis(20);
    gate.own_patience = Duration::from_millis(500);
    gate
}

async fn judge(gate: &Gate, fake: &Fake) -> HealthReport {
    Box::pin(gate.judge(fake)).await
}

fn own(dir: &tempfile::TempDir, name: &str, script: &str) {
    let folder = dir.path().join("health.d");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test]
async fn a_machine_that_does_its_work_passes() {
    let dir = tempfile::tempdir().unwrap();
    own(&dir, "10-web", "echo fine");
    let report = judge(&gate(&dir, &["web.service"]), &Fake::default()).await;
    assert!(report.passed && report.cause.is_none(), "{report:?}");
    let names: Vec<_> = report.checks.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["failed-units", "service web.service", "health.d/10-web"]);
    assert_eq!(report.checks[2].detail, "fine");
}

#[tokio::test]
async fn services_that_start_late_are_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake { failed: Mutex::new(vec![vec!["x.service".into()], vec!["x.service".into()], vec![]]), ..Fake::default() };
    assert!(judge(&gate(&dir, &[]), &fake).await.passed);
}

#[tokio::test]
async fn a_unit_to_ignore_may_have_failed_and_no_other() {
    for (failed, passes) in [(vec!["flaky.service"], true), (vec!["flaky.service", "web.service"], false), (vec!["flaky2.service"], false)]
    {
        let plan = HealthPlan { deadline: Duration::from_millis(300), services: Vec::new(), ignore: vec!["flaky.service".to_owned()] };
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake { failed: Mutex::new(vec![failed.iter().map(|&unit| unit.to_owned()).collect()]), ..Fake::default() };
        let usual = gate(&dir, &[]);
        let gate = Gate { own: usual.own, pause: usual.pause, ..Gate::new(plan) };
        assert_eq!(judge(&gate, &fake).await.passed, passes, "{failed:?}");
    }
}

#[tokio::test]
async fn the_report_names_who_was_excused() {
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake { failed: Mutex::new(vec![vec!["own.service".to_owned()]]), ..Fake::default() };
    let mut gate = gate(&dir, &[]);
    gate.ignore.push("own.service".to_owned());
    let report = judge(&gate, &fake).await;
    assert!(report.passed);
    assert_eq!(report.checks[0].detail, "no failed units but own.service, which may be");
}

#[tokio::test]
async fn what_fails_is_the_cause() {
    let cases: [(&[&str], Vec<String>, &str); 4] = [
        (&[], vec!["broken.service".into()], "failed-units: broken.service"),
        (&["late.service"], vec![], "service late.service: late.service is activating"),
        (&["none.service"], vec![], "service none.service: systemd knows no none.service"),
        (&[], vec![super::UNIT.into()], ""),
    ];
    for (services, failed, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let fake = Fake { failed: Mutex::new(vec![failed]), ..Fake::default() };
        let report = judge(&gate(&dir, services), &fake).await;
        assert_eq!(report.passed, expected.is_empty(), "{report:?}");
        assert!(report.cause.unwrap_or_default().starts_with(expected));
    }
}

#[tokio::test]
async fn the_operators_checks_decide_too_and_cannot_hang_the_gate() {
    for (script, expected) in [("echo no quorum; exit 1", "no quorum"), ("sleep 1000", "not finished within"), ("kill -9 $$", "signal: 9")]
    {
        let dir = tempfile::tempdir().unwrap();
        own(&dir, "10-fine", "exit 0");
        own(&dir, "50-bad", script);
        let started = std::time::Instant::now();
        let report = judge(&gate(&dir, &[]), &Fake::default()).await;
        let cause = report.cause.unwrap();
        assert!(cause.starts_with("health.d/50-bad: ") && cause.contains(expected), "{cause}");
        assert!(started.elapsed() < Duration::from_secs(20));
    }
}

/// A Docker engine of two answers.
fn docker(dir: &tempfile::TempDir, ping: &'static str, version: &'static str) {
    let listener = UnixListener::bind(dir.path().join("docker.sock")).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = vec![0; 1024];
            let count = stream.read(&mut request).await.unwrap();
            let body = if request[..count].starts_with(b"GET /_ping ") { ping } else { version };
            stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{body}").as_bytes()).await.unwrap();
        }
    });
}

#[tokio::test]
async fn docker_is_asked_where_it_is_enabled() {
    let cases = [("OK", r#"{"Version":"26.1"}"#, true), ("no", "{}", false), ("OK", "{}", false), ("OK", "nonsense", false)];
    for (ping, version, passes) in cases {
        let dir = tempfile::tempdir().unwrap();
        docker(&dir, ping, version);
        let fake = Fake { enabled: vec!["docker.service"], ..Fake::default() };
        assert_eq!(judge(&gate(&dir, &[]), &fake).await.passed, passes, "{ping} {version}");
    }
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake { enabled: vec!["docker.socket"], ..Fake::default() };
    let report = judge(&gate(&dir, &[]), &fake).await;
    assert!(!report.passed && report.cause.unwrap().starts_with("docker: "), "nobody listens");
}

#[tokio::test]
async fn etcd_is_asked_where_it_is_enabled() {
    for (answer, passes) in [(r#"{"health":"true"}"#, true), (r#"{"health":"false"}"#, false)] {
        let dir = tempfile::tempdir().unwrap();
        let server = crate::sandbox::testing::Server::start(move |_| crate::sandbox::testing::ok(answer.as_bytes())).await;
        std::fs::write(dir.path().join("etcd"), format!("# etcd\nETCD_LISTEN_CLIENT_URLS=\"{},https://10.0.0.1:2379\"\n", server.url))
            .unwrap();
        let fake = Fake { enabled: vec!["etcd.service"], ..Fake::default() };
        assert_eq!(judge(&gate(&dir, &[]), &fake).await.passed, passes, "{answer}");
        assert_eq!(server.paths()[0], "/health");
    }
}
