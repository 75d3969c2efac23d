//! logind and the service manager, over D-Bus.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use zbus::{Connection, OwnedObjectPath, proxy};

use crate::daemon::host::{Failure, FailureKind, Slot};

/// A D-Bus call must be answered within this time; logind answers in milliseconds.
const CALL: Duration = Duration::from_secs(30);

#[proxy(interface = "org.freedesktop.login1.Manager", default_service = "org.freedesktop.login1", default_path = "/org/freedesktop/login1")]
trait Login1 {
    fn set_reboot_to_boot_loader_entry(&self, entry: &str) -> zbus::Result<()>;
    fn reboot(&self, interactive: bool) -> zbus::Result<()>;
    fn set_wall_message(&self, message: &str, enable: bool) -> zbus::Result<()>;
    fn list_sessions(&self) -> zbus::Result<Vec<(String, u32, String, String, OwnedObjectPath)>>;
    fn list_inhibitors(&self) -> zbus::Result<Vec<(String, String, String, String, u32, u32)>>;
}

#[proxy(interface = "org.freedesktop.login1.Session", default_service = "org.freedesktop.login1")]
trait Session {
    #[zbus(property)]
    fn class(&self) -> zbus::Result<String>;
    #[zbus(property)]
    fn state(&self) -> zbus::Result<String>;
    #[zbus(property, name = "TTY")]
    fn tty(&self) -> zbus::Result<String>;
}

#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Systemd1 {
    fn subscribe(&self) -> zbus::Result<()>;
    fn start_unit(&self, name: &str, mode: &str) -> zbus::Result<OwnedObjectPath>;
    fn reset_failed_unit(&self, name: &str) -> zbus::Result<()>;
    #[zbus(signal)]
    fn job_removed(&self, id: u32, job: OwnedObjectPath, unit: String, result: String) -> zbus::Result<()>;
}

/// What is asked of logind and of the service manager.
#[allow(async_fn_in_trait, reason = "used by the daemon's one thread only")]
pub trait Services {
    /// Makes the next boot, and only that, start the slot.
    async fn set_one_shot(&self, slot: Slot) -> Result<(), Failure>;
    /// Takes a one-shot choice back; that there is none is fine.
    async fn clear_one_shot(&self) -> Result<(), Failure>;
    /// Reboots unless somebody holds a lock that says no.
    async fn reboot(&self, why: &str) -> Result<(), Failure>;
    /// Users with an interactive session, by name, and the terminals they sit at.
    async fn users(&self) -> Result<Vec<(String, String)>, Failure>;
    /// Units that have failed.
    async fn failed_units(&self) -> Result<Vec<String>, Failure>;
    /// Starts a unit and waits until its job has ended, at most `patience`. Answers with systemd's word for how: `done`, `failed`, ...
    async fn start_unit(&self, name: &str, patience: Duration) -> Result<String, Failure>;
}

/// The services of this machine, connected to when they are first needed.
#[derive(Debug, Default)]
pub struct SystemBus(OnceCell<Logind>);

impl SystemBus {
    async fn logind(&self) -> Result<&Logind, Failure> {
        self.0.get_or_try_init(Logind::connect).await
    }
}

impl Services for SystemBus {
    async fn set_one_shot(&self, slot: Slot) -> Result<(), Failure> {
        self.logind().await?.set_one_shot(slot).await
    }

    async fn clear_one_shot(&self) -> Result<(), Failure> {
        self.logind().await?.clear_one_shot().await
    }

    async fn reboot(&self, why: &str) -> Result<(), Failure> {
        self.logind().await?.reboot(why).await
    }

    async fn users(&self) -> Result<Vec<(String, String)>, Failure> {
        self.logind().await?.users().await
    }

    async fn failed_units(&self) -> Result<Vec<String>, Failure> {
        let failed = crate::health::failed_units(&self.logind().await?.bus).await;
        failed.map_err(|error| Failure::new(FailureKind::Internal, error))
    }

    async fn start_unit(&self, name: &str, patience: Duration) -> Result<String, Failure> {
        start_unit(&self.logind().await?.bus, name, patience).await
    }
}

/// logind on the system bus.
#[derive(Debug, Clone)]
struct Logind {
    bus: Connection,
}

async fn call<T>(kind: FailureKind, what: &str, work: impl Future<Output = zbus::Result<T>>) -> Result<T, Failure> {
    match timeout(CALL, work).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::new(kind, format!("{what}: {error}"))),
        Err(_) => Err(Failure::new(kind, format!("{what}: no answer within {} s", CALL.as_secs()))),
    }
}

/// Whether the answer is that what was to be removed is not there.
fn is_absent(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::FDO(answer) if matches!(**answer, zbus::fdo::Error::FileNotFound(_)))
}

