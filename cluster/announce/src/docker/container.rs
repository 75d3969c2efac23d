//! From what Docker says of one container to what could be announced. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bollard::models::{ContainerInspectResponse, HealthStatusEnum};

use super::settings::Settings;
use crate::{Announcement, Candidate, Host, Key, Protocol};

/// Which ports of containers are announced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Those that the container gives a name.
    #[default]
    Named,
    /// Every published one; without a name it is called like the image, as registrator does.
    Published,
}

/// A port of a container, and where it is reached from outside.
type Ports = BTreeMap<(u16, Protocol), (IpAddr, u16)>;

/// What could be announced of one container, and what is wrong with it.
#[must_use]
pub fn candidates(container: &ContainerInspectResponse, host: &Host, scope: Scope) -> (Vec<Candidate>, Vec<String>) {
    if !works(container) {
        return Default::default();
    }
    let name = container.name.as_deref().unwrap_or_default().trim_start_matches('/');
    let config = container.config.as_ref();
    let labels: BTreeMap<_, _> = config.and_then(|config| config.labels.clone()).unwrap_or_default().into_iter().collect();
    let variables = config.and_then(|config| config.env.as_deref()).unwrap_or_default();
    let environment = variables.iter().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = Settings::read(&labels, &environment.collect());
    let mut problems = settings.problems.clone();
    let ports = if on_the_hosts_network(container) { own_ports(container, &settings, host) } else { published(container, host) };
    let of_image = (scope == Scope::Published).then(|| image(config.and_then(|config| config.image.as_deref()).unwrap_or_default()));

    let mut found = Vec::new();
    let mut missing: BTreeSet<u16> = settings.ports.iter().filter(|(_, words)| words.service.is_some()).map(|(port, _)| *port).collect();
    missing.extend(settings.port);
    for (&(port, protocol), &(address, outside)) in &ports {
        missing.remove(&port);
        let words = settings.of_port(port);
        let of_all = settings.all.service.as_deref().or(of_image.as_deref());
        let service = match (words.service, of_all) {
            _ if words.ignore => continue,
            (Some(own), _) => own,
            (None, Some(name)) if settings.port == Some(port) || (settings.port.is_none() && ports.len() == 1) => name.to_owned(),
            (None, Some(name)) if settings.port.is_none() => format!("{name}-{port}"),
            _ => continue,
        };
        let id = if protocol == Protocol::Tcp { format!("{name}:{port}") } else { format!("{name}:{port}:{protocol:?}").to_lowercase() };
        match Key::new(&service, &host.name, &id) {
            Ok(key) => {
                let tags = words.tags.unwrap_or_default();
                let announcement = Announcement { address, port: outside, protocol, tags, by: format!("container {name}") };
                found.push(Candidate { key, announcement, check: words.check.filter(|_| protocol == Protocol::Tcp) });
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    if !settings.all.ignore {
        problems.extend(
            missing
                .iter()
                .map(|port| format!("port {port} is not reachable from other machines; publish it, with `--publish {port}` or in full")),
        );
        if ports.is_empty() && settings.all.service.is_some() && missing.is_empty() {
            problems.push("it has a service and no published port; publish one with `--publish`".to_owned());
        }
    }
    (found, problems)
}

/// Whether it runs and does not say that it is ill, or not ready yet.
fn works(container: &ContainerInspectResponse) -> bool {
    let Some(state) = &container.state else { return false };
    let on = |flag: Option<bool>| flag.unwrap_or(false);
    let health = state.health.as_ref().and_then(|health| health.status);
    let ill = matches!(health, Some(HealthStatusEnum::STARTING | HealthStatusEnum::UNHEALTHY));
    on(state.running) && !on(state.paused) && !on(state.restarting) && !on(state.dead) && !ill
}

fn on_the_hosts_network(container: &ContainerInspectResponse) -> bool {
    container.host_config.as_ref().and_then(|config| config.network_mode.as_deref()) == Some("host")
}

/// The ports of a container that shares the host's network: those that it or its image names.
fn own_ports(container: &ContainerInspectResponse, settings: &Settings, host: &Host) -> Ports {
    let exposed = container.config.as_ref().and_then(|config| config.exposed_ports.as_deref()).unwrap_or_default();
    let named = settings.ports.iter().filter(|(_, words)| words.service.is_some()).map(|(port, _)| *port).chain(settings.port);
    let ports = named.map(|port| (port, Protocol::Tcp)).chain(exposed.iter().filter_map(|text| port_of(text)));
    ports.map(|(port, protocol)| ((port, protocol), (host.address, port))).collect()
}

/// The ports that other machines can reach, each at one place: the host's own address before others, then the smallest.
fn published(container: &ContainerInspectResponse, host: &Host) -> Ports {
    let bindings = container.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
    let mut ports = Ports::new();
    for (text, bindings) in bindings.into_iter().flatten() {
        let Some(port) = port_of(text) else { continue };
        let places = bindings.iter().flatten().filter_map(|binding| {
            let outside: u16 = binding.host_port.as_deref()?.parse().ok().filter(|port| *port > 0)?;
            let address = match binding.host_ip.as_deref() {
                None | Some("") => host.address,
                Some(address) => {
                    address.parse().ok().map(|address: IpAddr| if address.is_unspecified() { host.address } else { address })?
                }
            };
            (!address.is_loopback() || host.address.is_loopback()).then_some((address, outside))
        });
        if let Some(place) = places.min_by_key(|(address, outside)| (*address != host.address, *address, *outside)) {
            ports.insert(port, place);
        }
    }
    ports
}

/// Docker's `80/tcp`.
fn port_of(text: &str) -> Option<(u16, Protocol)> {
    let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    Some((port.parse().ok()?, Protocol::named(protocol)?))
}

/// The last part of an image's name, without tag and digest: `web` of `registry:5000/team/web:1.0@sha256:…`.
fn image(name: &str) -> String {
    let name = name.split('@').next().unwrap_or_default();
    let last = name.rsplit('/').next().unwrap_or_default();
    last.split(':').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &str = r#"{"Running":true,"Status":"running"}"#;

    fn container(state: &str, labels: &str, environment: &str, ports: &str) -> ContainerInspectResponse {
        let text = format!(
            r#"{{"Id":"1","Name":"/web-1","State":{state},"HostConfig":{{"NetworkMode":"bridge"}},
            "Config":{{"Image":"registry:5000/team/web:1.0","Labels":{labels},"Env":{environment}}},
            "NetworkSettings":{{"Ports":{ports}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn host() -> Host {
        Host { name: "n1".to_owned(), address: [10, 0, 0, 5].into() }
    }

    /// Keys without what is the same for all, and where they lead.
    fn told(container: &ContainerInspectResponse, scope: Scope) -> Vec<String> {
        let (found, _) = candidates(container, &host(), scope);
        let text = |had: &Candidate| format!("{} {}", had.key.to_string().trim_start_matches("slipway/services/"), had.address());
        found.iter().map(text).collect()
    }

    const ONE: &str = r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],"443/tcp":null}"#;
    const TWO: &str = r#"{"80/tcp":[{"HostIp":"","HostPort":"8080"}],"81/tcp":[{"HostIp":"0.0.0.0","HostPort":"8081"}]}"#;

    #[test]
    fn a_named_port_is_announced_where_it_is_published() {
        let table = [
            (r#"{"slipway.service":"web"}"#, "[]", ONE, vec!["web/n1:web-1:80 10.0.0.5:8080"]),
            ("{}", r#"["SERVICE_NAME=web"]"#, ONE, vec!["web/n1:web-1:80 10.0.0.5:8080"]),
            ("{}", r#"["SERVICE_80_NAME=web"]"#, TWO, vec!["web/n1:web-1:80 10.0.0.5:8080"]),
            // Several ports and one name: the port tells them apart, as in registrator.
            ("{}", r#"["SERVICE_NAME=web"]"#, TWO, vec!["web-80/n1:web-1:80 10.0.0.5:8080", "web-81/n1:web-1:81 10.0.0.5:8081"]),
            (r#"{"slipway.service":"web","slipway.port":"81"}"#, "[]", TWO, vec!["web/n1:web-1:81 10.0.0.5:8081"]),
            (
                r#"{"slipway.service":"web","slipway.port":"80","slipway.service.81":"admin"}"#,
                "[]",
                TWO,
                vec!["web/n1:web-1:80 10.0.0.5:8080", "admin/n1:web-1:81 10.0.0.5:8081"],
            ),
            (
                r#"{"slipway.service":"dns"}"#,
                "[]",
                r#"{"53/udp":[{"HostIp":"0.0.0.0","HostPort":"53"}]}"#,
                vec!["dns/n1:web-1:53:udp 10.0.0.5:53"],
            ),
            (
                r#"{"slipway.service":"web"}"#,
                "[]",
                r#"{"80/tcp":[{"HostIp":"10.9.9.9","HostPort":"80"}]}"#,
                vec!["web/n1:web-1:80 10.9.9.9:80"],
            ),
        ];
        for (labels, environment, ports, expected) in table {
            assert_eq!(told(&container(RUNNING, labels, environment, ports), Scope::Named), expected, "{labels} {environment} {ports}");
        }
    }

    #[test]
    fn what_has_no_name_or_wants_none_is_not_announced() {
        for (labels, environment) in [
            ("{}", "[]"),
            ("null", "null"),
            (r#"{"slipway.service":"web","slipway.ignore":"true"}"#, "[]"),
            ("{}", r#"["SERVICE_NAME=web","SERVICE_IGNORE=1"]"#),
            ("{}", r#"["SERVICE_NAME=web","SERVICE_80_IGNORE=1"]"#),
            (r#"{"slipway.service":"a/b"}"#, "[]"),
        ] {
            assert_eq!(told(&container(RUNNING, labels, environment, ONE), Scope::Named), Vec::<String>::new(), "{labels} {environment}");
        }
    }

    #[test]
    fn what_does_not_work_is_not_announced() {
        let table = [
            (RUNNING, 1),
            (r#"{"Running":true,"Health":{"Status":"healthy"}}"#, 1),
            (r#"{"Running":true,"Health":{"Status":"none"}}"#, 1),
            (r#"{"Running":true,"Health":{"Status":"starting"}}"#, 0),
            (r#"{"Running":true,"Health":{"Status":"unhealthy"}}"#, 0),
            (r#"{"Running":true,"Paused":true}"#, 0),
            (r#"{"Running":true,"Restarting":true}"#, 0),
            (r#"{"Running":false}"#, 0),
            ("null", 0),
        ];
        for (state, announced) in table {
            assert_eq!(told(&container(state, r#"{"slipway.service":"web"}"#, "[]", ONE), Scope::Named).len(), announced, "{state}");
        }
    }

    #[test]
    fn a_port_that_others_cannot_reach_is_told() {
        for ports in ["{}", r#"{"80/tcp":null}"#, r#"{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"80"}]}"#] {
            let (found, problems) =
                candidates(&container(RUNNING, r#"{"slipway.service":"web","slipway.port":"80"}"#, "[]", ports), &host(), Scope::Named);
            assert_eq!((found.len(), problems.len()), (0, 1), "{ports}");
            assert!(problems[0].contains("--publish"), "{problems:?}");
        }
    }

    #[test]
    fn on_the_hosts_network_ports_are_what_they_are() {
        let mut container = container(RUNNING, r#"{"slipway.service":"web","slipway.port":"8080"}"#, "[]", "{}");
        container.host_config.as_mut().unwrap().network_mode = Some("host".to_owned());
        assert_eq!(told(&container, Scope::Named), ["web/n1:web-1:8080 10.0.0.5:8080"]);
    }

    #[test]
    fn every_published_port_is_named_after_the_image_where_that_is_wanted() {
        assert_eq!(told(&container(RUNNING, "{}", "[]", ONE), Scope::Published), ["web/n1:web-1:80 10.0.0.5:8080"]);
        assert_eq!(
            told(&container(RUNNING, "{}", r#"["SERVICE_81_NAME=admin"]"#, TWO), Scope::Published)[1],
            "admin/n1:web-1:81 10.0.0.5:8081"
        );
        for (name, expected) in [("web", "web"), ("a/web:1", "web"), ("r:5000/web", "web"), ("web@sha256:00", "web"), ("", "")] {
            assert_eq!(image(name), expected);
        }
    }
}
