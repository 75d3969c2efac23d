//! Which platform runs this machine, from what the firmware says. A platform is named only by words that nobody else uses:
//! the answer decides whom the machine asks for orders.

use std::fmt;

use serde::Serialize;

use super::SourceId;
use super::dmi::Dmi;

/// Azure's chassis tag, the same on every machine it runs.
const AZURE_TAG: &str = "7783-7084-3265-9085-8269-3286-77";
/// OpenStack clouds that put their own name into the chassis tag.
const OPENSTACK_TAGS: &[&str] =
    &["OpenStack Nova", "OpenStack Compute", "OpenTelekomCloud", "SAP CCloud VM", "HUAWEICLOUD", "Samsung Cloud Platform"];

/// A platform with a source of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    /// Amazon EC2.
    Ec2,
    /// OpenStack.
    OpenStack,
    /// Google Compute Engine.
    Gce,
    /// Microsoft Azure.
    Azure,
    /// DigitalOcean.
    DigitalOcean,
    /// Hetzner Cloud.
    Hetzner,
    /// Packet, later Equinix Metal.
    Packet,
    /// VMware.
    VMware,
}

impl Platform {
    /// The platform that the firmware names, with what it says.
    pub(super) fn of(dmi: &Dmi) -> Option<(Self, String)> {
        let says = |field: &str, value: &str| format!("{field} is `{value}`");
        let vendor = dmi.sys_vendor.as_str();
        let product = dmi.product_name.as_str();
        let tag = dmi.chassis_asset_tag.as_str();
        let vendors = [
            ("Amazon EC2", Self::Ec2),
            ("DigitalOcean", Self::DigitalOcean),
            ("Hetzner", Self::Hetzner),
            ("OpenStack Foundation", Self::OpenStack),
        ];
        if let Some((name, platform)) = vendors.iter().find(|(name, _)| *name == vendor) {
            return Some((*platform, says("sys_vendor", name)));
        }
        if tag == AZURE_TAG {
            return Some((Self::Azure, says("chassis_asset_tag", AZURE_TAG)));
        }
        if product == "Google Compute Engine" || (vendor == "Google" && dmi.product_serial.starts_with("GoogleCloud-")) {
            return Some((Self::Gce, says("product_name", product)));
        }
        if matches!(product, "OpenStack Nova" | "OpenStack Compute") {
            return Some((Self::OpenStack, says("product_name", product)));
        }
        if OPENSTACK_TAGS.contains(&tag) {
            return Some((Self::OpenStack, says("chassis_asset_tag", tag)));
        }
        if let Some(why) = xen_on_ec2(dmi) {
            return Some((Self::Ec2, why));
        }
        (vendor == "VMware, Inc.").then(|| (Self::VMware, says("sys_vendor", vendor)))
    }

    /// The platform that a person names, in our words or in those of Ignition and CoreOS.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ec2" | "aws" => Self::Ec2,
            "openstack" => Self::OpenStack,
            "gce" | "gcp" => Self::Gce,
            "azure" => Self::Azure,
            "digitalocean" => Self::DigitalOcean,
            "hetzner" => Self::Hetzner,
            "packet" | "equinix" => Self::Packet,
            "vmware" => Self::VMware,
            _ => return None,
        })
    }

    /// Its source.
    #[must_use]
    pub fn source(self) -> SourceId {
        match self {
            Self::Ec2 => SourceId::Ec2,
            Self::OpenStack => SourceId::OpenStack,
            Self::Gce => SourceId::Gce,
            Self::Azure => SourceId::Azure,
            Self::DigitalOcean => SourceId::DigitalOcean,
            Self::Hetzner => SourceId::Hetzner,
            Self::Packet => SourceId::Packet,
            Self::VMware => SourceId::VMware,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source().name())
    }
}

/// EC2's older, Xen based machines. One in 4096 random UUIDs begins with these three digits, so one alone proves nothing; there
/// the serial number repeats the UUID.
fn xen_on_ec2(dmi: &Dmi) -> Option<String> {
    let begins = |text: &str| text.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("ec2"));
    if dmi.sys_vendor != "Xen" || !begins(&dmi.product_uuid) {
        return None;
    }
    let confirmed = dmi.product_serial.eq_ignore_ascii_case(&dmi.product_uuid) || begins(&dmi.hypervisor_uuid);
    confirmed.then(|| "a Xen guest whose UUID begins with ec2".to_owned())
}

/// The name of a platform that is recognised, although it has no source here, so that nobody wonders.
pub(super) fn without_source(dmi: &Dmi) -> Option<&'static str> {
    let vendors = [
        ("Vultr", "Vultr"),
        ("UpCloud", "UpCloud"),
        ("Scaleway", "Scaleway"),
        ("Akamai", "Akamai"),
        ("Linode", "Akamai"),
        ("NWCS", "NWCS"),
        ("Exoscale", "Exoscale"),
    ];
    let products = [
        ("Alibaba Cloud ECS", "Alibaba Cloud"),
        ("CloudSigma", "CloudSigma"),
        ("CloudStack KVM Hypervisor", "CloudStack"),
        ("Exoscale Compute Platform", "Exoscale"),
        ("AHV", "Nutanix"),
    ];
    let find = |table: &[(&str, &'static str)], value: &str| table.iter().find(|(key, _)| *key == value).map(|(_, name)| *name);
    let oracle = (dmi.chassis_asset_tag == "OracleCloud.com").then_some("Oracle Cloud");
    oracle.or_else(|| find(&vendors, &dmi.sys_vendor)).or_else(|| find(&products, &dmi.product_name))
}

#[cfg(test)]
mod tests;
