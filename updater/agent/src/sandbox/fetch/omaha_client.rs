//! One Omaha request and its answer.

use omaha::{App, AppStatus, Event, EventResult, EventType, Os, Request, Response, UpdateCheck, UpdateCheckResponse, UpdateStatus};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use tokio::time::Instant;

use super::Trouble;
use super::body::{Body, Bucket};
use super::client::Network;
use super::get::{send, status_trouble};
use super::limits::{MAX_URL_BYTES, MAX_URLS};
use crate::daemon::host::FailureKind;
use crate::sandbox::messages::{FetchAnswer, OmahaAsk, presentable};

/// Path below the server's URL; the one Flatcar's clients use.
const PATH: &str = "v1/update/";
/// Version this client states.
const CLIENT: &str = concat!("slipway-updater-", env!("CARGO_PKG_VERSION"));

/// Asks the configured server.
pub(super) async fn ask(network: &Network, ask: &OmahaAsk) -> Result<FetchAnswer, Trouble> {
    let url = format!("{}/{PATH}", network.server.trim_end_matches('/'));
    let url = network.guard.url(&url).map_err(|reason| Trouble::new(FailureKind::Response, reason.to_string()))?;
    let shown = url.to_string();
    let work = async {
        let request = network.client.post(url).header(CONTENT_TYPE, "text/xml").body(request(ask).to_xml());
        let response = send(network, request).await?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).or_else(|| response.headers().get("x-retry-after"));
        let retry_after = retry_after.and_then(|value| value.to_str().ok()?.trim().parse::<u32>().ok());
        if status != StatusCode::OK {
            let trouble = status_trouble(status);
            return Err(match retry_after {
                Some(seconds) => Trouble::new(trouble.kind, format!("{} and asks for {seconds} s of peace", trouble.text)),
                None => trouble,
            });
        }
        let mut bucket = Bucket::new(None);
        let deadline = Instant::now() + network.limits.small_total;
        let bytes = Body::new(response, &network.limits, &mut bucket, deadline).all(omaha::MAX_BYTES as u64).await?;
        if bytes.is_empty() {
            return Err(senseless("an empty answer"));
        }
        let response = Response::parse(&bytes).map_err(|error| senseless(&error.to_string()))?;
        answer(&response, ask)
    };
    work.await.map_err(|trouble: Trouble| trouble.on(&shown))
}

fn senseless(text: &str) -> Trouble {
    Trouble::new(FailureKind::Response, text)
}

/// The request as the wire wants it.
fn request(ask: &OmahaAsk) -> Request {
    let event = ask.event.as_ref().map(|event| Event {
        kind: EventType(event.kind),
        result: EventResult(event.result),
        error_code: event.error_code,
        previous_version: event.previous_version.as_ref().map(ToString::to_string),
        cause: event.cause.clone(),
        release: event.release.as_ref().map(ToString::to_string),
    });
    let app = App {
        id: ask.app_id.clone(),
        version: ask.version.clone(),
        track: ask.group.clone(),
        boot_id: format!("{{{}}}", ask.boot_id),
        machine_id: ask.machine_id.clone(),
        board: format!("{}-usr", ask.arch),
        lang: "en-US".to_owned(),
        ping: ask.check || ask.ping,
        update_check: ask.check.then(|| UpdateCheck { target_version_prefix: ask.pin.clone().unwrap_or_default() }),
        events: event.into_iter().collect(),
        ..App::default()
    };
    Request {
        protocol: "3.0".to_owned(),
        version: CLIENT.to_owned(),
        updater_version: CLIENT.to_owned(),
        install_source: if ask.on_demand { "ondemandupdate" } else { "scheduler" }.to_owned(),
        is_machine: true,
        os: Os {
            platform: "Slipway".to_owned(),
            version: ask.version.clone(),
            sp: format!("{}_{}", ask.version, ask.arch),
            arch: ask.arch.clone(),
        },
        apps: vec![app],
    }
}

/// What the server's answer means for this machine.
fn answer(response: &Response, ask: &OmahaAsk) -> Result<FetchAnswer, Trouble> {
    let app = response.apps.iter().find(|app| omaha::same_app(&app.id, &ask.app_id));
    let app = app.ok_or_else(|| senseless("the answer says nothing about this application"))?;
    if !matches!(app.status, AppStatus::Ok) {
        return Err(senseless(&format!("the server refuses this application: {}", app.status.as_str())));
    }
    if !ask.check {
        return Ok(FetchAnswer::Done);
    }
    let check = app.update_check.as_ref().ok_or_else(|| senseless("the answer has no updatecheck"))?;
    match &check.status {
        UpdateStatus::Ok => offer(check),
        UpdateStatus::NoUpdate => {
            Ok(FetchAnswer::NoUpdate { info: check.info.as_deref().map(presentable), poll_seconds: check.poll_interval_secs })
        }
        UpdateStatus::Other(other) => Err(senseless(&format!("the server reports {other}"))),
    }
}

fn offer(check: &UpdateCheckResponse) -> Result<FetchAnswer, Trouble> {
    let manifest = check.manifest.as_ref().ok_or_else(|| senseless("an update without a manifest"))?;
    let fits = |url: &&String| url.len() < MAX_URL_BYTES && (url.starts_with("http://") || url.starts_with("https://"));
    let bases: Vec<String> = check.urls.iter().filter(fits).take(MAX_URLS).map(|url| format!("{}/", url.trim_end_matches('/'))).collect();
    if bases.is_empty() {
        return Err(senseless("an update without a usable URL"));
    }
    Ok(FetchAnswer::Update { version: manifest.version.clone(), bases, poll_seconds: check.poll_interval_secs })
}
