//! Checks a whole disk image: every byte that decides what a host runs is found to be right, or the place of the fault is named.
//!
//! The chain is that of a boot: partition table, signed files on the ESP, the root hash in the signed command line, the hash tree,
//! every block of the root. What nothing signs (loader.conf, the table, unused space) must be exactly as the builder writes it.

mod boot;
mod roots;
mod table;

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::disk::{Disk, DiskError};
use crate::progress::Progress;
use crate::sign::SigningCertificate;

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Partition, or file on a partition, or table.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

/// The result of a check that could be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// Version that the signed UKI of slot A states.
    pub version: Option<String>,
    /// What was checked, in the order of a boot.
    pub checked: Vec<String>,
    /// What is wrong; empty for a good image.
    pub findings: Vec<Finding>,
    /// What is no fault but worth knowing.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    fn find(&mut self, place: impl Into<String>, problem: impl Into<String>) {
        self.findings.push(Finding { place: place.into(), problem: problem.into() });
    }
}

/// Why an image could not be checked at all. A fault of the image itself is a [`Finding`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It cannot be opened, or is no disk image.
    #[error(transparent)]
    Disk(DiskError),
    /// The host failed to read it.
    #[error("reading {object}: {source}")]
    Io {
        /// The partition or file.
        object: String,
        /// The operating system's reason.
        source: io::Error,
    },
}

/// Checks the raw disk image at `path` against the certificate that its boot files must be signed with.
pub fn verify(path: &Path, certificate: &SigningCertificate, progress: &Progress) -> Result<Verdict, VerifyError> {
    let mut verdict = Verdict::default();
    let disk = match Disk::open(path) {
        Ok(disk) => disk,
        Err(error @ (DiskError::Table { .. } | DiskError::Truncated { .. })) => {
            verdict.find("partition table", error.to_string());
            return Ok(verdict);
        }
        Err(error) => return Err(VerifyError::Disk(error)),
    };
    table::check_layout(&disk, &mut verdict);
    if !verdict.is_good() {
        // Without the right partitions nothing else has a meaning.
        return Ok(verdict);
    }
    verdict.checked.push("partition table: both copies whole, all partitions as designed".into());
    let ukis = boot::check(&disk, certificate, &mut verdict)?;
    verdict.version = ukis.first().map(|(_, facts)| facts.version.clone());
    if let Some(version) = verdict.version.clone() {
        table::check_bytes(&disk, &version, &mut verdict)?;
    }
    roots::check(&disk, &ukis, &mut verdict, progress)?;
    Ok(verdict)
}

#[cfg(test)]
pub(crate) mod tests;
