//! The configuration of `cluster-agent`, which makes hosts with one document a cluster.
//!
//! Keys of `coreos.cluster` come first; what old documents say under `etcd2` counts where they say nothing.

use super::builder::{Builder, PRIVATE, PUBLIC};
use super::effect::{Action, JobKind, Origin};
use crate::model::cluster::{Cluster, Swarm, Turns};
use crate::model::coreos::CoreOs;
use crate::model::environment::{Environment, Setting, Table};
use crate::model::value::{ClusterTls, LockKind, RebootStrategy};
use crate::model::{Config, Rule};

/// The unit that makes hosts a cluster.
pub(super) const AGENT: &str = "cluster-agent.service";
const CONFIG: &str = "/etc/slipway/cluster.toml.d/50-cloud-config.toml";
const SECRET: &str = "/etc/slipway/cluster.secret";
/// Shortest secret of a cluster, in bytes; the agent asks for as many.
const SECRET_BYTES_MIN: usize = 16;
/// As good as never, for a span that has to be one.
const NEVER: &str = "36500d";
/// Variables of etcd that the agent sets, by their beginnings.
const AGENTS: [&str; 12] = [
    "ETCD_NAME",
    "ETCD_DATA_DIR",
    "ETCD_DISCOVERY",
    "ETCD_INITIAL_",
    "ETCD_ADVERTISE_",
    "ETCD_LISTEN_CLIENT_URLS",
    "ETCD_LISTEN_PEER_URLS",
    "ETCD_CERT_FILE",
    "ETCD_KEY_FILE",
    "ETCD_TRUSTED_CA_FILE",
    "ETCD_CLIENT_CERT_AUTH",
    "ETCD_PEER_",
];

/// Whether the document makes this host part of a cluster.
pub(super) fn wanted(config: &Config) -> bool {
    config.coreos.as_ref().is_some_and(|coreos| {
        coreos.cluster.is_some() || coreos.swarm.is_some() || coreos.turns.is_some() || legacy(coreos, "discovery").is_some()
    })
}

/// Whether a variable of etcd is the agent's to set.
pub(super) fn is_agents(variable: &str) -> bool {
    AGENTS.iter().any(|name| variable.starts_with(name))
}

/// The agent's configuration, and its start.
pub(super) fn members(builder: &mut Builder<'_>, config: &Config) {
    let Some(coreos) = config.coreos.as_ref().filter(|_| wanted(config)) else { return };
    let Some(origin) = origin(coreos) else { return };
    problems(builder, coreos);
    let mut text = String::new();
    etcd(&mut text, coreos);
    if let Some(cluster) = &coreos.cluster {
        snapshots(&mut text, cluster);
    }
    if let Some(swarm) = &coreos.swarm {
        self::swarm(&mut text, swarm);
    }
    turns(&mut text, coreos);
    metadata(&mut text, coreos);
    let mut files = vec![CONFIG];
    if let Some(secret) = coreos.cluster.as_ref().and_then(|cluster| cluster.secret.as_ref()) {
        builder.file(&secret.place, SECRET, PRIVATE, format!("{}\n", secret.value.reveal()));
        files.push(SECRET);
    }
    builder.file(origin.clone(), CONFIG, PUBLIC, text);
    if builder.facts.has_unit(AGENT) {
        builder.job_after_change(origin.clone(), AGENT, JobKind::TryRestart, &files);
        builder.job(origin, AGENT, JobKind::Start);
    } else {
        builder.every_boot(origin, Action::Unavailable { unit: AGENT.to_owned(), wanted: JobKind::Start.word().to_owned() });
    }
}

/// What no single key can know to be wrong.
fn problems(builder: &mut Builder<'_>, coreos: &CoreOs) {
    if let Some(cluster) = &coreos.cluster {
        let tls = cluster.tls.as_ref();
        match (tls.map(|tls| tls.value), &cluster.secret) {
            (Some(ClusterTls::Auto), None) => {
                let place = tls.map_or(&cluster.place, |tls| &tls.place);
                builder.problem(Rule::InvalidValue, place, "`tls: auto` makes certificates from a `secret`, and there is none");
            }
            (_, Some(secret)) if secret.value.reveal().len() < SECRET_BYTES_MIN => {
                let message = format!("a secret of a cluster has at least {SECRET_BYTES_MIN} characters");
                builder.problem(Rule::InvalidValue, &secret.place, message);
            }
            (Some(ClusterTls::Files), _) if cluster.ca_file.is_none() || cluster.cert_file.is_none() || cluster.key_file.is_none() => {
                let place = tls.map_or(&cluster.place, |tls| &tls.place);
                builder.problem(Rule::InvalidValue, place, "`tls: files` takes `ca_file`, `cert_file` and `key_file`");
            }
            _ => {}
        }
        if let (Some(_), Some(all)) = (&cluster.discovery, &cluster.initial_cluster) {
            builder.problem(Rule::InvalidValue, &all.place, "the members are either found by `discovery` or listed in `initial_cluster`");
        }
    }
    if let Some(managers) = coreos.swarm.as_ref().and_then(|swarm| swarm.managers.as_ref()).filter(|count| count.value.get() % 2 == 0) {
        builder.problem(Rule::InvalidValue, &managers.place, "an odd number of managers survives as many losses as the even one above it");
    }
    if let Some(turns) = &coreos.turns {
        let fleet_lock = turns.lock.as_ref().filter(|lock| lock.value == LockKind::FleetLock);
        if let (Some(lock), None) = (fleet_lock, &turns.url) {
            builder.problem(Rule::InvalidValue, &lock.place, "`lock: fleet-lock` takes the `url` of the server");
        }
    }
}

