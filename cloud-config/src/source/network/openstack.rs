//! OpenStack's `network_data.json`.

use super::{Link, Network, Route};
use crate::source::error::SourceError;
use crate::source::facts::quoted;
use crate::source::fields::Fields;

/// Kinds of links that are ordinary cards to the guest.
const CARDS: &[&str] = &["phy", "ethernet", "vif", "ovs", "tap", "bridge", "hw_veb", "hyperv", "vhostuser", "dvs", "cascading", "other"];
/// Largest MTU of any card, in bytes.
const MAX_MTU: u32 = 65_535;

pub(super) fn read(fields: &Fields) -> Result<Network, SourceError> {
    let mut network = Network::default();
    for item in fields.list("links")? {
        let id = item.text("id")?.ok_or_else(|| item.wrong("id", "is missing"))?.to_owned();
        let kind = item.text("type")?.unwrap_or("phy");
        if !CARDS.contains(&kind) {
            let reason =
                format!("is {}, which is not supported here; hand over files for networkd in the cloud-config instead", quoted(kind));
            return Err(item.wrong("type", reason));
        }
        let mac = item.mac("ethernet_mac_address")?;
        network.links.push(Link { id, mac, mtu: item.number("mtu", MAX_MTU)?, ..Link::default() });
    }
    for item in fields.list("networks")? {
        let id = item.text("link")?.ok_or_else(|| item.wrong("link", "is missing"))?;
        let link = network.links.iter_mut().find(|link| link.id == id);
        let link = link.ok_or_else(|| item.wrong("link", format!("is {}, and there is no such link", quoted(id))))?;
        join(&item, link)?;
    }
    for service in fields.list("services")? {
        if service.text("type")? == Some("dns") {
            network.dns.extend(service.ip("address")?);
        }
    }
    Ok(network)
}

fn join(item: &Fields, link: &mut Link) -> Result<(), SourceError> {
    match item.text("type")?.unwrap_or_default() {
        "ipv4_dhcp" => link.dhcp4 = true,
        "ipv6_dhcp" | "ipv6_slaac" | "ipv6_dhcpv6-stateful" | "ipv6_dhcpv6-stateless" => link.dhcp6 = true,
        "ipv4" | "ipv6" => {
            let text = item.text("ip_address")?.ok_or_else(|| item.wrong("ip_address", "is missing"))?;
            let netmask = item.text_or_number("netmask")?;
            link.addresses.push(item.cidr("ip_address", text, netmask.as_deref())?);
            for route in item.list("routes")? {
                let to = route.text("network")?.ok_or_else(|| route.wrong("network", "is missing"))?;
                let netmask = route.text_or_number("netmask")?;
                let to = route.cidr("network", to, netmask.as_deref())?;
                let via = route.ip("gateway")?.ok_or_else(|| route.wrong("gateway", "is missing"))?;
                link.routes.push(Route { to: Some(to).filter(|to| !to.is_default()), via, metric: None });
            }
        }
        other => return Err(item.wrong("type", format!("is {}, which is not supported here", quoted(other)))),
    }
    Ok(())
}
