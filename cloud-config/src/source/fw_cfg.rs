//! Files that QEMU hands to its guest (`-fw_cfg name=...,file=...`), as the kernel's `qemu_fw_cfg` shows them.
//!
//! Our own name counts. The names of Flatcar and CoreOS are looked at as well, because tools use them; what is in them is often
//! meant for Ignition, and then left alone.

use super::error::SourceError;
use super::host::Host;
use super::limits::{METADATA_BYTES, USER_DATA_BYTES};
use super::{Blob, Part, smbios};
use crate::metadata::Metadata;

/// Names of the document, first the one that counts most.
pub(super) const NAMES: &[&str] = &[OWN, "opt/org.flatcar-linux/config", "opt/com.coreos/config"];
const OWN: &str = "opt/org.slipway/config";
/// Name of what is known about the machine, as JSON.
const METADATA: &str = "opt/org.slipway/metadata";

/// The first bytes of what is ours to read: a document, a script, either of them packed, or several in an archive.
const BEGINNINGS: &[&[u8]] = &[b"#cloud-config", b"#!", b"\x1f\x8b", b"Content-Type:", b"MIME-Version:"];

/// Where the kernel shows a file.
pub(super) fn path(name: &str) -> String {
    format!("/sys/firmware/qemu_fw_cfg/by_name/{name}/raw")
}

pub(super) fn fetch(host: &dyn Host, name: &str) -> Result<Part, SourceError> {
    let path = path(name);
    let bytes = host.read(&path, USER_DATA_BYTES).map_err(SourceError::read(&path))?.unwrap_or_default();
    let mut part = Part { metadata: metadata(host)?, ..Part::default() };
    if name == OWN || BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning)) {
        part.user_data = Blob::unless_empty(path, bytes);
    } else {
        part.notes.push(format!("{name} holds no cloud-config and is left alone"));
    }
    Ok(part)
}

fn metadata(host: &dyn Host) -> Result<Metadata, SourceError> {
    let path = path(METADATA);
    match host.read(&path, METADATA_BYTES).map_err(SourceError::read(&path))? {
        Some(bytes) => smbios::own_metadata(&path, &bytes),
        None => Ok(Metadata::default()),
    }
}
