//! Docker, and the proxy it shares with the system.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::accounts::private_folder;
use super::builder::{Builder, PRIVATE, PUBLIC, environment_line};
use super::effect::{Action, JobKind};
use super::host::first_place;
use super::path::HostPath;
use crate::model::{Config, Rule};

const DAEMON: &str = "/etc/docker/daemon.json";
/// Where the client of root looks for credentials, and gives them to the daemon with each pull.
const CREDENTIALS: &str = "/root/.docker/config.json";

pub(super) fn proxy(builder: &mut Builder<'_>, config: &Config) {
    let Some(proxy) = &config.proxy else { return };
    let mut values: Vec<(&str, String)> = Vec::new();
    values.extend(proxy.http.as_ref().map(|address| ("HTTP_PROXY", address.value.clone())));
    values.extend(proxy.https.as_ref().map(|address| ("HTTPS_PROXY", address.value.clone())));
    if !proxy.no_proxy.is_empty() {
        let direct: Vec<&str> = proxy.no_proxy.iter().map(|name| name.value.as_str()).collect();
        values.push(("NO_PROXY", direct.join(",")));
    }
    let has_password = values.iter().any(|(_, value)| value.contains('@'));
    let mode = if has_password { PRIVATE } else { PUBLIC };
    // Programs disagree on the case.
    let both = |(key, value): &(&str, String)| [((*key).to_owned(), value.clone()), (key.to_lowercase(), value.clone())];
    let values: Vec<(String, String)> = values.iter().flat_map(both).collect();
    if values.is_empty() {
        return;
    }
    let wanted = |flag: &Option<crate::model::Located<bool>>| flag.as_ref().is_none_or(|flag| flag.value);
    if wanted(&proxy.system) {
        let lines: String =
            values.iter().map(|(key, value)| environment_line(key, value).replacen("Environment", "DefaultEnvironment", 1)).collect();
        builder.file(&proxy.place, "/etc/systemd/system.conf.d/90-cloud-config-proxy.conf", mode, format!("[Manager]\n{lines}"));
        if has_password {
            builder.note(&proxy.place, "the proxy has a password, so it is not written to /etc/environment, which everybody may read");
        } else if let Ok(path) = HostPath::new("/etc/environment") {
            builder.every_boot(&proxy.place, Action::Assignments { path, base: None, values: values.clone() });
        }
    }
    if wanted(&proxy.docker) {
        let lines: String = values.iter().map(|(key, value)| environment_line(key, value)).collect();
        for unit in ["docker.service", "containerd.service"] {
            let path = format!("/etc/systemd/system/{unit}.d/90-cloud-config-proxy.conf");
            builder.file(&proxy.place, &path, mode, format!("[Service]\n{lines}"));
            builder.job_after_change(&proxy.place, unit, JobKind::TryRestart, &[&path]);
        }
    }
}

pub(super) fn docker(builder: &mut Builder<'_>, config: &Config) {
    let Some(docker) = &config.docker else { return };
    if let Some(first) = first_place(docker.daemon.values()) {
        let settings: serde_json::Map<_, _> = docker.daemon.iter().map(|(key, value)| (key.clone(), value.value.0.clone())).collect();
        let text = serde_json::to_string_pretty(&settings).unwrap_or_default();
        builder.file(first, DAEMON, PUBLIC, format!("{text}\n"));
        builder.job_after_change(first, "docker.service", JobKind::TryRestart, &[DAEMON]);
    }
    let Some(first) = first_place(docker.registries.values()) else { return };
    let mut auths = serde_json::Map::new();
    for (name, registry) in &docker.registries {
        let auth = match (&registry.auth, &registry.username, &registry.password) {
            (Some(auth), ..) => auth.reveal().to_owned(),
            (None, Some(user), Some(password)) => STANDARD.encode(format!("{}:{}", user.value, password.reveal())),
            _ => {
                builder.problem(
                    Rule::MissingKey,
                    &registry.place,
                    format!("the registry {name} needs `username` and `password`, or `auth`"),
                );
                continue;
            }
        };
        auths.insert(name.clone(), serde_json::json!({ "auth": auth }));
    }
    let text = serde_json::to_string_pretty(&serde_json::json!({ "auths": auths })).unwrap_or_default();
    if let Ok(folder) = HostPath::new("/root/.docker") {
        private_folder(builder, first.into(), &folder);
    }
    builder.file(first, CREDENTIALS, PRIVATE, format!("{text}\n"));
}