impl Logind {
    /// Connects to the system bus.
    async fn connect() -> Result<Self, Failure> {
        Ok(Self { bus: call(FailureKind::Internal, "connecting to the system bus", Connection::system()).await? })
    }

    /// Makes the next boot, and only that, start the slot.
    async fn set_one_shot(&self, slot: Slot) -> Result<(), Failure> {
        let entry = slot.entry();
        self.set_entry(&entry, &format!("asking logind to boot {entry} once")).await
    }

    /// Takes a one-shot choice back.
    async fn clear_one_shot(&self) -> Result<(), Failure> {
        call(FailureKind::Boot, "asking logind to forget the one-shot boot entry", async {
            match Login1Proxy::new(&self.bus).await?.set_reboot_to_boot_loader_entry("").await {
                // logind removes the variable and complains when there is none, as after every boot that used it up.
                Err(error) if is_absent(&error) => Ok(()),
                other => other,
            }
        })
        .await
    }

    async fn set_entry(&self, entry: &str, what: &str) -> Result<(), Failure> {
        call(FailureKind::Boot, what, async { Login1Proxy::new(&self.bus).await?.set_reboot_to_boot_loader_entry(entry).await }).await
    }

    /// Reboots unless somebody holds a lock that says no.
    async fn reboot(&self, why: &str) -> Result<(), Failure> {
        let holders = self.reboot_blockers().await.unwrap_or_default();
        if !holders.is_empty() {
            let text = format!("shutting down is blocked by {}; see systemd-inhibit --list", holders.join(", "));
            return Err(Failure::new(FailureKind::Reboot, text));
        }
        call(FailureKind::Reboot, "asking logind to reboot", async {
            let login = Login1Proxy::new(&self.bus).await?;
            // logind writes this to all terminals; that it cannot is no reason to stay.
            let _ = login.set_wall_message(why, true).await;
            login.reboot(false).await
        })
        .await
    }

    /// Who holds a lock that blocks shutting down. Root's calls are not held up by such locks in logind, so they are looked at here.
    async fn reboot_blockers(&self) -> Result<Vec<String>, Failure> {
        let inhibitors =
            call(FailureKind::Reboot, "listing inhibitors", async { Login1Proxy::new(&self.bus).await?.list_inhibitors().await }).await?;
        let blocking =
            inhibitors.into_iter().filter(|(what, _, _, mode, _, _)| what.split(':').any(|what| what == "shutdown") && mode == "block");
        Ok(blocking.map(|(_, who, why, _, _, _)| format!("{who} ({why})")).collect())
    }

    /// Users with an interactive session, by name, and the terminals they sit at.
    async fn users(&self) -> Result<Vec<(String, String)>, Failure> {
        call(FailureKind::Internal, "listing sessions", async {
            let mut users = Vec::new();
            for (_, _, name, _, path) in Login1Proxy::new(&self.bus).await?.list_sessions().await? {
                let session = SessionProxy::builder(&self.bus).path(path).build().await?;
                // A session may end while it is looked at.
                let (Ok(class), Ok(state)) = (session.class().await, session.state().await) else { continue };
                if class == "user" && state != "closing" {
                    users.push((name, session.tty().await.unwrap_or_default()));
                }
            }
            Ok(users)
        })
        .await
    }
}

/// See [`Services::start_unit`].
async fn start_unit(bus: &Connection, name: &str, patience: Duration) -> Result<String, Failure> {
    let work = async {
        let systemd = Systemd1Proxy::new(bus).await?;
        systemd.subscribe().await?;
        let mut removed = systemd.receive_job_removed().await?;
        // A unit that failed too often is refused for a while otherwise.
        let _ = systemd.reset_failed_unit(name).await;
        let job = systemd.start_unit(name, "replace").await?;
        while let Some(signal) = removed.next().await {
            let ended = signal.args()?;
            if ended.job == job {
                return Ok(ended.result);
            }
        }
        Err(zbus::Error::Failure("the bus hung up".to_owned()))
    };
    match timeout(patience, work).await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(error)) => Err(Failure::new(FailureKind::Internal, format!("starting {name}: {error}"))),
        Err(_) => Err(Failure::new(FailureKind::Internal, format!("{name} did not end within {} s", patience.as_secs()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_entry_counts_as_forgotten() {
        use zbus::fdo::Error as Answer;
        let text = || "No such file or directory".to_owned();
        let table = [
            (zbus::Error::FDO(Box::new(Answer::FileNotFound(text()))), true),
            (zbus::Error::FDO(Box::new(Answer::AccessDenied(text()))), false),
            (zbus::Error::FDO(Box::new(Answer::NotSupported(text()))), false),
            (zbus::Error::Failure(text()), false),
        ];
        for (error, absent) in table {
            assert_eq!(is_absent(&error), absent, "{error}");
        }
    }
}
