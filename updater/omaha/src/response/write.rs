//! An answer as a document: everything stock clients, go-omaha's client and ue-rs insist on is there.

use super::{Action, AppResponse, Manifest, Package, Response, UpdateCheckResponse, UpdateStatus};
use crate::xml::Writer;

pub(super) fn response(response: &Response) -> String {
    let mut xml = Writer::new();
    xml.element("response", &[("protocol", "3.0"), ("server", &response.server)], |xml| {
        xml.empty("daystart", &[("elapsed_seconds", &response.daystart_seconds.to_string())]);
        response.apps.iter().for_each(|one| app(xml, one));
    });
    xml.finish()
}

fn app(xml: &mut Writer, app: &AppResponse) {
    xml.element("app", &[("appid", &app.id), ("status", app.status.as_str())], |xml| {
        if app.ping {
            xml.empty("ping", &[("status", "ok")]);
        }
        for _ in 0..app.events {
            xml.empty("event", &[("status", "ok")]);
        }
        if let Some(check) = &app.update_check {
            update_check(xml, check);
        }
    });
}

fn update_check(xml: &mut Writer, check: &UpdateCheckResponse) {
    let interval = check.poll_interval_secs.map(|seconds| seconds.to_string());
    let mut attributes = vec![("status", check.status.as_str())];
    attributes.extend(check.info.as_deref().map(|info| ("info", info)));
    attributes.extend(interval.as_deref().map(|seconds| ("PollInterval", seconds)));
    if check.status != UpdateStatus::Ok && check.urls.is_empty() && check.manifest.is_none() {
        return xml.empty("updatecheck", &attributes);
    }
    xml.element("updatecheck", &attributes, |xml| {
        xml.element("urls", &[], |xml| check.urls.iter().for_each(|url| xml.empty("url", &[("codebase", url)])));
        if let Some(one) = &check.manifest {
            manifest(xml, one);
        }
    });
}

fn manifest(xml: &mut Writer, manifest: &Manifest) {
    xml.element("manifest", &[("version", &manifest.version)], |xml| {
        xml.element("packages", &[], |xml| manifest.packages.iter().for_each(|one| package(xml, one)));
        xml.element("actions", &[], |xml| manifest.actions.iter().for_each(|one| action(xml, one)));
    });
}

fn package(xml: &mut Writer, package: &Package) {
    let (size, sha256) = (package.size.to_string(), package.sha256.map(hex::encode));
    let mut attributes = vec![("name", &*package.name), ("size", &size)];
    attributes.extend(package.sha1_base64.as_deref().map(|hash| ("hash", hash)));
    attributes.extend(sha256.as_deref().map(|hash| ("hash_sha256", hash)));
    attributes.push(("required", if package.required { "true" } else { "false" }));
    xml.empty("package", &attributes);
}

fn action(xml: &mut Writer, action: &Action) {
    let text = |number: Option<u64>| number.map(|number| number.to_string());
    let failures = text(action.max_failure_count_per_url.map(u64::from));
    let (metadata, scatter) = (text(action.metadata_size), text(action.max_days_to_scatter.map(u64::from)));
    let yes = |flag: bool| flag.then_some("true");
    let optional = [
        ("DisplayVersion", action.display_version.as_deref()),
        ("IsDeltaPayload", yes(action.is_delta_payload)),
        ("DisablePayloadBackoff", yes(action.disable_payload_backoff)),
        ("MaxFailureCountPerUrl", failures.as_deref()),
        ("needsadmin", yes(action.needs_admin)),
        ("MetadataSize", metadata.as_deref()),
        ("MetadataSignatureRsa", action.metadata_signature_rsa.as_deref()),
        ("deadline", action.deadline.as_deref()),
        ("MoreInfo", action.more_info.as_deref()),
        ("Prompt", yes(action.prompt)),
        ("MaxDaysToScatter", scatter.as_deref()),
    ];
    let mut attributes = vec![("event", &*action.event), ("sha256", action.sha256_base64.as_deref().unwrap_or_default())];
    attributes.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    xml.empty("action", &attributes);
}
