//! The hypervisor's firmware tables: systemd turns strings of type 11 into credentials before anything else runs.
//!
//! `io.systemd.credential.binary:slipway.cloud-config=BASE64` (systemd.system-credentials(7)) is the document itself, and
//! `slipway.metadata` what `--metadata` takes. The same credentials arrive by every other way that systemd knows: `fw_cfg`,
//! the kernel command line, the ESP.

use super::error::SourceError;
use super::host::Host;
use super::limits::{METADATA_BYTES, USER_DATA_BYTES};
use super::{Blob, Part};
use crate::metadata::Metadata;

/// The document.
pub(super) const USER_DATA: &str = "/run/credentials/@system/slipway.cloud-config";
/// What is known about the machine, as JSON.
pub(super) const METADATA: &str = "/run/credentials/@system/slipway.metadata";

pub(super) fn fetch(host: &dyn Host) -> Result<Part, SourceError> {
    let user_data = host.read(USER_DATA, USER_DATA_BYTES).map_err(SourceError::read(USER_DATA))?;
    let metadata = match host.read(METADATA, METADATA_BYTES).map_err(SourceError::read(METADATA))? {
        Some(bytes) => own_metadata(METADATA, &bytes)?,
        None => Metadata::default(),
    };
    Ok(Part { user_data: user_data.and_then(|bytes| Blob::unless_empty(USER_DATA, bytes)), metadata, ..Part::default() })
}

/// Metadata in our own format, as checked as anybody else's.
pub(super) fn own_metadata(place: &str, bytes: &[u8]) -> Result<Metadata, SourceError> {
    use super::facts;
    let wrong = |error: serde_json::Error| SourceError::malformed(place, "metadata in JSON", error);
    let mut metadata: Metadata = serde_json::from_slice(bytes).map_err(wrong)?;
    if let Some(name) = &metadata.hostname {
        metadata.hostname = Some(facts::hostname(place, "hostname", name)?);
    }
    if let Some(id) = &metadata.instance_id {
        metadata.instance_id = Some(facts::instance_id(place, "instance_id", id)?);
    }
    for (name, key) in &mut metadata.ssh_authorized_keys {
        facts::key_name(place, name)?;
        *key = facts::ssh_key(place, &format!("ssh_authorized_keys.{name}"), key)?;
    }
    Ok(metadata)
}
