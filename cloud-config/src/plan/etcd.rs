//! Keys of etcd 0.4 and 2, in the words of the etcd 3.5 that the image has.
//!
//! Pure: from the keys that were written to the variables of a drop-in, and what the reader should know. The Debian unit listens where
//! `ETCD_LISTEN_*` says and otherwise on localhost; its name is the machine's.

use std::collections::BTreeMap;

use crate::model::environment::{Environment, Fate, Table};

/// The ports before IANA gave etcd its own, and those.
const PORTS: [(&str, &str); 2] = [("4001", "2379"), ("7001", "2380")];

/// The variables, by name, and a remark for each key that means nothing any more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) variables: BTreeMap<String, String>,
    pub(super) remarks: Vec<(crate::model::Place, String)>,
}

impl Settings {
    /// Takes over one section; called for `etcd` first, so that `etcd2` has the last word.
    pub(super) fn add<T: Table>(&mut self, section: &Environment<T>) {
        let scheme = |cert: &str| if section.get(cert).is_some() { "https" } else { "http" };
        let (client, peer) = (scheme("cert_file"), scheme("peer_cert_file"));
        for (variable, setting) in section.variables() {
            let value = setting.reveal();
            let mut set = |name: &str, value: String| drop(self.variables.insert(name.to_owned(), value));
            match variable.key {
                "addr" => {
                    set("ETCD_ADVERTISE_CLIENT_URLS", url(client, value, "2379"));
                    if section.get("bind_addr").is_none() {
                        set("ETCD_LISTEN_CLIENT_URLS", everywhere(client, value, "2379"));
                    }
                }
                "bind_addr" => set("ETCD_LISTEN_CLIENT_URLS", bind(client, value, "2379")),
                "peer_addr" => {
                    set("ETCD_INITIAL_ADVERTISE_PEER_URLS", url(peer, value, "2380"));
                    if section.get("peer_bind_addr").is_none() {
                        set("ETCD_LISTEN_PEER_URLS", everywhere(peer, value, "2380"));
                    }
                }
                "peer_bind_addr" => set("ETCD_LISTEN_PEER_URLS", bind(peer, value, "2380")),
                "ca_file" => {
                    set("ETCD_TRUSTED_CA_FILE", value.to_owned());
                    set("ETCD_CLIENT_CERT_AUTH", "true".to_owned());
                }
                "peer_ca_file" => {
                    set("ETCD_PEER_TRUSTED_CA_FILE", value.to_owned());
                    set("ETCD_PEER_CLIENT_CERT_AUTH", "true".to_owned());
                }
                "peer_election_timeout" => set("ETCD_ELECTION_TIMEOUT", value.to_owned()),
                "peer_heartbeat_interval" => set("ETCD_HEARTBEAT_INTERVAL", value.to_owned()),
                "snapshot_count" => set("ETCD_SNAPSHOT_COUNT", value.to_owned()),
                "verbose" | "very_verbose" | "very_very_verbose" | "debug" => {
                    if value == "true" {
                        set("ETCD_LOG_LEVEL", "debug".to_owned());
                    }
                }
                "discovery" => {
                    set("ETCD_DISCOVERY", value.to_owned());
                    // The default would make a node too many a proxy that reports itself healthy and cannot be started a second time.
                    set("ETCD_DISCOVERY_FALLBACK", "exit".to_owned());
                }
                "advertise_client_urls" | "listen_client_urls" | "initial_advertise_peer_urls" | "listen_peer_urls" | "initial_cluster" => {
                    set(variable.name, urls(value));
                }
                _ => match variable.fate {
                    Fate::Kept | Fate::Translated(_) => set(variable.name, value.to_owned()),
                    Fate::Ignored(why) => self.remarks.push((setting.place.clone(), format!("`{}` is not used: {why}", variable.key))),
                },
            }
        }
    }
}

/// A list of URLs with today's ports. Many listened on the old and the new port; one port is bound once.
fn urls(list: &str) -> String {
    let mut urls: Vec<String> = Vec::new();
    for one in list.split(',').map(|one| new_port(one.trim())) {
        if !urls.contains(&one) {
            urls.push(one);
        }
    }
    urls.join(",")
}