fn origin(coreos: &CoreOs) -> Option<Origin> {
    let cluster = coreos.cluster.as_ref().map(|section| &section.place);
    let swarm = coreos.swarm.as_ref().map(|section| &section.place);
    let turns = coreos.turns.as_ref().map(|section| &section.place);
    let etcd = coreos.etcd2.as_ref().map(|section| &section.place).or(coreos.etcd.as_ref().map(|section| &section.place));
    cluster.or(swarm).or(turns).or(etcd).map(Origin::from)
}

fn etcd(text: &mut String, coreos: &CoreOs) {
    let cluster = coreos.cluster.as_ref().map(|section| &section.value);
    let mut keys = Keys::default();
    let discovery = cluster.and_then(|cluster| cluster.discovery.as_ref()).map(|url| url.value.to_string());
    keys.text("discovery", discovery.or_else(|| legacy(coreos, "discovery")));
    let all = cluster.and_then(|cluster| cluster.initial_cluster.as_ref()).map(|all| all.value.clone());
    keys.text("initial-cluster", all.or_else(|| legacy(coreos, "initial_cluster")));
    let name = cluster.and_then(|cluster| cluster.name.as_ref()).map(|name| name.value.clone());
    keys.text("name", name.or_else(|| legacy(coreos, "name")));
    let address = cluster.and_then(|cluster| cluster.address.as_ref()).map(|address| address.value.clone());
    keys.text("address", address.or_else(|| legacy_address(coreos)));
    let mut files = ["ca", "cert", "key"].map(|kind| legacy(coreos, if kind == "ca" { "trusted_ca_file" } else { legacy_file(kind) }));
    let mut tls = files.iter().all(Option::is_some).then_some(ClusterTls::Files);
    if let Some(cluster) = cluster {
        keys.text("role", cluster.role.as_ref().map(|role| role.value.as_str().to_owned()));
        keys.text("replace-after", cluster.replace_after.as_ref().map(|span| span.value.to_string()));
        tls = cluster.tls.as_ref().map(|tls| tls.value).or(tls);
        keys.text("secret-file", cluster.secret.as_ref().map(|_| SECRET.to_owned()));
        for (file, own) in files.iter_mut().zip([&cluster.ca_file, &cluster.cert_file, &cluster.key_file]) {
            *file = own.as_ref().map(|path| path.value.as_str().to_owned()).or(file.take());
        }
    }
    keys.text("tls", tls.map(|tls| tls.as_str().to_owned()));
    if tls == Some(ClusterTls::Files) {
        for (key, file) in ["ca-file", "cert-file", "key-file"].into_iter().zip(files) {
            keys.text(key, file);
        }
    }
    keys.table(text, "etcd");
}

fn legacy_file(kind: &str) -> &'static str {
    if kind == "cert" { "cert_file" } else { "key_file" }
}

fn snapshots(text: &mut String, cluster: &Cluster) {
    let Some(snapshots) = &cluster.snapshots else { return };
    let mut keys = Keys::default();
    keys.text("every", snapshots.every.as_ref().map(|span| span.value.to_string()));
    keys.number("keep", snapshots.keep.as_ref().map(|count| count.value.get()));
    keys.text("directory", snapshots.directory.as_ref().map(|path| path.value.as_str().to_owned()));
    keys.table(text, "snapshot");
}

fn swarm(text: &mut String, swarm: &Swarm) {
    let mut keys = Keys::default();
    keys.number("managers", swarm.managers.as_ref().map(|count| count.value.get()));
    keys.text("role", swarm.role.as_ref().map(|role| role.value.as_str().to_owned()));
    keys.text("address", swarm.address.as_ref().map(|address| address.value.clone()));
    let replace_after = swarm.replace_after.as_ref().map(|span| span.value.to_string());
    keys.text("replace-after", replace_after.map(|span| if span == "never" { NEVER.to_owned() } else { span }));
    // Without any key the table is there all the same: it is what asks for a Swarm.
    keys.table_always(text, "swarm");
    let mut labels = Keys::default();
    for (label, value) in &swarm.labels {
        labels.text(label, Some(value.value.as_str().to_owned()));
    }
    labels.table(text, "swarm.labels");
}

