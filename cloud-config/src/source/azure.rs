//! Microsoft Azure: the instance metadata service, and the provisioning DVD.
//!
//! Formats: Microsoft's documentation "Azure Instance Metadata Service for virtual machines"; `ovf-env.xml` as described by the
//! provisioning protocol of the Azure Linux agent. User data (which can change) counts more than custom data (which cannot).
//! Telling Azure that the machine is up, which it waits for, is not done here.

use std::time::Duration;

use super::encoding::Encoding;
use super::error::SourceError;
use super::fields::Fields;
use super::host::Host;
use super::limits::{METADATA_BYTES, USER_DATA_BYTES};
use super::net::Net;
use super::ovf::{self, Element};
use super::probe::Filesystem;
use super::{Blob, Part};
use crate::metadata::Metadata;

/// What this source may take in total, waiting for an address included.
pub(super) const BUDGET: Duration = Duration::from_secs(40);
const INSTANCE: &str = "http://169.254.169.254/metadata/instance?api-version=2021-02-01";
/// Room for user data inside of metadata, as base64, in bytes.
const INSTANCE_BYTES: usize = METADATA_BYTES + USER_DATA_BYTES / 3 * 4;
/// Room for custom data inside of `ovf-env.xml`, as base64, in bytes.
const OVF_BYTES: usize = METADATA_BYTES + USER_DATA_BYTES / 3 * 4;
const OVF: &str = "ovf-env.xml";
/// Optical discs that are looked into, at most.
const DISCS: usize = 4;

pub(super) fn fetch(host: &dyn Host) -> Result<Part, SourceError> {
    // The disc first: it costs nothing, and what is on it is there even when the network is not.
    let custom = custom_data(host)?;
    let net = Net::new(host, BUDGET).with_header("Metadata", "true");
    let fields = Fields::json(INSTANCE, &net.need(INSTANCE, INSTANCE_BYTES)?)?;
    let metadata = Metadata {
        instance_id: fields.instance_id("compute.vmId")?,
        hostname: match fields.hostname("compute.osProfile.computerName")? {
            Some(name) => Some(name),
            None => fields.hostname("compute.name")?,
        },
        private_ipv4: fields.ipv4("network.interface.0.ipv4.ipAddress.0.privateIpAddress")?,
        public_ipv4: fields.ipv4("network.interface.0.ipv4.ipAddress.0.publicIpAddress")?,
        private_ipv6: fields.ipv6("network.interface.0.ipv6.ipAddress.0.privateIpAddress")?,
        public_ipv6: None,
        ssh_authorized_keys: keys(&fields)?,
    };
    let user_data = match fields.text("compute.userData")? {
        Some(text) => {
            let place = format!("{INSTANCE} (userData)");
            Blob::unless_empty(&place, Encoding::Base64.decode(&place, text.as_bytes(), USER_DATA_BYTES)?)
        }
        None => None,
    };
    let mut notes = Vec::new();
    if user_data.is_some() && custom.is_some() {
        notes.push("there are user data and custom data; user data counts".to_owned());
    }
    Ok(Part { user_data: user_data.or(custom), metadata, notes, ..Part::default() })
}

fn keys(fields: &Fields) -> Result<std::collections::BTreeMap<String, String>, SourceError> {
    let mut keys = std::collections::BTreeMap::new();
    for (index, item) in fields.list("compute.publicKeys")?.iter().enumerate().take(super::limits::KEYS) {
        if let Some(key) = item.text("keyData")? {
            // Azure's own form breaks the key into lines, as people paste it.
            let joined: String = key.trim().replace("\r\n", "");
            keys.insert(format!("key-{index}"), super::facts::ssh_key(fields.place(), &item.name("keyData"), &joined)?);
        }
    }
    Ok(keys)
}

/// Custom data from the first disc that is Azure's.
fn custom_data(host: &dyn Host) -> Result<Option<Blob>, SourceError> {
    let devices = host.devices().map_err(SourceError::read("block devices"))?;
    let discs = devices.iter().filter(|device| matches!(device.filesystem, Some(Filesystem::Udf | Filesystem::Iso9660)));
    for device in discs.take(DISCS) {
        let place = format!("{}:{OVF}", device.node);
        // A disc that cannot be mounted is somebody else's.
        let Ok(medium) = host.mount(device) else { continue };
        let Some(bytes) = medium.read(OVF, OVF_BYTES).map_err(SourceError::read(&place))? else { continue };
        let root = ovf::parse(&place, bytes)?;
        let custom = root.find("LinuxProvisioningConfigurationSet").and_then(|set| set.find("CustomData")).map(Element::text);
        return match custom {
            Some(text) if !text.trim().is_empty() => {
                let place = format!("{place} (CustomData)");
                let bytes = Encoding::Base64.decode(&place, text.as_bytes(), USER_DATA_BYTES)?;
                Ok(Blob::unless_empty(place, bytes))
            }
            _ => Ok(None),
        };
    }
    Ok(None)
}