/// An address of 0.4, `host:port`, as a URL with today's port.
fn url(scheme: &str, address: &str, port: &str) -> String {
    if address.contains("://") {
        return new_port(address);
    }
    let (host, given) = split(address);
    new_port(&format!("{scheme}://{host}:{}", given.unwrap_or(port)))
}

/// The same port on every interface: what 0.4 did unless `bind-addr` said otherwise.
fn everywhere(scheme: &str, address: &str, port: &str) -> String {
    let bare = address.split_once("://").map_or(address, |(_, rest)| rest);
    let (_, given) = split(bare.trim_end_matches('/'));
    new_port(&format!("{scheme}://0.0.0.0:{}", given.unwrap_or(port)))
}

/// `bind-addr` may leave the host or the port out.
fn bind(scheme: &str, address: &str, port: &str) -> String {
    let (host, given) = split(address);
    url(scheme, &format!("{}:{}", if host.is_empty() { "0.0.0.0" } else { host }, given.unwrap_or(port)), port)
}

fn split(address: &str) -> (&str, Option<&str>) {
    match address.rsplit_once(':') {
        // The colons of an IPv6 address without brackets are not followed by a port.
        Some((host, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && !port.is_empty() && (!host.contains(':') || host.ends_with(']')) =>
        {
            (host, Some(port))
        }
        _ => (address, None),
    }
}

/// Today's port instead of one from before; a path or anything else stays.
fn new_port(url: &str) -> String {
    for (old, new) in PORTS {
        let ends = [format!(":{old}"), format!(":{old}/")];
        if let Some(end) = ends.iter().find(|end| url.ends_with(end.as_str())) {
            return format!("{}{}", &url[..url.len() - end.len()], end.replace(old, new));
        }
    }
    url.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_urls_with_todays_ports() {
        for (address, expected) in [
            ("10.0.0.5:4001", "http://10.0.0.5:2379"),
            ("10.0.0.5", "http://10.0.0.5:2379"),
            ("10.0.0.5:9999", "http://10.0.0.5:9999"),
            ("[fd00::1]:4001", "http://[fd00::1]:2379"),
            ("node1:4001", "http://node1:2379"),
            ("https://node1:4001", "https://node1:2379"),
        ] {
            assert_eq!(url("http", address, "2379"), expected);
        }
        assert_eq!(url("https", "10.0.0.5:7001", "2380"), "https://10.0.0.5:2380");
    }

    #[test]
    fn without_a_bind_address_all_interfaces_listen() {
        assert_eq!(everywhere("http", "10.0.0.5:4001", "2379"), "http://0.0.0.0:2379");
        assert_eq!(everywhere("http", "http://10.0.0.5:7001/", "2380"), "http://0.0.0.0:2380");
        assert_eq!(everywhere("http", "10.0.0.5", "2380"), "http://0.0.0.0:2380");
    }

    #[test]
    fn a_bind_address_may_leave_parts_out() {
        for (address, expected) in
            [(":4001", "http://0.0.0.0:2379"), ("127.0.0.1", "http://127.0.0.1:2379"), ("127.0.0.1:5000", "http://127.0.0.1:5000")]
        {
            assert_eq!(bind("http", address, "2379"), expected);
        }
    }

    #[test]
    fn a_port_is_listened_on_once() {
        assert_eq!(urls("http://0.0.0.0:2379, http://0.0.0.0:4001"), "http://0.0.0.0:2379");
        assert_eq!(urls("n1=http://a:7001,n2=http://b:7001"), "n1=http://a:2380,n2=http://b:2380");
    }

    #[test]
    fn only_whole_ports_are_replaced() {
        for same in ["http://a:14001", "http://a:40010", "http://a4001", "http://a:4001/path"] {
            assert_eq!(new_port(same), same);
        }
        assert_eq!(new_port("n1=http://a:7001"), "n1=http://a:2380");
    }
}
