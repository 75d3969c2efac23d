//! `update-server serve`

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
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
use crate::http::{App, Settings, discovery, places, routes, serve};
use crate::policy::Span;
use crate::policy::time::SpanError;
use crate::publish::online;

/// Connections that may wait to be taken: a fleet that comes back after a power cut.
const BACKLOG: u32 = 4096;

/// Least time that discovery addresses are kept for.
const KEEP_LEAST: Span = Span::hours(1);

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
    /// Who may make new discovery addresses, by which the machines of a cluster find each other.
    #[arg(long, value_enum, default_value_t = discovery::Access::Open)]
    discovery: discovery::Access,
    /// What new discovery addresses begin with, e.g. `https://updates.example.com/discovery`; without it, what --base-url says.
    #[arg(long, value_name = "URL", value_parser = discovery_url)]
    discovery_url: Option<String>,
    /// How long a discovery address is kept after it was last asked for, e.g. 7d, or `never` for no end.
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    discovery_keep: Keep,
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
    let settings = Settings {
        data: args.place.data.clone(),
        base_url: args.base_url,
        poll_secs: args.poll_interval,
        discovery: discovery::Settings {
            access: args.discovery,
            url: args.discovery_url,
            lifetime: args.discovery_keep.0,
            ..discovery::Settings::default()
        },
        ..Settings::default()
    };
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
    let waiting = app.waiting.clone();
    tokio::spawn(async move {
        end().await;
        // Machines that wait for others ask the next server, or this one when it is back.
        waiting.close();
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

/// How long something is kept; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Keep(Option<Span>);

impl FromStr for Keep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        let span: Span = text.parse().map_err(|error: SpanError| error.to_string())?;
        if span < KEEP_LEAST {
            Err(format!("machines may come hours apart: keep addresses for {KEEP_LEAST} at least"))
        } else {
            Ok(Self(Some(span)))
        }
    }
}

/// A URL below which tokens can stand.
fn discovery_url(text: &str) -> Result<String, String> {
    let fits = url::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host() && url.query().is_none() && url.fragment().is_none());
    if fits { Ok(text.to_owned()) } else { Err("this is not an http or https URL without query".to_owned()) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_kept_for_a_span_or_for_ever() {
        for (text, wanted) in
            [("7d", Some(Some(Span::hours(168)))), ("never", Some(None)), ("", None), ("0s", None), ("59m", None), ("7 days", None)]
        {
            assert_eq!(text.parse::<Keep>().ok().map(|keep| keep.0), wanted, "{text}");
        }
    }

    #[test]
    fn addresses_begin_with_a_url() {
        for (text, fits) in [
            ("https://updates.example.com/discovery", true),
            ("http://[fd00::1]:8080/a/b", true),
            ("updates.example.com", false),
            ("ftp://h/", false),
            ("https://h/?x", false),
        ] {
            assert_eq!(discovery_url(text).is_ok(), fits, "{text}");
        }
    }
}
