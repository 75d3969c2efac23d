//! The daemon as a service: store, configuration, D-Bus and signals around the loop.

use std::path::PathBuf;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use super::clock::SystemClock;
use super::host::Host;
use super::notify::Systemd;
use super::run::Daemon;
use crate::config::{self, Settings};
use crate::history::History;
use crate::machine::Machine;
use crate::store::Store;
use crate::{dbus, machine, metrics};

/// Requests that may wait; more than one operator at a time is rare.
const COMMANDS_MAX: usize = 16;

/// Where things are; the defaults are right for every real machine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of state and history.
    pub state: PathBuf,
    /// Root of the configuration files.
    pub config_root: PathBuf,
    /// File of the figures for the node exporter.
    pub metrics: PathBuf,
    /// D-Bus address instead of the system bus.
    pub bus: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { state: PathBuf::from("/var/lib/slipway/updater"), config_root: PathBuf::from("/"), metrics: metrics::FILE.into(), bus: None }
    }
}

/// Serves until SIGTERM or SIGINT; SIGHUP reads the configuration again.
///
/// # Errors
/// The state folder or the bus cannot be used.
pub async fn serve<H: Host>(host: &H, options: &Options) -> anyhow::Result<()> {
    let store = Store::open(crate::disk::linux(), &options.state)?;
    let mut loaded = store.load()?;
    if let Some(damage) = loaded.damage {
        tracing::error!("{damage}");
        loaded.persisted.last_error = Some(machine::persisted::shortened(&damage));
    }
    // A wrong configuration is told by the loop; here only the good one matters.
    let settings = config::load(&options.config_root).map_or_else(|_| Settings::default(), |loaded| loaded.settings);
    let machine = Machine::new(host.booted(), loaded.persisted, settings);
    let (status, shown) = watch::channel(machine.status());
    let (requests, commands) = mpsc::channel(COMMANDS_MAX);

    let object = dbus::Updater::new(requests, shown.clone());
    let connection = connect(options.bus.as_deref(), object).await?;
    let object = connection.object_server().interface::<_, dbus::Updater>(dbus::PATH).await.context("publishing the object")?;
    let publisher = tokio::spawn(dbus::publish(object, shown));

    let (reload, reloads) = mpsc::channel(1);
    let mut hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
    let reloader = tokio::spawn(async move { while hangup.recv().await.is_some() && reload.send(()).await.is_ok() {} });
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };

    let history = History::new(&options.state);
    let clock = SystemClock::start();
    let (config_root, metrics) = (options.config_root.clone(), options.metrics.clone());
    let daemon = Daemon { machine, host, store, history, config_root, metrics, clock, notifier: Systemd, commands, status };
    daemon.run(shutdown, reloads).await;
    reloader.abort();
    publisher.abort();
    connection.graceful_shutdown().await;
    Ok(())
}

async fn connect(bus: Option<&str>, object: dbus::Updater) -> anyhow::Result<zbus::Connection> {
    let builder = match bus {
        Some(address) => zbus::connection::Builder::address(address),
        None => zbus::connection::Builder::system(),
    };
    let built = builder.serve_at(dbus::PATH, object).name(dbus::NAME).build().await;
    built.with_context(|| format!("taking the name {} on the bus; is another updater running?", dbus::NAME))
}
