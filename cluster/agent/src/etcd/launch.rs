//! How etcd is started: its environment, which is all of its configuration.

use std::path::PathBuf;

use super::seen::Seat;
use crate::ground::Ground;
use crate::tls::Files;

/// What etcd is told about the cluster it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joining {
    /// Nothing: its data says it.
    Stored,
    /// The cluster is new and has these members.
    New(Vec<Seat>),
    /// The cluster is there, has these members, and this one is among them.
    Existing(Vec<Seat>),
    /// Its data says who it is, and from now on it is the only member. For a copy that is read once: the cluster keeps its identity, and
    /// members of the one that was would take it for theirs.
    Alone,
}

/// How etcd is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    environment: Vec<(String, String)>,
    /// Its data.
    pub data: PathBuf,
}

/// Size of the database beyond which etcd refuses writes, in bytes: etcd's own recommended maximum for small machines, 2 GiB.
const QUOTA: u64 = 2 << 30;
/// How far back the history of a key is kept: etcd without compaction grows for ever.
const HISTORY: &str = "1h";

impl Launch {
    /// Makes it from who we are.
    #[must_use]
    pub fn new(ground: &Ground, tls: Option<&Files>, joining: &Joining) -> Self {
        let scheme = Ground::scheme(tls.is_some());
        let seat = ground.seat(tls.is_some());
        let client = format!("{scheme}://{}", std::net::SocketAddr::new(ground.address, ground.client_port));
        let local = ground.local_url(tls.is_some());
        let listen = if local == client { client.clone() } else { format!("{local},{client}") };
        let mut environment: Vec<(String, String)> = Vec::new();
        let mut set = |key: &str, value: String| environment.push((format!("ETCD_{key}"), value));
        set("NAME", seat.name);
        set("DATA_DIR", ground.data.display().to_string());
        set("LISTEN_PEER_URLS", seat.peer_url.clone());
        set("LISTEN_CLIENT_URLS", listen);
        set("INITIAL_ADVERTISE_PEER_URLS", seat.peer_url);
        set("ADVERTISE_CLIENT_URLS", client);
        // An etcd that is not told of a cluster would found one of its own; this one would rather end.
        set("DISCOVERY_FALLBACK", "exit".to_owned());
        set("STRICT_RECONFIG_CHECK", "true".to_owned());
        set("AUTO_COMPACTION_RETENTION", HISTORY.to_owned());
        set("QUOTA_BACKEND_BYTES", QUOTA.to_string());
        if let Some(tls) = tls {
            for side in ["", "PEER_"] {
                set(&format!("{side}CERT_FILE"), tls.cert.display().to_string());
                set(&format!("{side}KEY_FILE"), tls.key.display().to_string());
                set(&format!("{side}TRUSTED_CA_FILE"), tls.ca.display().to_string());
                set(&format!("{side}CLIENT_CERT_AUTH"), "true".to_owned());
            }
            // Who has a certificate of ours belongs to us, whichever of its addresses it comes from.
            set("EXPERIMENTAL_PEER_SKIP_CLIENT_SAN_VERIFICATION", "true".to_owned());
        }
        match joining {
            Joining::Stored => {}
            Joining::Alone => set("FORCE_NEW_CLUSTER", "true".to_owned()),
            Joining::New(seats) | Joining::Existing(seats) => {
                set("INITIAL_CLUSTER", initial_cluster(seats));
                set("INITIAL_CLUSTER_STATE", if matches!(joining, Joining::New(_)) { "new" } else { "existing" }.to_owned());
            }
        }
        Self { environment, data: ground.data.clone() }
    }

    /// Names and values of the environment.
    #[must_use]
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// The environment as a drop-in of the unit (`man 5 systemd.exec`), which forgets what the distribution's file says.
    #[must_use]
    pub fn drop_in(&self) -> String {
        let mut text = "# Written by cluster-agent; it is gone after the next boot.\n[Service]\nEnvironmentFile=\n".to_owned();
        for (name, value) in &self.environment {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
            text.push_str(&format!("Environment=\"{name}={value}\"\n"));
        }
        text
    }
}

fn initial_cluster(seats: &[Seat]) -> String {
    let pairs: Vec<String> = seats.iter().map(|seat| format!("{}={}", seat.name, seat.peer_url)).collect();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::tests_support::ground;

    #[test]
    fn a_drop_in_says_everything() {
        let seats = [1, 2].map(|n| Seat { name: format!("n{n}"), peer_url: format!("http://10.0.0.{n}:2380") });
        insta::assert_snapshot!(Launch::new(&ground(), None, &Joining::New(seats.to_vec())).drop_in(), @r#"
        # Written by cluster-agent; it is gone after the next boot.
        [Service]
        EnvironmentFile=
        Environment="ETCD_NAME=n1"
        Environment="ETCD_DATA_DIR=/var/lib/etcd/default"
        Environment="ETCD_LISTEN_PEER_URLS=http://10.0.0.1:2380"
        Environment="ETCD_LISTEN_CLIENT_URLS=http://127.0.0.1:2379,http://10.0.0.1:2379"
        Environment="ETCD_INITIAL_ADVERTISE_PEER_URLS=http://10.0.0.1:2380"
        Environment="ETCD_ADVERTISE_CLIENT_URLS=http://10.0.0.1:2379"
        Environment="ETCD_DISCOVERY_FALLBACK=exit"
        Environment="ETCD_STRICT_RECONFIG_CHECK=true"
        Environment="ETCD_AUTO_COMPACTION_RETENTION=1h"
        Environment="ETCD_QUOTA_BACKEND_BYTES=2147483648"
        Environment="ETCD_INITIAL_CLUSTER=n1=http://10.0.0.1:2380,n2=http://10.0.0.2:2380"
        Environment="ETCD_INITIAL_CLUSTER_STATE=new"
        "#);
    }

    #[test]
    fn stored_data_is_told_of_no_cluster_and_discovery_is_never_etcds() {
        let seats = vec![Seat { name: "n1".to_owned(), peer_url: "http://10.0.0.1:2380".to_owned() }];
        for (joining, words) in [
            (Joining::Stored, vec![]),
            (Joining::New(seats.clone()), vec!["ETCD_INITIAL_CLUSTER", "ETCD_INITIAL_CLUSTER_STATE"]),
            (Joining::Existing(seats), vec!["ETCD_INITIAL_CLUSTER", "ETCD_INITIAL_CLUSTER_STATE"]),
            (Joining::Alone, vec!["ETCD_FORCE_NEW_CLUSTER"]),
        ] {
            let launch = Launch::new(&ground(), None, &joining);
            let names: Vec<&str> = launch.environment().iter().map(|(name, _)| name.as_str()).collect();
            let about = |name: &&str| name.starts_with("ETCD_INITIAL_CLUSTER") || name.contains("FORCE");
            assert_eq!(names.iter().copied().filter(|name| about(name)).collect::<Vec<_>>(), words);
            assert!(!names.contains(&"ETCD_DISCOVERY"));
        }
    }

    #[test]
    fn values_of_a_drop_in_are_taken_literally() {
        let ground = Ground { data: "/a b/%h\"c".into(), ..ground() };
        let text = Launch::new(&ground, None, &Joining::Stored).drop_in();
        assert!(text.contains("Environment=\"ETCD_DATA_DIR=/a b/%%h\\\"c\"\n"), "{text}");
    }
}
