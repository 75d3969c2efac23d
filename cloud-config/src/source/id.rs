//! The sources' names.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// A data source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceId {
    /// A URL on the kernel command line.
    Cmdline,
    /// A credential from the firmware tables.
    Smbios,
    /// QEMU's `fw_cfg`.
    FwCfg,
    /// OpenStack's disk labelled `config-2`.
    ConfigDrive,
    /// A disk labelled `cidata`, or a URL in its place.
    #[serde(rename = "nocloud")]
    NoCloud,
    /// Amazon EC2.
    Ec2,
    /// OpenStack's metadata service.
    #[serde(rename = "openstack")]
    OpenStack,
    /// Google Compute Engine.
    Gce,
    /// Microsoft Azure.
    Azure,
    /// DigitalOcean.
    #[serde(rename = "digitalocean")]
    DigitalOcean,
    /// Hetzner Cloud.
    Hetzner,
    /// Packet, later Equinix Metal.
    Packet,
    /// VMware's guestinfo, or its OVF environment.
    #[serde(rename = "vmware")]
    VMware,
    /// A file on this machine.
    File,
    /// The oem partition.
    Oem,
    /// No source has anything.
    None,
}

impl SourceId {
    /// All of them, in the order in which they count.
    pub const ALL: [Self; 15] = [
        Self::Cmdline,
        Self::Smbios,
        Self::FwCfg,
        Self::ConfigDrive,
        Self::NoCloud,
        Self::Ec2,
        Self::OpenStack,
        Self::Gce,
        Self::Azure,
        Self::DigitalOcean,
        Self::Hetzner,
        Self::Packet,
        Self::VMware,
        Self::File,
        Self::Oem,
    ];

    /// Its name on the command line and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cmdline => "cmdline",
            Self::Smbios => "smbios",
            Self::FwCfg => "fw-cfg",
            Self::ConfigDrive => "config-drive",
            Self::NoCloud => "nocloud",
            Self::Ec2 => "ec2",
            Self::OpenStack => "openstack",
            Self::Gce => "gce",
            Self::Azure => "azure",
            Self::DigitalOcean => "digitalocean",
            Self::Hetzner => "hetzner",
            Self::Packet => "packet",
            Self::VMware => "vmware",
            Self::File => "file",
            Self::Oem => "oem",
            Self::None => "none",
        }
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SourceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|id| id.name() == text).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|id| id.name()).collect();
            format!("`{text}` is no data source; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_written_the_same_in_json() {
        for id in SourceId::ALL {
            assert_eq!(id.name().parse(), Ok(id));
            assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{id}\""));
        }
        for wrong in ["", "none", "EC2", "config-2", "aws"] {
            assert!(wrong.parse::<SourceId>().unwrap_err().contains("config-drive"), "{wrong}");
        }
    }
}
