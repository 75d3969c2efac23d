//! Units of systemd on this machine. systemd is the truth: at every sign of a change, and every minute, all states are read again, and
//! the files too.

mod file;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;
use zbus::{Connection, MatchRule, MessageStream, OwnedObjectPath, proxy};

pub use file::{UnitService, read};

use crate::{Candidate, Host, source};

/// Where the files are.
pub const FOLDER: &str = "/etc/slipway/announce.d";
/// Everything is read again after this long at the latest.
const RELIST: Duration = Duration::from_secs(60);
/// Signals come in groups: a start is `activating`, then `active`.
const GROUP: Duration = Duration::from_millis(200);
/// How long systemd may take for an answer.
const ANSWER: Duration = Duration::from_secs(10);

/// One row of systemd's list: name, description, load, active and sub state, followed unit, path, job.
type Row = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// systemd, as far as it is needed here.
#[proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Systemd {
    fn subscribe(&self) -> zbus::Result<()>;
    fn list_units_by_names(&self, names: &[&str]) -> zbus::Result<Vec<Row>>;
}

/// Where the files are, and where systemd is asked.
#[derive(Debug, Clone)]
pub struct Units {
    /// The folder with the files.
    pub folder: PathBuf,
    /// Address of the bus; the system's unless given.
    pub bus: Option<String>,
}

impl Default for Units {
    fn default() -> Self {
        Self { folder: FOLDER.into(), bus: None }
    }
}

/// Says for ever what units could be announced.
pub async fn follow(units: Units, host: Host, out: watch::Sender<Vec<Candidate>>) -> Infallible {
    let mut silence = source::Silence::new("systemd");
    let mut told = BTreeSet::new();
    loop {
        let (services, problems) = read(&units.folder);
        source::tell(&mut told, problems);
        if services.is_empty() {
            // Nothing to ask systemd about; the files may come later.
            source::publish(&out, Vec::new());
            tokio::time::sleep(RELIST).await;
            continue;
        }
        match session(&units, &services, &host, &out, &mut silence).await {
            Ok(()) => {}
            Err(error) => silence.begins(&error, &out).await,
        }
    }
}

/// What could be announced now, and what is wrong with the files.
///
/// # Errors
/// systemd does not answer.
pub async fn look(units: &Units, host: &Host) -> zbus::Result<(Vec<Candidate>, Vec<String>)> {
    let (services, problems) = read(&units.folder);
    if services.is_empty() {
        return Ok((Vec::new(), problems));
    }
    let systemd = SystemdProxy::new(&connect(units).await?).await?;
    Ok((candidates(&services, &active(&systemd, &services).await?, host), problems))
}

async fn connect(units: &Units) -> zbus::Result<Connection> {
    let builder = match &units.bus {
        Some(address) => zbus::connection::Builder::address(address.as_str()),
        None => zbus::connection::Builder::system(),
    };
    builder.method_timeout(ANSWER).build().await
}

/// One connection to the bus; ends after [`RELIST`], so that the files are read again.
async fn session(
    units: &Units,
    services: &[UnitService],
    host: &Host,
    out: &watch::Sender<Vec<Candidate>>,
    silence: &mut source::Silence,
) -> zbus::Result<()> {
    let bus = connect(units).await?;
    let rule = MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .interface("org.freedesktop.DBus.Properties")
        .member("PropertiesChanged")
        .path_namespace("/org/freedesktop/systemd1/unit")
        .arg(0, "org.freedesktop.systemd1.Unit")
        .build()?;
    let mut signals = MessageStream::for_match_rule(rule, &bus, None).await?;
    let systemd = SystemdProxy::new(&bus).await?;
    // Without this systemd sends no signals; they are wanted before the first list, so that none is missed.
    systemd.subscribe().await?;
    let ours: BTreeSet<String> = services.iter().map(|service| path_of(&service.unit)).collect();
    let end = Instant::now() + RELIST;
    let mut next = Some(Instant::now());
    loop {
        let due = next.unwrap_or(end).min(end);
        tokio::select! {
            biased;
            signal = signals.next() => {
                let message = signal.ok_or_else(|| zbus::Error::Failure("the bus hung up".to_owned()))??;
                if message.header().path().is_some_and(|path| ours.contains(path.as_str())) {
                    next.get_or_insert(Instant::now() + GROUP);
                }
            }
            () = tokio::time::sleep_until(due) => {
                if next.take().is_none() {
                    return Ok(());
                }
                let active = active(&systemd, services).await?;
                silence.ends();
                source::publish(out, candidates(services, &active, host));
            }
        }
    }
}

/// The units among those of `services` that are active.
async fn active(systemd: &SystemdProxy<'_>, services: &[UnitService]) -> zbus::Result<BTreeSet<String>> {
    let names: Vec<&str> = services.iter().map(|service| service.unit.as_str()).collect();
    let rows = systemd.list_units_by_names(&names).await?;
    Ok(rows.into_iter().filter(|row| matches!(row.3.as_str(), "active" | "reloading" | "refreshing")).map(|row| row.0).collect())
}

/// What could be announced of `services` while the units `active` are so. Pure.
#[must_use]
pub fn candidates(services: &[UnitService], active: &BTreeSet<String>, host: &Host) -> Vec<Candidate> {
    services.iter().filter(|service| active.contains(&service.unit)).filter_map(|service| service.candidate(host)).collect()
}

/// The object of a unit on the bus: everything but letters and digits becomes `_` and two hexadecimal digits, and so does a digit in front.
fn path_of(unit: &str) -> String {
    let mut path = "/org/freedesktop/systemd1/unit/".to_owned();
    for (at, byte) in unit.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_have_their_place_on_the_bus() {
        let table = [("web.service", "web_2eservice"), ("web@1.service", "web_401_2eservice"), ("1-a.service", "_31_2da_2eservice")];
        for (unit, path) in table {
            assert_eq!(path_of(unit), format!("/org/freedesktop/systemd1/unit/{path}"));
        }
    }

    #[test]
    fn only_active_units_are_announced() {
        let service = |unit: &str| UnitService::parse("x", &format!("service = \"web\"\nunit = \"{unit}\"\nport = 80\n")).unwrap();
        let services = [service("a.service"), service("b.service")];
        let host = Host { name: "n1".to_owned(), address: [10, 0, 0, 5].into() };
        let found = candidates(&services, &["b.service".to_owned(), "c.service".to_owned()].into(), &host);
        assert_eq!(found.iter().map(|had| had.key.to_string()).collect::<Vec<_>>(), ["slipway/services/web/n1:b.service:80"]);
    }
}
