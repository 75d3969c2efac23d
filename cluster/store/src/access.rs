//! Where etcd listens and who we are to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Identity, TlsOptions};
use serde::{Deserialize, Serialize};

/// On every machine of a cluster etcd, or a forwarder to it, listens here.
pub const LOCAL_ENDPOINT: &str = "127.0.0.1:2379";
/// The file with which `cluster-agent` tells other programs of this machine how to reach etcd.
const FILE: &str = "/run/cluster-agent/access.toml";
/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may take, but for watches.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that went away without a word is noticed after this much silence.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Where etcd listens and who we are to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Access {
    /// Addresses with a scheme, such as `http://127.0.0.1:2379`; the first that answers is used.
    pub endpoints: Vec<String>,
    /// Certificates, where the endpoints are `https`.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// Files of certificates, all PEM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tls {
    /// Who vouches for etcd.
    pub ca_file: PathBuf,
    /// Our certificate.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// Why etcd cannot be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// A file cannot be read.
    #[error("reading {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The file makes no sense.
    #[error("{}: {source}; `systemctl restart cluster-agent` writes it anew", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<toml::de::Error>,
    },
    /// etcd does not answer.
    #[error("etcd at {endpoints}: {source}")]
    Connect {
        /// The addresses that were tried.
        endpoints: String,
        /// What the last one said.
        source: Box<etcd_client::Error>,
    },
}

impl Access {
    /// etcd on this machine, without certificates.
    #[must_use]
    pub fn plain_local() -> Self {
        Self { endpoints: vec![format!("http://{LOCAL_ENDPOINT}")], tls: None }
    }

    /// What `cluster-agent` left for the programs of this machine; without that, [`Self::plain_local`].
    ///
    /// # Errors
    /// The file is there and cannot be read, or makes no sense.
    pub fn of_this_machine() -> Result<Self, AccessError> {
        let path = Path::new(FILE);
        match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).map_err(|source| AccessError::Syntax { path: path.to_owned(), source: Box::new(source) }),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(Self::plain_local()),
            Err(source) => Err(AccessError::Read { path: path.to_owned(), source }),
        }
    }

    /// Connects; etcd is spoken to only when the first request is made.
    ///
    /// # Errors
    /// A certificate cannot be read, or an address makes no sense.
    pub async fn connect(&self) -> Result<Client, AccessError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|source| AccessError::Read { path: path.clone(), source });
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout(REQUEST_TIMEOUT)
            .with_keep_alive(KEEP_ALIVE, KEEP_ALIVE)
            .with_keep_alive_while_idle(true);
        if let Some(tls) = &self.tls {
            options = options.with_tls(
                TlsOptions::new()
                    .ca_certificate(Certificate::from_pem(read(&tls.ca_file)?))
                    .identity(Identity::from_pem(read(&tls.cert_file)?, read(&tls.key_file)?)),
            );
        }
        // On the heap: with TLS this future has twenty kilobytes, which every caller's would have as well.
        let connected = Box::pin(Client::connect(&self.endpoints, Some(options))).await;
        connected.map_err(|source| AccessError::Connect { endpoints: self.endpoints.join(", "), source: Box::new(source) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_where_and_who() {
        let text = "endpoints = [\"https://127.0.0.1:2379\"]\n[tls]\nca-file = \"/a\"\ncert-file = \"/b\"\nkey-file = \"/c\"\n";
        let access: Access = toml::from_str(text).unwrap();
        assert_eq!(toml::from_str::<Access>(&toml::to_string(&access).unwrap()).unwrap(), access);
        for wrong in ["", "endpoints = 1", "endpoints = []\nendpoint = []", "endpoints = []\n[tls]\nca-file = \"/a\""] {
            assert!(toml::from_str::<Access>(wrong).is_err(), "{wrong}");
        }
    }
}
