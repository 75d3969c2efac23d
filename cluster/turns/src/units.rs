//! Which units ran before the reboot, and whether they run again.
//!
//! Only units that a boot starts count, that is, enabled ones: a connection, a container's mount or a unit that somebody started by hand does
//! not come back by itself, and must not keep the lock. A unit that is gone with the new release, or is not enabled any more, is not waited
//! for either.

use std::collections::BTreeSet;

use zbus::{Connection, OwnedObjectPath, proxy};

use crate::Reason;
use crate::memory::UNITS_MAX;

/// What a boot starts and keeps.
const PATTERNS: [&str; 4] = ["*.service", "*.socket", "*.timer", "*.path"];
/// What a unit file says that a boot starts.
const ENABLED: [&str; 2] = ["enabled", "enabled-runtime"];
/// States of the updater in which a new release has not proved itself.
const ON_TRIAL: [&str; 4] = ["starting", "trial", "committing", "leaving-trial"];

type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Systemd {
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<Listed>>;
    fn list_unit_files_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<(String, String)>>;
}

#[proxy(interface = "org.slipway.Updater1", default_service = "org.slipway.Updater1", default_path = "/org/slipway/Updater1")]
trait Updater {
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
    /// JSON.
    fn status(&self) -> zbus::Result<String>;
}

/// What systemd says about units now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Units {
    /// Units that are active.
    pub(crate) active: BTreeSet<String>,
    /// Units that a boot starts.
    pub(crate) enabled: BTreeSet<String>,
}

impl Units {
    /// What has to be there again after the reboot.
    pub(crate) fn to_remember(&self) -> Vec<String> {
        self.active.intersection(&self.enabled).take(UNITS_MAX).cloned().collect()
    }

    /// Which of the units that were there before are not there again.
    pub(crate) fn missing(&self, before: &[String]) -> Vec<String> {
        before.iter().filter(|unit| self.enabled.contains(*unit) && !self.active.contains(*unit)).cloned().collect()
    }
}

/// Asks systemd.
pub(crate) async fn now() -> Result<Units, Reason> {
    let ask = async {
        let bus = Connection::system().await?;
        let systemd = SystemdProxy::new(&bus).await?;
        let active = systemd.list_units_by_patterns(&["active"], &PATTERNS).await?;
        let enabled = systemd.list_unit_files_by_patterns(&ENABLED, &PATTERNS).await?;
        let file_name = |(path, _): (String, String)| path.rsplit('/').next().map(str::to_owned);
        Ok(Units { active: active.into_iter().map(|unit| unit.0).collect(), enabled: enabled.into_iter().filter_map(file_name).collect() })
    };
    ask.await.map_err(|error: zbus::Error| Reason::new(format!("asking systemd which units are active: {error}")))
}

/// Why the trial of a new release is not over, if there is one. Where there is no updater there is no trial.
pub(crate) async fn trial() -> Option<String> {
    let ask = async { UpdaterProxy::new(&Connection::system().await?).await?.state().await };
    let state = ask.await.ok()?;
    ON_TRIAL.contains(&state.as_str()).then(|| format!("the new release has yet to prove itself (the updater is in state {state})"))
}

/// Why the updater has this version in quarantine, if it has.
pub(crate) async fn quarantined(version: &str) -> Option<String> {
    let ask = async { UpdaterProxy::new(&Connection::system().await?).await?.status().await };
    cause_in(&ask.await.ok()?, version)
}

/// The cause beside `version` in the updater's status.
fn cause_in(status: &str, version: &str) -> Option<String> {
    let status: serde_json::Value = serde_json::from_str(status).ok()?;
    let entry = status["quarantine"].as_array()?.iter().find(|entry| entry["version"] == version)?;
    Some(entry["cause"].as_str().unwrap_or("no cause is known").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(active: &[&str], enabled: &[&str]) -> Units {
        let set = |list: &[&str]| list.iter().map(|unit| (*unit).to_owned()).collect();
        Units { active: set(active), enabled: set(enabled) }
    }

    #[test]
    fn what_a_boot_starts_is_remembered_and_nothing_else() {
        let before = units(&["docker.service", "run-r1.service", "sshd@0.service"], &["docker.service", "off.service"]);
        assert_eq!(before.to_remember(), ["docker.service"]);
    }

    #[test]
    fn the_cause_is_in_the_updaters_status() {
        let status =
            r#"{"state":"idle","quarantine":[{"version":"1.0.2","cause":"x"},{"version":"1.0.3","cause":"Docker is not up","at":"…"}]}"#;
        assert_eq!(cause_in(status, "1.0.3").as_deref(), Some("Docker is not up"));
        for (status, version) in [(status, "1.0.4"), ("{}", "1.0.3"), ("", "1.0.3"), (r#"{"quarantine":7}"#, "1.0.3")] {
            assert_eq!(cause_in(status, version), None, "{status}");
        }
    }

    #[test]
    fn what_was_there_has_to_be_there_again_unless_nothing_would_start_it() {
        let before = ["a.service", "b.service", "gone.service"].map(str::to_owned);
        assert_eq!(units(&["a.service"], &["a.service", "b.service", "new.service"]).missing(&before), ["b.service"]);
        assert!(units(&["a.service", "b.service"], &["a.service", "b.service"]).missing(&before).is_empty());
        assert!(units(&[], &[]).missing(&before).is_empty(), "nobody starts them any more");
    }
}
