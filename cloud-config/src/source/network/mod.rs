//! Descriptions of the network, from whatever a source writes to files for `systemd-networkd`.
//!
//! Values are parsed before they are written: an address, a name or a domain that could be anything else never reaches a file.
//! Plain cards with fixed addresses, DHCP, routes and name servers are understood; bonds, bridges, VLANs and wireless are not,
//! and are refused instead of half done.

mod cloud_init;
mod openstack;

use std::fmt::Write;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use super::NetworkFile;
use super::error::SourceError;
use super::facts::{self, quoted};
use super::fields::Fields;
use super::limits::LINKS;

/// Sorts before the image's own files, so that a described card is not configured by them.
const PREFIX: &str = "10-slipway-";
/// Longest name of a network card that Linux takes, in bytes.
const NAME_BYTES: usize = 15;

/// All cards.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Network {
    links: Vec<Link>,
    /// Name servers of no card in particular.
    dns: Vec<IpAddr>,
    domains: Vec<String>,
    /// What was passed over.
    pub(super) notes: Vec<String>,
}

/// One card.
#[derive(Debug, Default, PartialEq, Eq)]
struct Link {
    /// Name in the description; part of the file's name.
    id: String,
    mac: Option<Mac>,
    name: Option<String>,
    dhcp4: bool,
    dhcp6: bool,
    addresses: Vec<Cidr>,
    routes: Vec<Route>,
    dns: Vec<IpAddr>,
    domains: Vec<String>,
    mtu: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Route {
    /// Nothing stands for everywhere.
    to: Option<Cidr>,
    via: IpAddr,
    metric: Option<u32>,
}

/// An address with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cidr {
    address: IpAddr,
    bits: u8,
}

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mac([u8; 6]);

impl Network {
    /// NoCloud's `network-config`, versions 1 and 2.
    pub(super) fn cloud_init(fields: &Fields) -> Result<Self, SourceError> {
        cloud_init::read(fields)?.checked(fields)
    }

    /// OpenStack's `network_data.json`.
    pub(super) fn openstack(fields: &Fields) -> Result<Self, SourceError> {
        openstack::read(fields)?.checked(fields)
    }

    /// Whether any card has a fixed address.
    pub(super) fn is_static(&self) -> bool {
        self.links.iter().any(|link| !link.addresses.is_empty())
    }

    /// The first IPv6 address that the world reaches.
    pub(super) fn first_ipv6(&self) -> Option<Ipv6Addr> {
        let addresses = self.links.iter().flat_map(|link| &link.addresses);
        addresses.filter_map(|cidr| if let IpAddr::V6(v6) = cidr.address { Some(v6) } else { None }).find(|v6| !v6.is_unique_local())
    }

    fn checked(self, fields: &Fields) -> Result<Self, SourceError> {
        if self.links.len() > LINKS {
            return Err(SourceError::field(fields.place(), "network", format!("describes more than {LINKS} cards")));
        }
        for link in &self.links {
            if link.mac.is_none() && link.name.is_none() {
                let reason = "has neither a hardware address nor a name to recognise the card by";
                return Err(SourceError::field(fields.place(), link.id.clone(), reason));
            }
            let same = self.links.iter().filter(|other| file_name(other) == file_name(link)).count();
            if same > 1 {
                return Err(SourceError::field(fields.place(), link.id.clone(), "is described for the second time"));
            }
        }
        Ok(self)
    }
}

/// The files, one per card.
pub(super) fn render(network: &Network) -> Vec<NetworkFile> {
    network.links.iter().map(|link| NetworkFile { name: file_name(link), content: content(link, network) }).collect()
}

fn file_name(link: &Link) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    format!("{PREFIX}{}.network", link.id.chars().take(NAME_BYTES * 2).map(safe).collect::<String>())
}

fn content(link: &Link, network: &Network) -> String {
    let mut text = String::from("# Made by cloud-config from what the data source says.\n[Match]\n");
    // Writing to a string cannot fail.
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        let _ = writeln!(text, "{key}={value}");
    };
    match (&link.mac, &link.name) {
        (Some(mac), _) => {
            line("MACAddress", mac);
            // Bridges and bonds take over the address of a card in them.
            line("Kind", &"!*");
        }
        (None, Some(name)) => line("Name", name),
        (None, None) => {}
    }
    if let Some(mtu) = link.mtu {
        line("\n[Link]\nMTUBytes", &mtu);
    }
    let dhcp = match (link.dhcp4, link.dhcp6) {
        (true, true) => "yes",
        (true, false) => "ipv4",
        (false, true) => "ipv6",
        (false, false) => "no",
    };
    line("\n[Network]\nDHCP", &dhcp);
    link.addresses.iter().for_each(|address| line("Address", address));
    link.dns.iter().chain(&network.dns).for_each(|server| line("DNS", server));
    link.domains.iter().chain(&network.domains).for_each(|domain| line("Domains", domain));
    for route in &link.routes {
        line("\n[Route]\nGateway", &route.via);
        if let Some(to) = &route.to {
            line("Destination", to);
        }
        if !link.addresses.iter().any(|address| address.contains(route.via)) {
            line("GatewayOnLink", &"yes");
        }
        if let Some(metric) = route.metric {
            line("Metric", &metric);
        }
    }
    text
}

