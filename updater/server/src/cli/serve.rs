//! `update-server serve`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::Ui;
use super::open::Place;
use crate::background;
use crate::clock::Clock;
use crate::http::{App, Settings, places, routes, serve};
use crate::publish::online;

/// Connections that may wait to be taken: a fleet that comes back after a power cut.
const BACKLOG: u32 = 4096;

/// How long the last batch may take when the server stops; a connection that does not end keeps its task waiting.
const LAST_BATCH: Duration = Duration::from_secs(10);

/// Serves machines and people until SIGTERM or SIGINT; then lets running requests end.
///
/// Example: update-server serve --data DIR --listen 127.0.0.1:0
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// Address and port; port 0 takes a free one. The address is printed.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// What machines are told to download from, e.g. behind a proxy or a CDN; without it, the host that they asked.
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// Folder with the online keys (*.pem): this server then signs timestamp and snapshot afresh by itself.
    #[arg(long, value_name = "DIR")]
    online_keys: Option<PathBuf>,
    /// How often machines are to ask, in seconds.
    #[arg(long, value_name = "SECONDS")]
    poll_interval: Option<u32>,
    /// Connections that one source address may have open; from loopback, where a proxy may stand, as many as there are.
    #[arg(long, value_name = "NUMBER", default_value_t = places::PER_ADDRESS)]
    connections_per_address: usize,
}

/// Runs it.
///
/// # Errors
/// The data cannot be opened, or the address is taken.
pub async fn run(args: Args, ui: Ui) -> anyhow::Result<()> {
    let (db, layout) = args.place.open().await?;
    let _ = layout;
    let keys = args.online_keys.as_deref().map(online::Keys::read).transpose()?.unwrap_or_default();
    let settings =
        Settings { data: args.place.data.clone(), base_url: args.base_url, poll_secs: args.poll_interval, ..Settings::default() };
    let (app, writer) = App::new(db.clone(), Clock::System, keys, settings);
    if let Err(error) = background::reconcile(&app).await {
        tracing::warn!(error = format!("{error:#}"), "what is published could not be checked against the database");
    }
    let listener = listen(args.listen).with_context(|| format!("listening on {}", args.listen))?;
    let address = listener.local_addr()?;
    if ui.json {
        ui.line(json!({ "listen": address.to_string(), "url": format!("http://{address}") }).to_string());
    } else {
        ui.line(format!("listening on http://{address}"));
    }
    let (stopping, stop) = watch::channel(false);
    let looking_after = tokio::spawn(background::run(app.clone(), stop.clone()));
    tokio::spawn(async move {
        end().await;
        let _ = stopping.send(true);
    });
    let mut limits = serve::Limits::default();
    limits.room.per_address = args.connections_per_address;
    let metrics = app.metrics.clone();
    serve::serve(listener, routes::router(app), limits, metrics, stop).await?;
    looking_after.await.context("the background task died")?;
    // All handles of the writer are gone now: it commits what it has and ends.
    if let Ok(ended) = tokio::time::timeout(LAST_BATCH, writer).await {
        ended.context("the task that commits check-ins died")?;
    }
    db.close().await;
    tracing::info!("stopped");
    Ok(())
}

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn end() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
