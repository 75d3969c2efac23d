//! Hetzner Cloud's metadata service.
//!
//! Format: Hetzner's documentation "Server metadata". IPv4 comes by DHCP; the IPv6 address does not, and stands only in
//! `network-config`.

use std::time::Duration;

use serde_json::Value;

use super::error::SourceError;
use super::fields::Fields;
use super::host::Host;
use super::limits::{METADATA_BYTES, USER_DATA_BYTES};
use super::net::Net;
use super::network::{self, Network};
use super::{Blob, Part, facts, plain_yaml};
use crate::metadata::Metadata;

/// What this source may take in total, waiting for an address included.
pub(super) const BUDGET: Duration = Duration::from_secs(30);
const METADATA: &str = "http://169.254.169.254/hetzner/v1/metadata";
const PRIVATE: &str = "http://169.254.169.254/hetzner/v1/metadata/private-networks";
const USER_DATA: &str = "http://169.254.169.254/hetzner/v1/userdata";

pub(super) fn fetch(host: &dyn Host) -> Result<Part, SourceError> {
    let net = Net::new(host, BUDGET);
    let fields = Fields::yaml(METADATA, net.need(METADATA, METADATA_BYTES)?)?;
    let metadata = Metadata {
        instance_id: fields.instance_id("instance-id")?,
        hostname: fields.hostname("hostname")?,
        private_ipv4: private_ipv4(&net)?,
        public_ipv4: fields.ipv4("public-ipv4")?,
        ssh_authorized_keys: fields.ssh_keys("public-keys")?,
        ..Metadata::default()
    };
    let mut part = Part { metadata, ..Part::default() };
    if part.metadata.instance_id.is_none() {
        return Err(fields.wrong("instance-id", "is missing"));
    }
    if fields.has("network-config")? {
        let network = Network::cloud_init(&fields.part("network-config")?)?;
        part.metadata.public_ipv6 = network.first_ipv6();
        if network.is_static() {
            part.network_files = network::render(&network);
        }
        part.notes = network.notes;
    }
    part.vendor_data = fields.text("vendor_data")?.and_then(|text| Blob::unless_empty(format!("{METADATA} (vendor_data)"), text.into()));
    part.user_data = net.get(USER_DATA, USER_DATA_BYTES)?.and_then(|bytes| Blob::unless_empty(USER_DATA, bytes));
    Ok(part)
}

/// The address in the first private network, if there is one.
fn private_ipv4(net: &Net<'_>) -> Result<Option<std::net::Ipv4Addr>, SourceError> {
    let Some(bytes) = net.get(PRIVATE, METADATA_BYTES)? else { return Ok(None) };
    let text = facts::text(PRIVATE, bytes)?;
    let list = plain_yaml::parse(&text).map_err(|reason| SourceError::malformed(PRIVATE, "YAML", reason))?;
    match list {
        Value::Null => Ok(None),
        Value::Array(_) => Fields::of(PRIVATE, list).ipv4("0.ip"),
        _ => Err(SourceError::malformed(PRIVATE, "a list of networks", "it is something else")),
    }
}