impl Cidr {
    /// Reads `ADDRESS/BITS`; an address alone gets the bits of `usual`, which may be a netmask.
    fn parse(text: &str, usual: Option<&str>) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, usual),
        };
        let address: IpAddr = address.parse().ok()?;
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|_| bits.bytes().all(|b| b.is_ascii_digit())).or_else(|| netmask(bits))?,
            None => width(address),
        };
        (bits <= width(address)).then_some(Self { address, bits })
    }

    /// Everywhere.
    fn is_default(&self) -> bool {
        self.bits == 0 && self.address.is_unspecified()
    }

    fn contains(&self, other: IpAddr) -> bool {
        let number = |address: IpAddr| match address {
            IpAddr::V4(v4) => u128::from(u32::from(v4)),
            IpAddr::V6(v6) => u128::from(v6),
        };
        let shift = u32::from(width(self.address) - self.bits);
        let high = |address| number(address).checked_shr(shift).unwrap_or(0);
        self.address.is_ipv4() == other.is_ipv4() && high(self.address) == high(other)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Bits of a netmask such as `255.255.255.0`, whose ones come first.
fn netmask(text: &str) -> Option<u8> {
    let (bits, ones) = match text.parse::<IpAddr>().ok()? {
        IpAddr::V4(v4) => (u32::from(v4).leading_ones(), u32::from(v4).count_ones()),
        IpAddr::V6(v6) => (u128::from(v6).leading_ones(), u128::from(v6).count_ones()),
    };
    u8::try_from(bits).ok().filter(|_| bits == ones)
}

impl std::fmt::Display for Cidr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl FromStr for Mac {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 6];
        let mut words = text.split([':', '-']);
        for byte in &mut bytes {
            let word = words.next().filter(|word| word.len() == 2 && word.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(())?;
            *byte = u8::from_str_radix(word, 16).map_err(|_| ())?;
        }
        // Of groups and of nobody: no card has such an address.
        let usual = bytes[0] & 1 == 0 && bytes != [0; 6];
        if words.next().is_none() && usual { Ok(Self(bytes)) } else { Err(()) }
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// Values of the network, from fields.
impl Fields {
    fn mac(&self, path: &str) -> Result<Option<Mac>, SourceError> {
        let parse =
            |text: &str| text.parse().map_err(|()| self.wrong(path, format!("is {}, not the hardware address of a card", quoted(text))));
        self.text(path)?.map(parse).transpose()
    }

    /// The name of a card, perhaps with the wildcards that networkd knows.
    fn card(&self, path: &str) -> Result<Option<String>, SourceError> {
        self.text(path)?.map(|text| card_name(self, path, text)).transpose()
    }

    fn ip(&self, path: &str) -> Result<Option<IpAddr>, SourceError> {
        self.text(path)?.map(|text| ip(self, path, text)).transpose()
    }

    fn ips(&self, path: &str) -> Result<Vec<IpAddr>, SourceError> {
        self.one_or_many(path)?.iter().map(|text| ip(self, path, text)).collect()
    }

    fn cidr(&self, path: &str, text: &str, usual: Option<&str>) -> Result<Cidr, SourceError> {
        Cidr::parse(text, usual)
            .ok_or_else(|| self.wrong(path, format!("is {}, not an address with a prefix such as 192.0.2.7/24", quoted(text))))
    }

    fn domains(&self, path: &str) -> Result<Vec<String>, SourceError> {
        self.one_or_many(path)?.iter().map(|text| facts::hostname(self.place(), &self.name(path), text)).collect()
    }

    /// A list, or its only value.
    fn one_or_many(&self, path: &str) -> Result<Vec<String>, SourceError> {
        match self.text(path) {
            Ok(Some(text)) => Ok(text.split_whitespace().map(str::to_owned).collect()),
            _ => self.texts(path),
        }
    }
}

fn ip(fields: &Fields, path: &str, text: &str) -> Result<IpAddr, SourceError> {
    text.parse().map_err(|_| fields.wrong(path, format!("holds {}, which is no address", quoted(text))))
}

fn card_name(fields: &Fields, path: &str, text: &str) -> Result<String, SourceError> {
    let fits = text.len() <= NAME_BYTES && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.*?".contains(&b));
    if fits && !text.is_empty() && text != "." && text != ".." && text != "*" {
        return Ok(text.to_owned());
    }
    Err(fields.wrong(path, format!("is {}, not the name of a network card", quoted(text))))
}

#[cfg(test)]
mod tests;
