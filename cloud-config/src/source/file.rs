//! A file on this machine, for those who install it by hand.

use super::error::SourceError;
use super::host::Host;
use super::limits::USER_DATA_BYTES;
use super::{Blob, Part};

/// The files, first the one that counts most. The last one is where CoreOS's installer put it.
pub(super) const PATHS: &[&str] =
    &["/etc/slipway/cloud-config.yaml", "/var/lib/slipway/cloud-config.yaml", "/var/lib/coreos-install/user_data"];

pub(super) fn fetch(host: &dyn Host, path: &str) -> Result<Part, SourceError> {
    let bytes = host.read(path, USER_DATA_BYTES).map_err(SourceError::read(path))?;
    Ok(Part { user_data: bytes.and_then(|bytes| Blob::unless_empty(path, bytes)), ..Part::default() })
}
