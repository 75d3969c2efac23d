//! The oem partition: what the maker of the image or the machine's vendor wants on every machine.

use super::disk::{self, At};
use super::error::SourceError;
use super::host::{Device, Host};
use super::limits::USER_DATA_BYTES;
use super::probe::Filesystem;
use super::{Blob, Part};

const LABEL: &str = "oem";
const FILE: &str = "cloud-config.yml";

/// The oem partition; by its name in the partition table, which survives formatting. One without a file system holds nothing.
pub(super) fn devices(devices: &[Device]) -> Vec<Device> {
    let fits = |device: &&Device| {
        device.partition_name.as_deref() == Some(LABEL) && matches!(device.filesystem, Some(Filesystem::Vfat | Filesystem::Ext4))
    };
    devices.iter().filter(fits).cloned().collect()
}

pub(super) fn fetch(host: &dyn Host, devices: &[Device]) -> Result<Part, SourceError> {
    let device = disk::single(LABEL, devices)?;
    let At { place, bytes } = disk::Open::new(host, device)?.read(FILE, USER_DATA_BYTES)?;
    Ok(Part { user_data: bytes.and_then(|bytes| Blob::unless_empty(place, bytes)), ..Part::default() })
}
