//! Talking to the daemon.

use anyhow::Context;
use zbus::Connection;

use super::{NoDaemon, Ui};
use crate::dbus::{UpdaterError, UpdaterProxy};
use crate::machine::Status;

/// A connection to the daemon.
pub(super) struct Client {
    proxy: UpdaterProxy<'static>,
}

impl Client {
    pub(super) async fn connect(ui: &Ui) -> anyhow::Result<Self> {
        let builder = match &ui.bus {
            Some(address) => zbus::connection::Builder::address(address.as_str()),
            None => zbus::connection::Builder::system(),
        };
        let connection: Connection = builder.build().await.map_err(|error| NoDaemon(error.to_string()))?;
        let proxy = UpdaterProxy::builder(&connection).cache_properties(zbus::proxy::CacheProperties::No).build().await;
        Ok(Self { proxy: proxy.map_err(|error| NoDaemon(error.to_string()))? })
    }

    pub(super) async fn status(&self) -> anyhow::Result<Status> {
        let text = judged(self.proxy.status().await)?;
        serde_json::from_str(&text).context("reading the daemon's status; is it another version?")
    }

    pub(super) async fn check(&self) -> anyhow::Result<u64> {
        judged(self.proxy.check().await)
    }

    pub(super) async fn apply(&self, despite_quarantine: &str) -> anyhow::Result<u64> {
        judged(self.proxy.apply(despite_quarantine).await)
    }

    pub(super) async fn reboot(&self, now: bool) -> anyhow::Result<()> {
        judged(if now { self.proxy.reboot_now().await } else { self.proxy.reboot().await })
    }

    pub(super) async fn rollback(&self) -> anyhow::Result<u64> {
        judged(self.proxy.rollback().await)
    }

    pub(super) async fn cancel(&self) -> anyhow::Result<()> {
        judged(self.proxy.cancel().await)
    }

    pub(super) async fn why(&self) -> anyhow::Result<String> {
        judged(self.proxy.why().await)
    }

    pub(super) async fn history(&self, count: u32) -> anyhow::Result<String> {
        judged(self.proxy.history(count).await)
    }
}

/// Tells "no daemon" from "the daemon says no".
fn judged<T>(result: Result<T, UpdaterError>) -> anyhow::Result<T> {
    let error = match result {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if let UpdaterError::ZBus(inner) = &error {
        let absent = match inner {
            zbus::Error::MethodError(name, _, _) => {
                let name = name.as_str();
                let gone = ["ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected"];
                gone.iter().any(|suffix| name == format!("org.freedesktop.DBus.Error.{suffix}")) || name.contains("Spawn")
            }
            zbus::Error::FDO(inner) => matches!(
                **inner,
                zbus::fdo::Error::ServiceUnknown(_)
                    | zbus::fdo::Error::NameHasNoOwner(_)
                    | zbus::fdo::Error::NoReply(_)
                    | zbus::fdo::Error::Disconnected(_)
            ),
            zbus::Error::InputOutput(_) => true,
            _ => false,
        };
        if absent {
            return Err(NoDaemon(inner.to_string()).into());
        }
    }
    Err(error.into())
}
