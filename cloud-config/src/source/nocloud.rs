//! cloud-init's NoCloud: a disk labelled `cidata`, or a URL in the serial number or on the kernel command line.
//!
//! Layout: cloud-init's documentation of the NoCloud data source. `meta-data` is optional here: whoever writes only `user-data` is
//! understood.

use std::fmt;
use std::time::Duration;

use super::disk::{self, At, Open};
use super::error::SourceError;
use super::fields::Fields;
use super::host::{Device, Host};
use super::http::{HttpError, checked_url, shown};
use super::limits::{METADATA_BYTES, USER_DATA_BYTES};
use super::net::Net;
use super::network::{self, Network};
use super::{Blob, Part, facts};

const LABEL: &str = "cidata";
/// What a seed on the network may take in total, waiting for an address included.
pub(super) const BUDGET: Duration = Duration::from_secs(60);

/// `ds=nocloud;s=URL;h=NAME;i=ID`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seed {
    pub(super) url: Option<String>,
    hostname: Option<String>,
    instance_id: Option<String>,
}

impl Seed {
    /// Reads one; nothing when this is no seed. Keys that nobody knows are passed over.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix("ds=nocloud")?;
        let rest = rest.strip_prefix("-net").unwrap_or(rest);
        let rest = if rest.is_empty() { rest } else { rest.strip_prefix(';')? };
        let mut seed = Self { url: None, hostname: None, instance_id: None };
        for (key, value) in rest.split(';').filter_map(|pair| pair.split_once('=')).filter(|(_, value)| !value.is_empty()) {
            let value = Some(value.to_owned());
            match key {
                "s" | "seedfrom" => seed.url = value,
                "h" | "local-hostname" => seed.hostname = value,
                "i" | "instance-id" => seed.instance_id = value,
                _ => {}
            }
        }
        // Without anything in it, it only says that a disk counts, which it does anyway.
        (seed.url.is_some() || seed.hostname.is_some() || seed.instance_id.is_some()).then_some(seed)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ds=nocloud")?;
        self.url.iter().try_for_each(|url| write!(f, ";s={}", shown(url)))?;
        self.hostname.iter().try_for_each(|name| write!(f, ";h={}", name.escape_debug()))?;
        self.instance_id.iter().try_for_each(|id| write!(f, ";i={}", id.escape_debug()))
    }
}

/// The disks that claim to be one.
pub(super) fn devices(devices: &[Device]) -> Vec<Device> {
    disk::labelled(devices, LABEL)
}

pub(super) fn fetch_disk(host: &dyn Host, devices: &[Device]) -> Result<Part, SourceError> {
    let disk = Open::new(host, disk::single(LABEL, devices)?)?;
    read(|name, max| disk.read(name, max))
}

pub(super) fn fetch_seed(host: &dyn Host, seed: &Seed) -> Result<Part, SourceError> {
    let place = seed.to_string();
    let mut part = match &seed.url {
        Some(url) => fetch_url(host, url)?,
        None => Part::default(),
    };
    // What stands in the seed itself counts more than what it points at.
    if let Some(name) = &seed.hostname {
        part.metadata.hostname = Some(facts::hostname(&place, "h", name)?);
    }
    if let Some(id) = &seed.instance_id {
        part.metadata.instance_id = Some(facts::instance_id(&place, "i", id)?);
    }
    Ok(part)
}

fn fetch_url(host: &dyn Host, url: &str) -> Result<Part, SourceError> {
    checked_url(url).map_err(|_| SourceError::Http { url: shown(url), error: HttpError::Url })?;
    if !url.ends_with('/') {
        return Err(SourceError::field(
            "ds=nocloud",
            "s",
            format!("is {}; it must end in `/`, because file names are put behind it", shown(url)),
        ));
    }
    let net = Net::new(host, BUDGET).over_the_internet();
    let part = read(|name, max| {
        let place = format!("{url}{name}");
        Ok(At { bytes: net.get(&place, max)?, place: shown(&place) })
    })?;
    let empty = part.user_data.is_none() && part.metadata == crate::metadata::Metadata::default();
    if empty { Err(net.status(&format!("{url}user-data"), 404)) } else { Ok(part) }
}

fn read(file: impl Fn(&str, usize) -> Result<At, SourceError>) -> Result<Part, SourceError> {
    let mut part = Part::default();
    let blob = |name: &str| -> Result<Option<Blob>, SourceError> {
        let At { place, bytes } = file(name, USER_DATA_BYTES)?;
        Ok(bytes.and_then(|bytes| Blob::unless_empty(place, bytes)))
    };
    if let At { place, bytes: Some(bytes) } = file("meta-data", METADATA_BYTES)? {
        let fields = Fields::yaml(&place, bytes)?;
        part.metadata.instance_id = fields.instance_id("instance-id")?;
        part.metadata.hostname = match fields.hostname("local-hostname")? {
            Some(name) => Some(name),
            None => fields.hostname("hostname")?,
        };
        part.metadata.private_ipv4 = fields.ipv4("local-ipv4")?;
        part.metadata.public_ipv4 = fields.ipv4("public-ipv4")?;
        part.metadata.private_ipv6 = fields.ipv6("local-ipv6")?;
        part.metadata.public_ipv6 = fields.ipv6("public-ipv6")?;
        part.metadata.ssh_authorized_keys = fields.ssh_keys("public-keys")?;
    }
    part.user_data = blob("user-data")?;
    part.vendor_data = blob("vendor-data")?;
    if let At { place, bytes: Some(bytes) } = file("network-config", METADATA_BYTES)? {
        let network = Network::cloud_init(&Fields::yaml(&place, bytes)?)?;
        part.network_files = network::render(&network);
        part.notes = network.notes;
    }
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_told_from_other_serial_numbers() {
        let seed = Seed::parse("ds=nocloud-net;seedfrom=https://example.org/x/;local-hostname=web;instance-id=i-1;unknown=7\n").unwrap();
        assert_eq!(seed.url.as_deref(), Some("https://example.org/x/"));
        assert_eq!((seed.hostname.as_deref(), seed.instance_id.as_deref()), (Some("web"), Some("i-1")));
        assert_eq!(Seed::parse("ds=nocloud;h=web").unwrap().url, None);
        for wrong in
            ["", "ds=nocloud", "ds=nocloud;", "ds=nocloud;s=", "ds=nocloudy;s=http://e/", "ds=ec2;s=http://e/", "s=http://e/", "C02XL"]
        {
            assert_eq!(Seed::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_seed_is_shown_without_its_secrets() {
        assert_eq!(
            Seed::parse("ds=nocloud;s=http://u:p@e/?token=1;h=a\u{1b}").unwrap().to_string(),
            "ds=nocloud;s=http://e/?...;h=a\\u{1b}"
        );
    }
}
