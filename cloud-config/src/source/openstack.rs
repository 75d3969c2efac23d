//! OpenStack's metadata, on its config drive and at its metadata service: the same documents.
//!
//! Formats: OpenStack Nova's user documentation, "Metadata service", and its JSON schema of `network_data.json`.

use std::time::Duration;

use serde_json::Value;

use super::error::SourceError;
use super::fields::Fields;
use super::host::Host;
use super::limits::{METADATA_BYTES, USER_DATA_BYTES};
use super::net::Net;
use super::network::{self, Network};
use super::{Blob, Part};

/// What this source may take in total, waiting for an address included.
pub(super) const BUDGET: Duration = Duration::from_secs(30);
const BASE: &str = "http://169.254.169.254/openstack/latest";
/// The part that knows addresses.
const EC2: &str = "http://169.254.169.254/latest/meta-data";

pub(super) fn fetch(host: &dyn Host) -> Result<Part, SourceError> {
    let net = Net::new(host, BUDGET);
    let json = |name: &str| -> Result<Option<Fields>, SourceError> {
        let url = format!("{BASE}/{name}");
        net.get(&url, METADATA_BYTES)?.map(|bytes| Fields::json(&url, &bytes)).transpose()
    };
    let url = format!("{BASE}/meta_data.json");
    let meta_data = Fields::json(&url, &net.need(&url, METADATA_BYTES)?)?;
    let mut part = Documents { meta_data: Some(meta_data), network_data: json("network_data.json")? }.read()?;
    for (key, to) in [("local-ipv4", &mut part.metadata.private_ipv4), ("public-ipv4", &mut part.metadata.public_ipv4)] {
        let url = format!("{EC2}/{key}");
        *to = net.value(&url)?.map(|text| super::facts::ipv4(&url, key, &text)).transpose()?;
    }
    let url = format!("{BASE}/user_data");
    part.user_data = net.get(&url, USER_DATA_BYTES)?.and_then(|bytes| Blob::unless_empty(&url, bytes));
    let url = format!("{BASE}/vendor_data.json");
    part.vendor_data = net.get(&url, USER_DATA_BYTES)?.map_or(Ok(None), |bytes| vendor_data(&url, &bytes))?;
    Ok(part)
}

/// What both ways have.
pub(super) struct Documents {
    pub(super) meta_data: Option<Fields>,
    pub(super) network_data: Option<Fields>,
}

impl Documents {
    pub(super) fn read(&self) -> Result<Part, SourceError> {
        let mut part = Part::default();
        if let Some(fields) = &self.meta_data {
            part.metadata.hostname = fields.hostname("hostname")?;
            part.metadata.instance_id = fields.instance_id("uuid")?;
            part.metadata.ssh_authorized_keys = fields.ssh_keys("public_keys")?;
        }
        if let Some(fields) = &self.network_data {
            let network = Network::openstack(fields)?;
            // Where every address comes by DHCP, what the image does by itself is right.
            if network.is_static() {
                part.network_files = network::render(&network);
            }
            part.notes = network.notes;
        }
        Ok(part)
    }
}

/// `vendor_data.json` is a text, or an object with one for cloud-init.
pub(super) fn vendor_data(place: &str, bytes: &[u8]) -> Result<Option<Blob>, SourceError> {
    let value: Value = serde_json::from_slice(bytes).map_err(|error| SourceError::malformed(place, "JSON", error))?;
    let text = match &value {
        Value::Object(map) => map.get("cloud-init").unwrap_or(&Value::Null),
        other => other,
    };
    match text {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Blob::unless_empty(place, text.clone().into_bytes())),
        _ => Err(SourceError::field(place, "cloud-init", "is no text")),
    }
}
