//! An answer from a document. Where a list may stand more than once, the first counts, as it does for stock clients.

use base64::Engine as _;

use super::{Action, AppResponse, AppStatus, BASE64, Manifest, Package, Response, UpdateCheckResponse, UpdateStatus};
use crate::ParseError;
use crate::limits::{MAX_ACTIONS, MAX_APPS, MAX_EVENTS, MAX_PACKAGES, MAX_URLS};
use crate::xml::{Element, excerpt, flag, number, some_of};

pub(super) fn response(root: &Element) -> Result<Response, ParseError> {
    match root.get("protocol") {
        None => {}
        Some(protocol) if protocol.starts_with("3.") => {}
        Some(other) => return Err(ParseError::Protocol(excerpt(other))),
    }
    // For people only: a strange value is no reason to go without updates.
    let daystart = root.first("daystart").and_then(|daystart| daystart.get("elapsed_seconds")?.parse().ok());
    Ok(Response { server: root.text("server"), daystart_seconds: daystart.unwrap_or_default(), apps: some_of(root, "app", MAX_APPS, app)? })
}

fn app(app: &Element) -> Result<AppResponse, ParseError> {
    let events = app.all("event").count();
    if events > MAX_EVENTS {
        return Err(ParseError::Count { element: "event", limit: MAX_EVENTS });
    }
    Ok(AppResponse {
        id: app.text("appid"),
        status: app.get("status").map_or(AppStatus::Ok, AppStatus::from),
        ping: app.first("ping").is_some(),
        events,
        update_check: app.first("updatecheck").map(update_check).transpose()?,
    })
}

fn update_check(check: &Element) -> Result<UpdateCheckResponse, ParseError> {
    Ok(UpdateCheckResponse {
        status: UpdateStatus::from(check.get("status").unwrap_or_default()),
        info: optional(check, "info"),
        poll_interval_secs: hint(check, "PollInterval"),
        urls: match check.first("urls") {
            Some(urls) => some_of(urls, "url", MAX_URLS, |url| Ok(url.text("codebase")))?,
            None => Vec::new(),
        },
        // More than one is for servers that copy others; the first is the next one to install.
        manifest: check.first("manifest").map(manifest).transpose()?,
    })
}

fn manifest(manifest: &Element) -> Result<Manifest, ParseError> {
    Ok(Manifest {
        version: manifest.text("version"),
        packages: match manifest.first("packages") {
            Some(packages) => some_of(packages, "package", MAX_PACKAGES, package)?,
            None => Vec::new(),
        },
        actions: match manifest.first("actions") {
            Some(actions) => some_of(actions, "action", MAX_ACTIONS, |one| Ok(action(one)))?,
            None => Vec::new(),
        },
    })
}

fn package(package: &Element) -> Result<Package, ParseError> {
    Ok(Package {
        name: package.text("name"),
        size: number(package, "package", "size")?.unwrap_or_default(),
        sha1_base64: optional(package, "hash"),
        sha256: match package.get("hash_sha256") {
            None | Some("") => None,
            Some(text) => Some(sha256(text).ok_or(ParseError::Value {
                element: "package",
                attribute: "hash_sha256",
                expected: "a SHA-256 digest in hex or base64",
            })?),
        },
        required: flag(package.get("required")),
    })
}

/// Both encodings are in use; their lengths differ.
fn sha256(text: &str) -> Option<[u8; 32]> {
    const HEX_BYTES: usize = 64;
    let bytes = if text.len() == HEX_BYTES { hex::decode(text).ok()? } else { BASE64.decode(text).ok()? };
    bytes.try_into().ok()
}

fn action(action: &Element) -> Action {
    // update_engine compares with exactly this.
    let is_true = |name| action.get(name) == Some("true");
    Action {
        event: action.text("event"),
        sha256_base64: optional(action, "sha256"),
        disable_payload_backoff: is_true("DisablePayloadBackoff"),
        is_delta_payload: is_true("IsDeltaPayload"),
        max_failure_count_per_url: hint(action, "MaxFailureCountPerUrl"),
        display_version: optional(action, "DisplayVersion").or_else(|| optional(action, "ChromeOSVersion")),
        needs_admin: is_true("needsadmin"),
        metadata_size: hint(action, "MetadataSize"),
        metadata_signature_rsa: optional(action, "MetadataSignatureRsa"),
        deadline: optional(action, "deadline"),
        more_info: optional(action, "MoreInfo"),
        prompt: is_true("Prompt"),
        max_days_to_scatter: hint(action, "MaxDaysToScatter"),
    }
}

/// A number that can be done without: what is none is not there.
fn hint<T: std::str::FromStr>(from: &Element, name: &'static str) -> Option<T> {
    number(from, "", name).ok().flatten()
}

/// The value of an attribute; an empty one is not there.
fn optional(from: &Element, name: &str) -> Option<String> {
    from.get(name).filter(|value| !value.is_empty()).map(str::to_owned)
}
