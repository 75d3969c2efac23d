//! Keys of etcd 0.4 and etcd 2, and what the etcd 3.5 of the image makes of them.

use super::{Fate, Kind, Table, Variable};
use Fate::{Ignored, Kept, Translated};
use Kind::{Bool, Choice, Float, Int, Text};

/// Where etcd 3.5 has no such thing.
const NO_V2_PROXY: &str = "the proxy of etcd 3.5 only serves the v2 interface, which is off; point clients at the members";
const NO_TUNING: &str = "etcd since 2.0 has its own cluster management";
const NO_V2_HTTP: &str = "etcd 3.5 has no such limit";

const fn key(key: &'static str, name: &'static str, kind: Kind, fate: Fate, about: &'static str) -> Variable {
    Variable { key, name, kind, about, fate }
}

/// Keys of `coreos.etcd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdKeys;

/// Keys of `coreos.etcd2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd2Keys;

impl Table for EtcdKeys {
    const NAME: &'static str = "etcd";
    const KEYS: &'static [Variable] = &[
        key(
            "addr",
            "ETCD_ADDR",
            Text,
            Translated("becomes `advertise_client_urls` and `listen_client_urls`"),
            "Address and port for clients; port 4001 becomes 2379.",
        ),
        key("advertise_client_urls", "ETCD_ADVERTISE_CLIENT_URLS", Text, Kept, "Addresses that clients are told to use."),
        key("bind_addr", "ETCD_BIND_ADDR", Text, Translated("becomes `listen_client_urls`"), "Address and port to listen on for clients."),
        key(
            "ca_file",
            "ETCD_CA_FILE",
            Text,
            Translated("becomes `trusted_ca_file` with `client_cert_auth`"),
            "CA that client certificates must come from.",
        ),
        key("cert_file", "ETCD_CERT_FILE", Text, Kept, "Certificate for clients."),
        key("cluster_active_size", "ETCD_CLUSTER_ACTIVE_SIZE", Int, Ignored(NO_TUNING), "How many members take part in consensus."),
        key("cluster_remove_delay", "ETCD_CLUSTER_REMOVE_DELAY", Float, Ignored(NO_TUNING), "Seconds until a silent member is removed."),
        key(
            "cluster_sync_interval",
            "ETCD_CLUSTER_SYNC_INTERVAL",
            Float,
            Ignored(NO_TUNING),
            "Seconds between synchronisations of standbys.",
        ),
        key("cors", "ETCD_CORS", Text, Kept, "Origins that browsers may come from."),
        key("data_dir", "ETCD_DATA_DIR", Text, Kept, "Where the data is kept."),
        key(
            "discovery",
            "ETCD_DISCOVERY",
            Text,
            Kept,
            "Discovery URL with its token, the same on all nodes; the cluster agent does the discovery for etcd.",
        ),
        key(
            "discovery_fallback",
            "ETCD_DISCOVERY_FALLBACK",
            Text,
            Ignored(NO_V2_PROXY),
            "What a node does that is not needed as a member.",
        ),
        key("discovery_srv", "ETCD_DISCOVERY_SRV", Text, Kept, "Domain whose SRV records name the members."),
        key("discovery_proxy", "ETCD_DISCOVERY_PROXY", Text, Kept, "HTTP proxy on the way to the discovery URL."),
        key("election_timeout", "ETCD_ELECTION_TIMEOUT", Int, Kept, "Milliseconds without a leader until a new one is elected."),
        key("force_new_cluster", "ETCD_FORCE_NEW_CLUSTER", Bool, Kept, "Starts a cluster of one from old data; for disasters only."),
        key("graphite_host", "ETCD_GRAPHITE_HOST", Text, Ignored("etcd 3.5 offers metrics for Prometheus"), "Where metrics were sent."),
        key("heartbeat_interval", "ETCD_HEARTBEAT_INTERVAL", Int, Kept, "Milliseconds between signs of life of the leader."),
        key("http_read_timeout", "ETCD_HTTP_READ_TIMEOUT", Float, Ignored(NO_V2_HTTP), "Seconds a request may take to arrive."),
        key("http_write_timeout", "ETCD_HTTP_WRITE_TIMEOUT", Float, Ignored(NO_V2_HTTP), "Seconds an answer may take."),
        key("initial_advertise_peer_urls", "ETCD_INITIAL_ADVERTISE_PEER_URLS", Text, Kept, "Addresses that other members are told to use."),
        key("initial_cluster", "ETCD_INITIAL_CLUSTER", Text, Kept, "Members of a new cluster, as `name=url,...`."),
        key("initial_cluster_state", "ETCD_INITIAL_CLUSTER_STATE", Text, Kept, "`new` or `existing`."),
        key("initial_cluster_token", "ETCD_INITIAL_CLUSTER_TOKEN", Text, Kept, "Keeps clusters with the same addresses apart."),
        key("key_file", "ETCD_KEY_FILE", Text, Kept, "Key of the certificate for clients."),
        key("listen_client_urls", "ETCD_LISTEN_CLIENT_URLS", Text, Kept, "Addresses to listen on for clients."),
        key("listen_peer_urls", "ETCD_LISTEN_PEER_URLS", Text, Kept, "Addresses to listen on for other members."),
        key("max_result_buffer", "ETCD_MAX_RESULT_BUFFER", Int, Ignored(NO_V2_HTTP), "How many results were kept."),
        key("max_retry_attempts", "ETCD_MAX_RETRY_ATTEMPTS", Int, Ignored(NO_TUNING), "How often joining was tried."),
        key("max_snapshots", "ETCD_MAX_SNAPSHOTS", Int, Kept, "How many snapshots are kept."),
        key("max_wals", "ETCD_MAX_WALS", Int, Kept, "How many logs are kept."),
        key("name", "ETCD_NAME", Text, Kept, "Name of this member."),
        key(
            "peer_addr",
            "ETCD_PEER_ADDR",
            Text,
            Translated("becomes `initial_advertise_peer_urls` and `listen_peer_urls`"),
            "Address and port for other members; port 7001 becomes 2380.",
        ),
        key(
            "peer_bind_addr",
            "ETCD_PEER_BIND_ADDR",
            Text,
            Translated("becomes `listen_peer_urls`"),
            "Address and port to listen on for other members.",
        ),
        key(
            "peer_ca_file",
            "ETCD_PEER_CA_FILE",
            Text,
            Translated("becomes `peer_trusted_ca_file` with `peer_client_cert_auth`"),
            "CA that certificates of members must come from.",
        ),
        key("peer_cert_file", "ETCD_PEER_CERT_FILE", Text, Kept, "Certificate for other members."),
        key(
            "peer_election_timeout",
            "ETCD_PEER_ELECTION_TIMEOUT",
            Int,
            Translated("becomes `election_timeout`"),
            "Milliseconds without a leader until a new one is elected.",
        ),
        key(
            "peer_heartbeat_interval",
            "ETCD_PEER_HEARTBEAT_INTERVAL",
            Int,
            Translated("becomes `heartbeat_interval`"),
            "Milliseconds between signs of life of the leader.",
        ),
        key("peer_key_file", "ETCD_PEER_KEY_FILE", Text, Kept, "Key of the certificate for other members."),
        key("peers", "ETCD_PEERS", Text, Ignored("use `initial_cluster` or `discovery`"), "Addresses of members to join."),
        key(
            "peers_file",
            "ETCD_PEERS_FILE",
            Text,
            Ignored("use `initial_cluster` or `discovery`"),
            "File with addresses of members to join.",
        ),
        key("proxy", "ETCD_PROXY", Text, Ignored(NO_V2_PROXY), "Whether this node only passes requests on."),
        key("retry_interval", "ETCD_RETRY_INTERVAL", Float, Ignored(NO_TUNING), "Seconds between tries to join."),
        key("snapshot", "ETCD_SNAPSHOT", Bool, Ignored("etcd since 2.0 always makes snapshots"), "Whether snapshots are made."),
        key(
            "snapshot_count",
            "ETCD_SNAPSHOTCOUNT",
            Int,
            Translated("becomes the variable `ETCD_SNAPSHOT_COUNT`"),
            "Changes between two snapshots.",
        ),
        key("trace", "ETCD_TRACE", Text, Ignored("use `enable_pprof` of `etcd2`"), "Kind of trace to record."),
        key("verbose", "ETCD_VERBOSE", Bool, Translated("becomes `ETCD_LOG_LEVEL=debug`"), "Logs more."),
        key("very_verbose", "ETCD_VERY_VERBOSE", Bool, Translated("becomes `ETCD_LOG_LEVEL=debug`"), "Logs even more."),
        key("very_very_verbose", "ETCD_VERY_VERY_VERBOSE", Bool, Translated("becomes `ETCD_LOG_LEVEL=debug`"), "Logs everything."),
    ];
}

