//! Settings of services: keys that today's etcd has not, addresses to be replaced.

use super::Lints;
use crate::check::Rule;
use crate::model::Config;
use crate::model::environment::{Environment, Fate, Table};

/// Ports of etcd 0.4, and today's.
const OLD_PORTS: [(&str, &str); 2] = [(":4001", ":2379"), (":7001", ":2380")];
/// The first character of an address list, which cannot be a port.
const NO_HOST: [&str; 3] = ["http://:", "https://:", ":"];

pub(super) fn lint(config: &Config, lints: &mut Lints<'_>) {
    let Some(coreos) = &config.coreos else { return };
    if let Some(etcd) = &coreos.etcd {
        section(etcd, lints);
    }
    if let Some(etcd2) = &coreos.etcd2 {
        section(etcd2, lints);
    }
    if let Some(fleet) = &coreos.fleet {
        let place = &fleet.place;
        if !fleet.is_empty() {
            lints.add(Rule::FleetMissing, place, "the image has no fleet; these settings do nothing", "");
        }
        section(fleet, lints);
    }
    if let Some(flannel) = &coreos.flannel {
        section(flannel, lints);
    }
    if let Some(locksmith) = &coreos.locksmith {
        section(locksmith, lints);
    }
}

fn section<T: Table>(section: &Environment<T>, lints: &mut Lints<'_>) {
    for (variable, setting) in section.variables() {
        let (text, place) = (setting.reveal(), &setting.place);
        if text.chars().any(char::is_control) {
            lints.add(Rule::InvalidValue, place, "this has to be one line, without control characters", "");
        }
        lints.placeholder(text, place);
        if NO_HOST.iter().any(|start| text.starts_with(start)) {
            lints.add(
                Rule::InvalidValue,
                place,
                format!("`{}` has no address before its port", variable.key),
                "write `$private_ipv4` or the address itself",
            );
        }
        match variable.fate {
            Fate::Kept => old_ports(variable.key, text, place, lints),
            Fate::Translated(how) => {
                lints.add(
                    Rule::EtcdTranslated,
                    place,
                    format!("`{}` is a key of old etcd: it {how}", variable.key),
                    "use the keys of today's etcd",
                );
            }
            Fate::Ignored(why) => lints.add(Rule::EtcdIgnored, place, format!("`{}` does nothing: {why}", variable.key), "remove it"),
        }
    }
}

fn old_ports(key: &str, text: &str, place: &crate::model::Place, lints: &mut Lints<'_>) {
    if !key.ends_with("_urls") && key != "initial_cluster" {
        return;
    }
    let at_end = |port: &str| text.split(',').any(|url| url.trim_end_matches('/').ends_with(port));
    for (old, new) in OLD_PORTS {
        if at_end(old) {
            lints.add(
                Rule::EtcdTranslated,
                place,
                format!("port {} is that of old etcd, and becomes {}", &old[1..], &new[1..]),
                "write today's port",
            );
        }
    }
}
