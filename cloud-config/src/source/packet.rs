//! Packet, later Equinix Metal: bare machines whose firmware does not say whose they are. The platform is named on the kernel
//! command line, which its network boot writes.
//!
//! Format: Equinix Metal's documentation "Metadata". Only DHCP is used for the network; the bond that the platform describes is left
//! to the user's own files for networkd.

use std::time::Duration;

use super::error::SourceError;
use super::fields::Fields;
use super::host::Host;
use super::limits::{METADATA_BYTES, USER_DATA_BYTES};
use super::net::Net;
use super::{Blob, Part};

/// What this source may take in total: bare metal needs longer than a virtual machine until its network is up.
pub(super) const BUDGET: Duration = Duration::from_secs(60);
const METADATA: &str = "https://metadata.platformequinix.com/metadata";
const USER_DATA: &str = "https://metadata.platformequinix.com/userdata";

pub(super) fn fetch(host: &dyn Host) -> Result<Part, SourceError> {
    let net = Net::new(host, BUDGET).over_the_internet();
    let fields = Fields::json(METADATA, &net.need(METADATA, METADATA_BYTES)?)?;
    let mut part = Part::default();
    part.metadata.instance_id = fields.instance_id("id")?;
    part.metadata.hostname = fields.hostname("hostname")?;
    part.metadata.ssh_authorized_keys = fields.ssh_keys("ssh_keys")?;
    if part.metadata.instance_id.is_none() {
        return Err(fields.wrong("id", "is missing"));
    }
    for item in fields.list("network.addresses")? {
        let public = item.flag("public")?.unwrap_or(false);
        let metadata = &mut part.metadata;
        match (item.number("address_family", 6)?, public) {
            (Some(4), true) => metadata.public_ipv4 = metadata.public_ipv4.or(item.ipv4("address")?),
            (Some(4), false) => metadata.private_ipv4 = metadata.private_ipv4.or(item.ipv4("address")?),
            (Some(6), true) => metadata.public_ipv6 = metadata.public_ipv6.or(item.ipv6("address")?),
            (Some(6), false) => metadata.private_ipv6 = metadata.private_ipv6.or(item.ipv6("address")?),
            _ => return Err(item.wrong("address_family", "is neither 4 nor 6")),
        }
    }
    if fields.has("network.bonding.mode")? {
        part.notes.push("the bond of this machine's cards is not set up; it runs on the address it got by DHCP".to_owned());
    }
    part.user_data = net.get(USER_DATA, USER_DATA_BYTES)?.and_then(|bytes| Blob::unless_empty(USER_DATA, bytes));
    Ok(part)
}