impl Table for Etcd2Keys {
    const NAME: &'static str = "etcd2";
    const KEYS: &'static [Variable] = &[
        key("advertise_client_urls", "ETCD_ADVERTISE_CLIENT_URLS", Text, Kept, "Addresses that clients are told to use."),
        key(
            "ca_file",
            "ETCD_CA_FILE",
            Text,
            Translated("becomes `trusted_ca_file` with `client_cert_auth`"),
            "CA that client certificates must come from.",
        ),
        key("cert_file", "ETCD_CERT_FILE", Text, Kept, "Certificate for clients."),
        key("client_cert_auth", "ETCD_CLIENT_CERT_AUTH", Bool, Kept, "Clients must show a certificate."),
        key("cors", "ETCD_CORS", Text, Kept, "Origins that browsers may come from."),
        key("data_dir", "ETCD_DATA_DIR", Text, Kept, "Where the data is kept."),
        key("debug", "ETCD_DEBUG", Bool, Translated("becomes `ETCD_LOG_LEVEL=debug`"), "Logs everything."),
        key(
            "discovery",
            "ETCD_DISCOVERY",
            Text,
            Kept,
            "Discovery URL with its token, the same on all nodes; the cluster agent does the discovery for etcd.",
        ),
        key(
            "discovery_fallback",
            "ETCD_DISCOVERY_FALLBACK",
            Text,
            Ignored(NO_V2_PROXY),
            "What a node does that is not needed as a member.",
        ),
        key("discovery_srv", "ETCD_DISCOVERY_SRV", Text, Kept, "Domain whose SRV records name the members."),
        key("discovery_proxy", "ETCD_DISCOVERY_PROXY", Text, Kept, "HTTP proxy on the way to the discovery URL."),
        key("election_timeout", "ETCD_ELECTION_TIMEOUT", Int, Kept, "Milliseconds without a leader until a new one is elected."),
        key("enable_pprof", "ETCD_ENABLE_PPROF", Bool, Kept, "Offers profiles under `/debug/pprof`."),
        key("force_new_cluster", "ETCD_FORCE_NEW_CLUSTER", Bool, Kept, "Starts a cluster of one from old data; for disasters only."),
        key("heartbeat_interval", "ETCD_HEARTBEAT_INTERVAL", Int, Kept, "Milliseconds between signs of life of the leader."),
        key("initial_advertise_peer_urls", "ETCD_INITIAL_ADVERTISE_PEER_URLS", Text, Kept, "Addresses that other members are told to use."),
        key("initial_cluster", "ETCD_INITIAL_CLUSTER", Text, Kept, "Members of a new cluster, as `name=url,...`."),
        key("initial_cluster_state", "ETCD_INITIAL_CLUSTER_STATE", Text, Kept, "`new` or `existing`."),
        key("initial_cluster_token", "ETCD_INITIAL_CLUSTER_TOKEN", Text, Kept, "Keeps clusters with the same addresses apart."),
        key("key_file", "ETCD_KEY_FILE", Text, Kept, "Key of the certificate for clients."),
        key("listen_client_urls", "ETCD_LISTEN_CLIENT_URLS", Text, Kept, "Addresses to listen on for clients; port 4001 becomes 2379."),
        key("listen_peer_urls", "ETCD_LISTEN_PEER_URLS", Text, Kept, "Addresses to listen on for other members; port 7001 becomes 2380."),
        key("log_package_levels", "ETCD_LOG_PACKAGE_LEVELS", Text, Ignored("etcd 3.5 has one log level"), "Log level by package."),
        key("max_snapshots", "ETCD_MAX_SNAPSHOTS", Int, Kept, "How many snapshots are kept."),
        key("max_wals", "ETCD_MAX_WALS", Int, Kept, "How many logs are kept."),
        key("name", "ETCD_NAME", Text, Kept, "Name of this member."),
        key(
            "peer_ca_file",
            "ETCD_PEER_CA_FILE",
            Text,
            Translated("becomes `peer_trusted_ca_file` with `peer_client_cert_auth`"),
            "CA that certificates of members must come from.",
        ),
        key("peer_cert_file", "ETCD_PEER_CERT_FILE", Text, Kept, "Certificate for other members."),
        key("peer_key_file", "ETCD_PEER_KEY_FILE", Text, Kept, "Key of the certificate for other members."),
        key("peer_client_cert_auth", "ETCD_PEER_CLIENT_CERT_AUTH", Bool, Kept, "Other members must show a certificate."),
        key("peer_trusted_ca_file", "ETCD_PEER_TRUSTED_CA_FILE", Text, Kept, "CA that certificates of members must come from."),
        key("proxy", "ETCD_PROXY", Choice(&["on", "off", "readonly"]), Ignored(NO_V2_PROXY), "Whether this node only passes requests on."),
        key("proxy_dial_timeout", "ETCD_PROXY_DIAL_TIMEOUT", Int, Ignored(NO_V2_PROXY), "Milliseconds to reach a member."),
        key("proxy_failure_wait", "ETCD_PROXY_FAILURE_WAIT", Int, Ignored(NO_V2_PROXY), "Milliseconds a failed member is left alone."),
        key("proxy_read_timeout", "ETCD_PROXY_READ_TIMEOUT", Int, Ignored(NO_V2_PROXY), "Milliseconds to read."),
        key(
            "proxy_refresh_interval",
            "ETCD_PROXY_REFRESH_INTERVAL",
            Int,
            Ignored(NO_V2_PROXY),
            "Milliseconds between looks at the list of members.",
        ),
        key("proxy_write_timeout", "ETCD_PROXY_WRITE_TIMEOUT", Int, Ignored(NO_V2_PROXY), "Milliseconds to write."),
        key("snapshot_count", "ETCD_SNAPSHOT_COUNT", Int, Kept, "Changes between two snapshots."),
        key("strict_reconfig_check", "ETCD_STRICT_RECONFIG_CHECK", Bool, Kept, "Refuses changes that would lose the majority."),
        key("trusted_ca_file", "ETCD_TRUSTED_CA_FILE", Text, Kept, "CA that client certificates must come from."),
        key("wal_dir", "ETCD_WAL_DIR", Text, Kept, "Where the log is kept."),
    ];
}
