//! Certificates: none, those the owner gives, or those every machine makes for itself from the secret that all share.

mod auto;

use std::path::PathBuf;

use anyhow::{Context, Result};
use cluster_store::Tls;

pub use auto::{Authority, SECRET_MIN, renew};

use crate::config::{self, TlsMode};
use crate::ground::Ground;

/// Files of certificates, all PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// Who vouches for everybody.
    pub ca: PathBuf,
    /// This machine's certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl From<&Files> for Tls {
    fn from(files: &Files) -> Self {
        Self { ca_file: files.ca.clone(), cert_file: files.cert.clone(), key_file: files.key.clone() }
    }
}

/// The files etcd and its clients use on this machine, made or renewed where they are ours; `None` without encryption.
///
/// # Errors
/// The secret cannot be read or is too short, a file is missing, or certificates cannot be written.
pub fn prepare(plan: &config::Etcd, ground: &Ground, now: jiff::Timestamp) -> Result<Option<Files>> {
    match plan.tls {
        TlsMode::Off => Ok(None),
        TlsMode::Auto => {
            let authority = Authority::from_file(&plan.secret_file)?;
            renew(&authority, ground, now).map(Some)
        }
        TlsMode::Files => {
            let given = |key: &str, file: &Option<PathBuf>| -> Result<PathBuf> {
                let path = file.clone().with_context(|| format!("[etcd] tls = \"files\" needs `{key}`"))?;
                std::fs::metadata(&path).with_context(|| format!("[etcd] {key}: {}", path.display()))?;
                Ok(path)
            };
            Ok(Some(Files {
                ca: given("ca-file", &plan.ca_file)?,
                cert: given("cert-file", &plan.cert_file)?,
                key: given("key-file", &plan.key_file)?,
            }))
        }
    }
}
