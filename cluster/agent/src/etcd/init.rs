//! Who starts etcd: systemd on a machine, the test itself in a test.

use std::future::Future;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::launch::Launch;
use super::memory::write_whole;

/// Who starts etcd.
pub trait Init: Send + Sync {
    /// Starts etcd, and does not wait until it answers. An etcd that runs is left alone.
    fn start(&self, launch: &Launch) -> impl Future<Output = Result<()>> + Send;
    /// Stops etcd and waits until it is gone.
    fn stop(&self) -> impl Future<Output = Result<()>> + Send;
    /// Whether etcd runs or is about to.
    fn running(&self) -> impl Future<Output = Result<Option<Running>>> + Send;
}

/// An etcd that runs or is about to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Running {
    /// How often it ended by itself since it was started, and was started again.
    pub restarts: u32,
}

/// The unit of the distribution.
const UNIT: &str = "etcd.service";
/// Where its configuration of this boot is.
const DROP_IN: &str = "/run/systemd/system/etcd.service.d/50-cluster-agent.conf";

/// systemd.
#[derive(Debug, Clone)]
pub struct Systemd {
    drop_in: PathBuf,
}

impl Default for Systemd {
    fn default() -> Self {
        Self { drop_in: DROP_IN.into() }
    }
}

impl Init for Systemd {
    async fn start(&self, launch: &Launch) -> Result<()> {
        write_drop_in(&self.drop_in, launch)?;
        systemctl(&["daemon-reload"]).await?;
        // A unit that failed often enough is not started again before that is forgotten. etcd is ready when the others are: no waiting.
        systemctl(&["reset-failed", UNIT]).await?;
        systemctl(&["start", "--no-block", UNIT]).await.map(drop)
    }

    async fn stop(&self) -> Result<()> {
        systemctl(&["stop", UNIT]).await.map(drop)
    }

    async fn running(&self) -> Result<Option<Running>> {
        Ok(read_state(&systemctl(&["show", "--property=ActiveState,NRestarts", UNIT]).await?))
    }
}

/// What `systemctl show` says of a unit: `NAME=VALUE` lines in no order.
fn read_state(shown: &str) -> Option<Running> {
    let value = |name: &str| shown.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let runs = matches!(value("ActiveState")?, "active" | "activating" | "reloading" | "deactivating");
    runs.then(|| Running { restarts: value("NRestarts").and_then(|count| count.parse().ok()).unwrap_or_default() })
}

fn write_drop_in(path: &Path, launch: &Launch) -> Result<()> {
    // Nothing in it is secret: certificates are named, not held.
    write_whole(path, launch.drop_in().as_bytes(), 0o644)
}

/// Most that is quoted of what a program says, in bytes.
const SAID_MAX: usize = 500;

/// Runs `systemctl` and gives its output.
///
/// # Errors
/// It cannot be run, or says no.
pub async fn systemctl(arguments: &[&str]) -> Result<String> {
    run(Path::new("systemctl"), arguments).await
}

/// Runs a program in a plain locale and gives its output.
///
/// # Errors
/// It cannot be run, or says no; the error quotes the end of what it said.
pub async fn run(program: &Path, arguments: &[&str]) -> Result<String> {
    let name = program.display();
    tracing::debug!(%name, ?arguments, "running");
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env("LC_ALL", "C").stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = command.output().await.with_context(|| format!("running {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.trim();
        let from = (said.len().saturating_sub(SAID_MAX)..=said.len()).find(|at| said.is_char_boundary(*at)).unwrap_or(0);
        bail!("`{name} {}` failed ({}): {}", arguments.join(" "), output.status, &said[from..]);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_started_again_and_again_is_told_from_one_that_rests() {
        for (shown, running) in [
            ("ActiveState=active\nNRestarts=0\n", Some(0)),
            ("NRestarts=7\nActiveState=activating\n", Some(7)),
            ("ActiveState=active\n", Some(0)),
            ("ActiveState=inactive\nNRestarts=7\n", None),
            ("ActiveState=failed\nNRestarts=7\n", None),
            ("", None),
        ] {
            assert_eq!(read_state(shown), running.map(|restarts| Running { restarts }), "{shown:?}");
        }
    }
}
