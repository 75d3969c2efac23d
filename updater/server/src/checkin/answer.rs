//! What the wire says about a decision.

use omaha::{Action, AppResponse, AppStatus, Manifest, Package, Response, UpdateCheckResponse, UpdateStatus};

use super::{CheckIn, Reply};
use crate::policy::{Decision, Time};
use crate::store::catalog::Stored;

/// How often machines are to ask, in seconds. Stock clients take 45 minutes at least; a prime keeps fleets from falling into step.
pub const POLL_SECS: u32 = 2_687;
/// How the server calls itself.
const SERVER: &str = "slipway";

/// The document for `said` and what became of it, in the same order. Every application that asked is answered exactly once.
#[must_use]
pub fn response(said: &[CheckIn], replies: &[Reply], base: &str, poll_secs: u32, now: Time) -> Response {
    let apps = said.iter().zip(replies).map(|(said, reply)| app(said, reply, base, poll_secs)).collect();
    let daystart = u32::try_from(now.0.div_euclid(1000).rem_euclid(86_400)).unwrap_or(0);
    Response { server: SERVER.to_owned(), daystart_seconds: daystart, apps }
}

fn app(said: &CheckIn, reply: &Reply, base: &str, poll_secs: u32) -> AppResponse {
    // Stock clients look at the check alone and call everything but `ok` and `noupdate` an invalid answer (error 34): so a
    // machine that is refused is told "no update" and why, and only the application's own status says what kind of refusal.
    let (status, check) = match reply {
        Reply::UnknownApp => (AppStatus::UnknownApplication, none("there is no release of this application here", poll_secs)),
        Reply::NoMachineId => (AppStatus::Other("error-invalidMachineId".into()), none("the machine sent no usable machineid", poll_secs)),
        Reply::GroupFull => (AppStatus::Restricted, none("the group holds as many machines as it may", poll_secs)),
        Reply::Heard => (AppStatus::Ok, none("", poll_secs)),
        Reply::Decided(decision, release) => (AppStatus::Ok, check(decision, release.as_deref(), base, poll_secs)),
    };
    AppResponse { id: said.app_sent.clone(), status, ping: said.ping, events: said.reports.len(), update_check: said.asks.then_some(check) }
}

fn none(info: &str, poll_secs: u32) -> UpdateCheckResponse {
    UpdateCheckResponse {
        status: UpdateStatus::NoUpdate,
        info: (!info.is_empty()).then(|| info.to_owned()),
        poll_interval_secs: Some(poll_secs),
        ..UpdateCheckResponse::default()
    }
}

fn check(decision: &Decision, release: Option<&Stored>, base: &str, poll_secs: u32) -> UpdateCheckResponse {
    match (decision, release) {
        (Decision::NotNow(not_now), _) => none(&not_now.reason.to_string(), poll_secs),
        (Decision::Update(_), None) => none("the release is not here any more", poll_secs),
        (Decision::Update(_), Some(release)) => UpdateCheckResponse {
            status: UpdateStatus::Ok,
            info: None,
            poll_interval_secs: Some(poll_secs),
            urls: vec![format!("{base}/targets/{}/", release.offer.folder)],
            manifest: Some(manifest(release)),
        },
    }
}

fn manifest(release: &Stored) -> Manifest {
    let digest = |package: &crate::store::catalog::Package| -> Option<[u8; 32]> { hex::decode(&package.sha256).ok()?.try_into().ok() };
    let packages = release.offer.packages.iter();
    let first = release.offer.packages.first().and_then(digest);
    Manifest {
        version: release.release.version.to_string(),
        packages: packages
            .map(|package| Package {
                name: package.name.clone(),
                size: package.size,
                sha1_base64: package.sha1_base64.clone(),
                sha256: digest(package),
                required: true,
            })
            .collect(),
        // Retries are this server's business (PollInterval, Retry-After): a client must not stay away for days by itself.
        actions: first.map(|digest| Action { disable_payload_backoff: true, ..Action::postinstall(digest) }).into_iter().collect(),
    }
}
