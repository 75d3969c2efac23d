//! No unit has failed, and those that have to run do.

use zbus::{Connection, OwnedObjectPath, proxy};

/// Failed units named in the report at most.
const MAX_NAMED: usize = 8;

type Listed = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Systemd {
    fn list_units_filtered(&self, states: &[&str]) -> zbus::Result<Vec<Listed>>;
    fn list_units_by_names(&self, names: &[&str]) -> zbus::Result<Vec<Listed>>;
    fn get_unit_file_state(&self, name: &str) -> zbus::Result<String>;
}

/// Names of the units that are failed now.
pub async fn failed(bus: &Connection) -> Result<Vec<String>, String> {
    Bus(bus.clone()).failed().await
}

/// What systemd knows, or stands in for it in tests.
#[allow(async_fn_in_trait, reason = "used by one thread only")]
pub(super) trait Manager {
    /// Names of the units in state `failed`.
    async fn failed(&self) -> Result<Vec<String>, String>;
    /// The active state of a unit, e.g. `active` or `inactive`.
    async fn state(&self, unit: &str) -> Result<String, String>;
    /// Whether a unit is started at boot.
    async fn enabled(&self, unit: &str) -> bool;
}

/// The service manager on the system bus.
#[derive(Debug)]
pub(super) struct Bus(pub(super) Connection);

impl Manager for Bus {
    async fn failed(&self) -> Result<Vec<String>, String> {
        let ask = async { SystemdProxy::new(&self.0).await?.list_units_filtered(&["failed"]).await };
        Ok(ask.await.map_err(|error| format!("asking systemd: {error}"))?.into_iter().map(|unit| unit.0).collect())
    }

    async fn state(&self, unit: &str) -> Result<String, String> {
        let ask = async { SystemdProxy::new(&self.0).await?.list_units_by_names(&[unit]).await };
        let units = ask.await.map_err(|error| format!("asking systemd: {error}"))?;
        units.into_iter().next().map(|unit| unit.3).ok_or_else(|| format!("systemd knows no {unit}"))
    }

    async fn enabled(&self, unit: &str) -> bool {
        let ask = async { SystemdProxy::new(&self.0).await?.get_unit_file_state(unit).await };
        // A unit that is not installed has no state.
        ask.await.is_ok_and(|state| state.starts_with("enabled"))
    }
}

/// No unit has failed, leaving aside those to `ignore`.
pub(super) async fn none_failed(manager: &impl Manager, ignore: &[String]) -> Result<String, Vec<String>> {
    let failed = manager.failed().await.map_err(|error| vec![error])?;
    let (mut excused, mut failed): (Vec<String>, Vec<String>) = failed.into_iter().partition(|unit| ignore.contains(unit));
    failed.sort();
    failed.truncate(MAX_NAMED);
    if !failed.is_empty() {
        return Err(failed);
    }
    excused.sort();
    excused.truncate(MAX_NAMED);
    Ok(if excused.is_empty() { "no failed units".to_owned() } else { format!("no failed units but {}, which may be", excused.join(", ")) })
}

/// A unit is active.
pub(super) async fn active(manager: &impl Manager, unit: &str) -> Result<String, String> {
    let state = manager.state(unit).await?;
    if state == "active" { Ok(format!("{unit} is active")) } else { Err(format!("{unit} is {state}")) }
}
