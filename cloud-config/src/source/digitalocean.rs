//! DigitalOcean's metadata service. Machines made from images of one's own get their address by DHCP, so nothing has to be said
//! about the network.
//!
//! Format: DigitalOcean's documentation "Droplet Metadata API".

use std::time::Duration;

use super::error::SourceError;
use super::fields::Fields;
use super::host::Host;
use super::limits::{METADATA_BYTES, USER_DATA_BYTES};
use super::net::Net;
use super::{Blob, Part};
use crate::metadata::Metadata;

/// What this source may take in total, waiting for an address included.
pub(super) const BUDGET: Duration = Duration::from_secs(30);
const METADATA: &str = "http://169.254.169.254/metadata/v1.json";
const USER_DATA: &str = "http://169.254.169.254/metadata/v1/user-data";
/// The document repeats user data and vendor data, in bytes.
const DOCUMENT_BYTES: usize = METADATA_BYTES + 2 * USER_DATA_BYTES;

pub(super) fn fetch(host: &dyn Host) -> Result<Part, SourceError> {
    let net = Net::new(host, BUDGET);
    let fields = Fields::json(METADATA, &net.need(METADATA, DOCUMENT_BYTES)?)?;
    let metadata = Metadata {
        instance_id: fields.instance_id("droplet_id")?,
        hostname: fields.hostname("hostname")?,
        private_ipv4: fields.ipv4("interfaces.private.0.ipv4.ip_address")?,
        public_ipv4: fields.ipv4("interfaces.public.0.ipv4.ip_address")?,
        private_ipv6: fields.ipv6("interfaces.private.0.ipv6.ip_address")?,
        public_ipv6: fields.ipv6("interfaces.public.0.ipv6.ip_address")?,
        ssh_authorized_keys: fields.ssh_keys("public_keys")?,
    };
    if metadata.instance_id.is_none() {
        return Err(fields.wrong("droplet_id", "is missing"));
    }
    let vendor_data = fields.text("vendor_data")?.and_then(|text| Blob::unless_empty(format!("{METADATA} (vendor_data)"), text.into()));
    let user_data = net.get(USER_DATA, USER_DATA_BYTES)?.and_then(|bytes| Blob::unless_empty(USER_DATA, bytes));
    Ok(Part { user_data, vendor_data, metadata, ..Part::default() })
}
