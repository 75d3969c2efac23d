//! From leads to an answer: one source after the other until one has user data.

use super::detect::{self, Detection, Lead, Way};
use super::error::{FindError, SourceError};
use super::host::Host;
use super::platform::Platform;
use super::{Found, Part, SourceId};
use super::{
    azure, cmdline_url, config_drive, digitalocean, ec2, file, fw_cfg, gce, hetzner, nocloud, oem, openstack, packet, smbios, vmware,
};
use crate::metadata::Metadata;

/// What is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Request {
    /// Where to look.
    pub from: From,
}

/// Where to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum From {
    /// Wherever this machine has something.
    #[default]
    Detected,
    /// Only there, because a person says so.
    Only(SourceId),
}

/// Looks for a configuration.
///
/// Sources are asked in the order of [`detect::look`] until one has user data. Those before it that have none still say what
/// they know about the machine; where two know the same, the earlier one counts. What the oem partition holds is the
/// maker's word: user data when there is no other, and else vendor data. Nothing at all is no error.
pub fn find(request: &Request, host: &dyn Host) -> Result<Found, FindError> {
    let detection = detect::look(host);
    let leads = choose(request.from, detection)?;
    let mut found = Found::nothing();
    for lead in &leads {
        let is_oem = lead.source == SourceId::Oem;
        if !found.user_data.is_empty() && !is_oem {
            continue;
        }
        let part = ask(lead, host).map_err(|error| FindError { source_id: lead.source, error })?;
        tracing::debug!(source = %lead.source, user_data = part.user_data.is_some(), "asked");
        found.add(lead, part);
    }
    Ok(found)
}

fn choose(from: From, detection: Detection) -> Result<Vec<Lead>, FindError> {
    let From::Only(source) = from else { return Ok(detection.leads) };
    let mut leads: Vec<Lead> = detection.leads.into_iter().filter(|lead| lead.source == source).collect();
    if leads.is_empty() {
        let why = "a person asked for it".to_owned();
        match Platform::named(source.name()) {
            Some(platform) => leads.push(Lead { source, why, to: Way::Platform(platform) }),
            None => return Err(FindError { source_id: source, error: SourceError::Absent { missing: missing(source) } }),
        }
    }
    Ok(leads)
}

/// What a local source consists of.
fn missing(source: SourceId) -> &'static str {
    match source {
        SourceId::Cmdline => "cloud-config-url= on the kernel command line",
        SourceId::Smbios => "a system credential named slipway.cloud-config",
        SourceId::FwCfg => "a file opt/org.slipway/config in fw_cfg",
        SourceId::ConfigDrive => "a disk labelled config-2",
        SourceId::NoCloud => "a disk labelled cidata, or ds=nocloud;s=URL as serial number or on the kernel command line",
        SourceId::File => "a file /etc/slipway/cloud-config.yaml",
        SourceId::Oem => "a partition named oem with a file system",
        _ => "its platform",
    }
}

fn ask(lead: &Lead, host: &dyn Host) -> Result<Part, SourceError> {
    match &lead.to {
        Way::Url(url) => cmdline_url::fetch(host, url),
        Way::Credential => smbios::fetch(host),
        Way::Seed(seed) => nocloud::fetch_seed(host, seed),
        Way::FwCfg(name) => fw_cfg::fetch(host, name),
        Way::ConfigDrive(devices) => config_drive::fetch(host, devices),
        Way::NoCloudDisk(devices) => nocloud::fetch_disk(host, devices),
        Way::File(path) => file::fetch(host, path),
        Way::Oem(devices) => oem::fetch(host, devices),
        Way::Platform(platform) => match platform {
            Platform::Ec2 => ec2::fetch(host),
            Platform::OpenStack => openstack::fetch(host),
            Platform::Gce => gce::fetch(host),
            Platform::Azure => azure::fetch(host),
            Platform::DigitalOcean => digitalocean::fetch(host),
            Platform::Hetzner => hetzner::fetch(host),
            Platform::Packet => packet::fetch(host),
            Platform::VMware => vmware::fetch(host),
        },
    }
}

impl Found {
    fn nothing() -> Self {
        Self {
            source: SourceId::None,
            why: "nothing on this machine names a source".to_owned(),
            user_data: Vec::new(),
            vendor_data: Vec::new(),
            metadata: Metadata::default(),
            network_files: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn add(&mut self, lead: &Lead, part: Part) {
        let has_user_data = part.user_data.is_some();
        let first_word = self.user_data.is_empty() && has_user_data;
        if self.source == SourceId::None || first_word {
            (self.source, self.why) = (lead.source, lead.why.clone());
        }
        if self.user_data.is_empty() {
            self.user_data.extend(part.user_data);
        } else {
            self.vendor_data.extend(part.user_data);
        }
        self.vendor_data.extend(part.vendor_data);
        self.metadata.fill_from(part.metadata);
        if self.network_files.is_empty() {
            self.network_files = part.network_files;
        }
        self.notes.extend(part.notes.into_iter().map(|note| format!("{}: {note}", lead.source)));
    }
}
