//! The running systemd, on the system bus.

use std::time::Duration;

use zbus::{Connection, OwnedObjectPath, fdo, proxy};

use super::systemd::{Systemd, SystemdError};
use crate::plan::effect::JobKind;

/// How long systemd may take for one answer; queueing a job and reading units again are matters of milliseconds on a machine that
/// works, and of seconds on one that swaps.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn reload(&self) -> zbus::Result<()>;
    fn load_unit(&self, name: &str) -> zbus::Result<OwnedObjectPath>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn stop_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reload_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn try_restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reload_or_restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reload_or_try_restart_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
}

#[proxy(interface = "org.freedesktop.systemd1.Unit", default_service = "org.freedesktop.systemd1")]
trait Unit {
    #[zbus(property)]
    fn active_state(&self) -> zbus::Result<String>;
}

/// A job that is queued takes the place of one that contradicts it, as `systemctl` does.
const MODE: &str = "replace";

/// The systemd of the running host.
#[derive(Debug)]
pub struct Bus {
    runtime: tokio::runtime::Runtime,
    /// Made at the first request: a configuration without units needs no bus.
    connection: Option<Connection>,
}

impl Bus {
    /// Prepares; nothing is connected yet.
    pub fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, connection: None })
    }

    fn ask<T>(&mut self, action: &str, unit: &str, request: impl AsyncFnOnce(Connection) -> zbus::Result<T>) -> Result<T, SystemdError> {
        let unreachable = |error: String| SystemdError::Unreachable(error);
        let Self { runtime, connection } = self;
        runtime.block_on(async {
            if connection.is_none() {
                let new = tokio::time::timeout(ANSWER_LIMIT, Connection::system()).await;
                *connection = Some(new.map_err(|_| unreachable("no answer".to_owned()))?.map_err(|error| unreachable(error.to_string()))?);
            }
            let Some(connection) = connection.clone() else { return Err(unreachable("no connection".to_owned())) };
            match tokio::time::timeout(ANSWER_LIMIT, request(connection)).await {
                Err(_) => Err(unreachable(format!("no answer within {} s", ANSWER_LIMIT.as_secs()))),
                Ok(Ok(value)) => Ok(value),
                Ok(Err(error)) => Err(match refusal(&error) {
                    Some(reason) => SystemdError::Refused { action: action.to_owned(), unit: unit.to_owned(), reason },
                    None => unreachable(error.to_string()),
                }),
            }
        })
    }
}

/// The reason, when somebody answered and said no; nothing when nobody answered.
fn refusal(error: &zbus::Error) -> Option<String> {
    match error {
        zbus::Error::MethodError(name, text, _) => Some(text.clone().unwrap_or_else(|| name.to_string())),
        // Errors with names of the D-Bus specification come as a type of their own; these are the ones in which the bus speaks
        // for somebody who is not there.
        zbus::Error::FDO(error) => match &**error {
            fdo::Error::ServiceUnknown(_)
            | fdo::Error::NameHasNoOwner(_)
            | fdo::Error::NoReply(_)
            | fdo::Error::NoServer(_)
            | fdo::Error::Disconnected(_)
            | fdo::Error::Timeout(_)
            | fdo::Error::TimedOut(_)
            | fdo::Error::IOError(_)
            | fdo::Error::ZBus(_) => None,
            answered => Some(answered.to_string()),
        },
        _ => None,
    }
}

impl Systemd for Bus {
    fn reload(&mut self) -> Result<(), SystemdError> {
        self.ask("read again", "its units", async |connection| ManagerProxy::new(&connection).await?.reload().await)
    }

    fn job(&mut self, unit: &str, job: JobKind) -> Result<(), SystemdError> {
        self.ask(job.word(), unit, async |connection| {
            let manager = ManagerProxy::new(&connection).await?;
            match job {
                JobKind::Start => manager.start_unit(unit, MODE).await,
                JobKind::Stop => manager.stop_unit(unit, MODE).await,
                JobKind::Restart => manager.restart_unit(unit, MODE).await,
                JobKind::Reload => manager.reload_unit(unit, MODE).await,
                JobKind::TryRestart => manager.try_restart_unit(unit, MODE).await,
                JobKind::ReloadOrRestart => manager.reload_or_restart_unit(unit, MODE).await,
                JobKind::ReloadOrTryRestart => manager.reload_or_try_restart_unit(unit, MODE).await,
            }
        })
        .map(drop)
    }

    fn is_active(&mut self, unit: &str) -> Result<bool, SystemdError> {
        let state = self.ask("look at", unit, async |connection| {
            let path = ManagerProxy::new(&connection).await?.load_unit(unit).await?;
            UnitProxy::builder(&connection).path(path).build().await?.active_state().await
        })?;
        Ok(matches!(state.as_str(), "active" | "activating" | "reloading"))
    }

    fn set_hostname(&mut self, name: &str) -> Result<(), SystemdError> {
        let refused = |errno: rustix::io::Errno| SystemdError::Refused {
            action: "name".to_owned(),
            unit: "the machine".to_owned(),
            reason: errno.to_string(),
        };
        rustix::system::sethostname(name.as_bytes()).map_err(refused)
    }

    fn hostname(&mut self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_says_no_is_not_silence() {
        let fdo = |error: fdo::Error| zbus::Error::FDO(Box::new(error));
        let no = [
            fdo(fdo::Error::AccessDenied("not you".into())),
            fdo(fdo::Error::InvalidArgs("bad name".into())),
            fdo(fdo::Error::LimitsExceeded("many".into())),
        ];
        for (error, word) in no.iter().zip(["not you", "bad name", "many"]) {
            assert!(refusal(error).is_some_and(|reason| reason.contains(word)), "{error}");
        }
        let silence =
            [fdo(fdo::Error::ServiceUnknown("gone".into())), fdo(fdo::Error::NoReply("slow".into())), zbus::Error::InterfaceNotFound];
        for error in silence {
            assert_eq!(refusal(&error), None, "{error}");
        }
    }
}