fn turns(text: &mut String, coreos: &CoreOs) {
    let turns: Option<&Turns> = coreos.turns.as_ref().map(|section| &section.value);
    let strategy = coreos.update.as_ref().and_then(|update| update.reboot_strategy.as_ref()).map(|strategy| strategy.value);
    let by_strategy = (strategy == Some(RebootStrategy::FleetLock)).then_some("fleet-lock");
    let lock = turns.and_then(|turns| turns.lock.as_ref()).map(|lock| lock.value.as_str()).or(by_strategy);
    let old_group = coreos.locksmith.as_ref().and_then(|locksmith| locksmith.get("group")).map(|group| group.reveal().to_owned());
    let mut keys = Keys::default();
    keys.text("lock", lock.map(str::to_owned));
    keys.text("group", turns.and_then(|turns| turns.group.as_ref()).map(|group| group.value.clone()).or(old_group));
    keys.number("max", turns.and_then(|turns| turns.max.as_ref()).map(|max| max.value.get()));
    keys.text("url", turns.and_then(|turns| turns.url.as_ref()).map(|url| url.value.to_string()));
    let takes_turns = matches!(strategy, Some(RebootStrategy::EtcdLock | RebootStrategy::FleetLock | RebootStrategy::BestEffort));
    if takes_turns || turns.is_some() {
        keys.table_always(text, "turns");
    }
}

/// What the owner says of the host; fleet's metadata is where documents used to say it.
fn metadata(text: &mut String, coreos: &CoreOs) {
    let mut all = std::collections::BTreeMap::new();
    let old = coreos.fleet.as_ref().and_then(|fleet| fleet.get("metadata")).map(|setting| setting.reveal()).unwrap_or_default();
    all.extend(old.split(',').filter_map(|item| item.split_once('=')).map(|(key, value)| (key.trim(), value.trim())));
    if let Some(cluster) = &coreos.cluster {
        all.extend(cluster.metadata.iter().map(|(key, value)| (key.as_str(), value.value.as_str())));
    }
    let mut keys = Keys::default();
    for (key, value) in all {
        keys.text(key, Some(value.to_owned()));
    }
    keys.table(text, "metadata");
}

/// What an old document says about the member under `etcd2`, or under `etcd`.
fn legacy(coreos: &CoreOs, key: &str) -> Option<String> {
    fn of<T: Table>(section: &Environment<T>, key: &str) -> Option<String> {
        section.get(key).map(|setting| Setting::reveal(&setting.value).to_owned())
    }
    let two = coreos.etcd2.as_ref().and_then(|section| of(&section.value, key));
    two.or_else(|| coreos.etcd.as_ref().and_then(|section| of(&section.value, key)))
}

/// The host of the address that old documents tell the other members.
fn legacy_address(coreos: &CoreOs) -> Option<String> {
    let told =
        ["initial_advertise_peer_urls", "peer_addr", "advertise_client_urls", "addr"].into_iter().find_map(|key| legacy(coreos, key))?;
    let first = told.split(',').next()?.trim();
    let url = if first.contains("://") { first.to_owned() } else { format!("http://{first}") };
    let host = url::Url::parse(&url).ok()?.host()?.to_string();
    Some(host.trim_matches(['[', ']']).to_owned())
}

/// Keys of a TOML table, in order.
#[derive(Default)]
struct Keys(Vec<(String, String)>);

impl Keys {
    fn text(&mut self, key: &str, value: Option<String>) {
        self.0.extend(value.map(|value| (key.to_owned(), quoted(&value))));
    }

    fn number(&mut self, key: &str, value: Option<u32>) {
        self.0.extend(value.map(|value| (key.to_owned(), value.to_string())));
    }

    fn table(self, text: &mut String, name: &str) {
        if !self.0.is_empty() {
            self.table_always(text, name);
        }
    }

    fn table_always(self, text: &mut String, name: &str) {
        text.push_str(&format!("[{name}]\n"));
        for (key, value) in self.0 {
            let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
            let key = if plain { key } else { quoted(&key) };
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_toml_whatever_is_in_them() {
        assert_eq!(quoted("a \"b\" \\ c"), r#""a \"b\" \\ c""#);
        assert_eq!(quoted("a\nb\u{7f}"), r#""a\u000Ab\u007F""#);
        let mut text = String::new();
        let mut keys = Keys::default();
        keys.text("odd key", Some("x".to_owned()));
        keys.number("keep", Some(3));
        keys.table(&mut text, "t");
        assert_eq!(text, "[t]\n\"odd key\" = \"x\"\nkeep = 3\n");
    }

    #[test]
    fn what_is_the_agents_is_not_said_twice() {
        for name in ["ETCD_NAME", "ETCD_DISCOVERY", "ETCD_DISCOVERY_FALLBACK", "ETCD_INITIAL_CLUSTER", "ETCD_PEER_CERT_FILE"] {
            assert!(is_agents(name), "{name}");
        }
        for name in
            ["ETCD_ELECTION_TIMEOUT", "ETCD_HEARTBEAT_INTERVAL", "ETCD_SNAPSHOT_COUNT", "ETCD_LOG_LEVEL", "ETCD_LISTEN_METRICS_URLS"]
        {
            assert!(!is_agents(name), "{name}");
        }
    }
}
