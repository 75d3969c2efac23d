//! OpenStack's config drive: a disk labelled `config-2`, which libvirt, Ironic and many tools make as well.
//!
//! Layout: OpenStack's user documentation, "Store metadata on a configuration drive". The EC2 part is the only one that knows
//! addresses.

use super::disk::{self, At, Open};
use super::error::SourceError;
use super::fields::Fields;
use super::host::{Device, Host};
use super::limits::{METADATA_BYTES, USER_DATA_BYTES};
use super::openstack::{Documents, vendor_data};
use super::{Blob, Part};

const LABEL: &str = "config-2";
const META_DATA: &str = "openstack/latest/meta_data.json";
const USER_DATA: &str = "openstack/latest/user_data";
const VENDOR_DATA: &str = "openstack/latest/vendor_data.json";
const NETWORK_DATA: &str = "openstack/latest/network_data.json";
const EC2_META_DATA: &str = "ec2/latest/meta-data.json";
const EC2_USER_DATA: &str = "ec2/latest/user-data";

/// The disks that claim to be one.
pub(super) fn devices(devices: &[Device]) -> Vec<Device> {
    disk::labelled(devices, LABEL)
}

pub(super) fn fetch(host: &dyn Host, devices: &[Device]) -> Result<Part, SourceError> {
    let drive = Open::new(host, disk::single(LABEL, devices)?)?;
    let json = |path: &str| -> Result<Option<Fields>, SourceError> {
        let At { place, bytes } = drive.read(path, METADATA_BYTES)?;
        bytes.map(|bytes| Fields::json(&place, &bytes)).transpose()
    };
    let mut part = Documents { meta_data: json(META_DATA)?, network_data: json(NETWORK_DATA)? }.read()?;
    if let Some(ec2) = json(EC2_META_DATA)? {
        let mut metadata = std::mem::take(&mut part.metadata);
        metadata.private_ipv4 = ec2.ipv4("local-ipv4")?;
        metadata.public_ipv4 = ec2.ipv4("public-ipv4")?;
        metadata.instance_id = metadata.instance_id.or(ec2.instance_id("instance-id")?);
        metadata.hostname = metadata.hostname.or(ec2.hostname("local-hostname")?);
        part.metadata = metadata;
    }
    for path in [USER_DATA, EC2_USER_DATA] {
        let At { place, bytes } = drive.read(path, USER_DATA_BYTES)?;
        part.user_data = part.user_data.or(bytes.and_then(|bytes| Blob::unless_empty(place, bytes)));
    }
    let At { place, bytes } = drive.read(VENDOR_DATA, USER_DATA_BYTES)?;
    part.vendor_data = bytes.map_or(Ok(None), |bytes| vendor_data(&place, &bytes))?;
    Ok(part)
}
