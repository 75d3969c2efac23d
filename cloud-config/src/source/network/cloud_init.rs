//! cloud-init's `network-config`: version 1, and version 2, which is netplan's.

use super::{Cidr, Link, Network, Route, card_name};
use crate::source::error::SourceError;
use crate::source::fields::Fields;
use crate::source::limits::LINKS;

/// Largest MTU of any card, in bytes.
const MAX_MTU: u32 = 65_535;
/// What to do about the rest.
const NOT_HERE: &str = "is not supported here; hand over files for networkd in the cloud-config instead";
/// What does not change which addresses a card gets.
const PASSED_OVER: &[&str] = &["optional", "wakeonlan", "set-name", "critical", "accept-ra", "renderer"];

pub(super) fn read(fields: &Fields) -> Result<Network, SourceError> {
    // Both may stand below a key of this name, as in netplan's files.
    let prefix = if fields.has("network.version")? { "network." } else { "" };
    match fields.number(&format!("{prefix}version"), 2)? {
        Some(1) => version_1(fields, prefix),
        Some(2) => version_2(fields, prefix),
        _ => Err(fields.wrong(&format!("{prefix}version"), "is neither 1 nor 2")),
    }
}

fn version_1(fields: &Fields, prefix: &str) -> Result<Network, SourceError> {
    let mut network = Network::default();
    for item in fields.list(&format!("{prefix}config"))? {
        match item.text("type")?.unwrap_or_default() {
            "physical" => network.links.push(physical(&item)?),
            "nameserver" => {
                network.dns.extend(item.ips("address")?);
                network.domains.extend(item.domains("search")?);
            }
            "loopback" => {}
            other => return Err(item.wrong("type", unsupported(other))),
        }
        if network.links.len() > LINKS {
            break;
        }
    }
    Ok(network)
}

fn unsupported(kind: &str) -> String {
    format!("is {}, which {NOT_HERE}", super::quoted(kind))
}

fn physical(item: &Fields) -> Result<Link, SourceError> {
    let name = item.card("name")?;
    let id = name.clone().ok_or_else(|| item.wrong("name", "is missing"))?;
    let mac = item.mac("mac_address")?;
    let mut link = Link { id, name: name.filter(|_| mac.is_none()), mac, mtu: item.number("mtu", MAX_MTU)?, ..Link::default() };
    for subnet in item.list("subnets")? {
        match subnet.text("type")?.unwrap_or_default() {
            "dhcp" | "dhcp4" => link.dhcp4 = true,
            "dhcp6" | "ipv6_dhcpv6-stateful" | "ipv6_dhcpv6-stateless" | "ipv6_slaac" => link.dhcp6 = true,
            "static" | "static6" => fixed(&subnet, &mut link)?,
            "manual" => {}
            other => return Err(subnet.wrong("type", unsupported(other))),
        }
        link.dns.extend(subnet.ips("dns_nameservers")?);
        link.domains.extend(subnet.domains("dns_search")?);
    }
    Ok(link)
}

fn fixed(subnet: &Fields, link: &mut Link) -> Result<(), SourceError> {
    let text = subnet.text("address")?.ok_or_else(|| subnet.wrong("address", "is missing"))?;
    let netmask = subnet.text_or_number("netmask")?;
    link.addresses.push(subnet.cidr("address", text, netmask.as_deref())?);
    if let Some(via) = subnet.ip("gateway")? {
        link.routes.push(Route { to: None, via, metric: None });
    }
    for route in subnet.list("routes")? {
        let netmask = route.text_or_number("netmask")?;
        link.routes.push(read_route(
            &route,
            "destination",
            if route.has("network")? { "network" } else { "destination" },
            "gateway",
            netmask.as_deref(),
        )?);
    }
    Ok(())
}

fn version_2(fields: &Fields, prefix: &str) -> Result<Network, SourceError> {
    let mut network = Network::default();
    let path = |key: &str| format!("{prefix}{key}");
    for kind in ["bonds", "bridges", "vlans", "wifis", "tunnels", "vrfs", "modems", "dummy-devices"] {
        if fields.has(&path(kind))? {
            return Err(fields.wrong(&path(kind), NOT_HERE));
        }
    }
    for (id, item) in fields.table(&path("ethernets"))?.into_iter().take(LINKS + 1) {
        network.links.push(ethernet(&id, &item)?);
        for key in item.keys().into_iter().filter(|key| PASSED_OVER.contains(key)) {
            network.notes.push(format!("{} is passed over", item.name(key)));
        }
    }
    Ok(network)
}

fn ethernet(id: &str, item: &Fields) -> Result<Link, SourceError> {
    const KNOWN: &[&str] = &[
        "match",
        "dhcp4",
        "dhcp6",
        "addresses",
        "gateway4",
        "gateway6",
        "routes",
        "nameservers",
        "mtu",
        "dhcp4-overrides",
        "dhcp6-overrides",
        "dhcp-identifier",
    ];
    if let Some(key) = item.keys().into_iter().find(|key| !KNOWN.contains(key) && !PASSED_OVER.contains(key)) {
        return Err(item.wrong(key, NOT_HERE));
    }
    let mac = item.mac("match.macaddress")?;
    let name = match item.card("match.name")? {
        Some(name) => Some(name),
        None if mac.is_none() => Some(card_name(item, "name", id)?),
        None => None,
    };
    let mut link = Link {
        id: id.to_owned(),
        mac,
        name: name.filter(|_| mac.is_none()),
        dhcp4: item.flag("dhcp4")?.unwrap_or(false),
        dhcp6: item.flag("dhcp6")?.unwrap_or(false),
        dns: item.ips("nameservers.addresses")?,
        domains: item.domains("nameservers.search")?,
        mtu: item.number("mtu", MAX_MTU)?,
        ..Link::default()
    };
    for text in item.texts("addresses")? {
        link.addresses.push(item.cidr("addresses", &text, None)?);
    }
    for key in ["gateway4", "gateway6"] {
        link.routes.extend(item.ip(key)?.map(|via| Route { to: None, via, metric: None }));
    }
    for route in item.list("routes")? {
        link.routes.push(read_route(&route, "to", "to", "via", None)?);
    }
    Ok(link)
}

fn read_route(route: &Fields, name: &str, to: &str, via: &str, netmask: Option<&str>) -> Result<Route, SourceError> {
    let text = route.text(to)?.ok_or_else(|| route.wrong(name, "is missing"))?;
    let to = if text == "default" { None } else { Some(route.cidr(to, text, netmask)?) };
    let via = route.ip(via)?.ok_or_else(|| route.wrong(via, "is missing"))?;
    Ok(Route { to: to.filter(|to: &Cidr| !to.is_default()), via, metric: route.number("metric", u32::MAX)? })
}
