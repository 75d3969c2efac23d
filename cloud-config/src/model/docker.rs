//! Docker and the proxy it shares with the system.

use std::collections::BTreeMap;

use super::Located;
use super::json::Json;
use super::section::section;
use super::value::{ListedText, Secret};

section! {
    /// An HTTP proxy; becomes `HTTP_PROXY` and its kin in the environment of services.
    pub struct Proxy {
        /// Proxy for `http://` addresses.
        http: Option<Located<String>> | "http_proxy",
        /// Proxy for `https://` addresses.
        https: Option<Located<String>> | "https_proxy",
        /// Names, suffixes and networks that are reached directly.
        no_proxy: Vec<Located<ListedText>>,
        /// Whether system services use it; yes if missing.
        system: Option<Located<bool>>,
        /// Whether Docker and containerd use it; yes if missing.
        docker: Option<Located<bool>>,
    }
}

section! {
    /// Docker.
    pub struct Docker {
        /// Settings of the daemon, as in `/etc/docker/daemon.json`.
        daemon: BTreeMap<String, Located<Json>>,
        /// Credentials by registry, such as `registry.example.org`.
        registries: BTreeMap<String, Located<Registry>>,
    }
}

section! {
    /// Credentials of one registry.
    pub struct Registry {
        /// User name.
        username: Option<Located<String>>,
        /// Password or token.
        password: Option<Located<Secret>>,
        /// User name and password as `docker login` stores them, instead of both.
        auth: Option<Located<Secret>>,
    }
}
