//! Which sources this machine has: by looking, never by asking.
//!
//! Looking is reading the firmware's tables, the kernel command line, the first bytes of block devices, and whether certain
//! files exist. A source on the network becomes a lead only where the firmware, or a person on the command line, names its
//! platform. The order of leads is the order in which sources count: who is closest to this very boot comes first.

use serde::{Serialize, Serializer};

use super::cmdline::{self, Cmdline};
use super::dmi::Dmi;
use super::error::ReadError;
use super::facts::quoted;
use super::host::{Device, Host};
use super::http::shown;
use super::limits::ATTRIBUTE_BYTES;
use super::nocloud::Seed;
use super::platform::{self, Platform};
use super::{SourceId, config_drive, file, fw_cfg, nocloud, oem, smbios};

/// What was looked at, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// File, device or key.
    pub place: String,
    /// What is there, shortened and made harmless for terminals.
    pub found: String,
}

/// A source that this machine seems to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lead {
    /// Which.
    pub source: SourceId,
    /// What speaks for it.
    pub why: String,
    /// Where to look.
    #[serde(skip)]
    pub(super) to: Way,
}

/// Where a lead leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Url(String),
    Credential,
    Seed(Seed),
    FwCfg(&'static str),
    ConfigDrive(Vec<Device>),
    NoCloudDisk(Vec<Device>),
    Platform(Platform),
    File(&'static str),
    Oem(Vec<Device>),
}

/// Everything that looking told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detection {
    /// The source that will be asked first.
    #[serde(serialize_with = "first")]
    pub source: Option<SourceId>,
    /// The platform, where the machine names one that has a source.
    pub platform: Option<Platform>,
    /// The sources that are there, first the one that counts most.
    pub leads: Vec<Lead>,
    /// What was looked at.
    pub evidence: Vec<Evidence>,
}

fn first<S: Serializer>(source: &Option<SourceId>, serializer: S) -> Result<S::Ok, S::Error> {
    source.unwrap_or(SourceId::None).serialize(serializer)
}

/// Looks at this machine.
#[must_use]
pub fn look(host: &dyn Host) -> Detection {
    let mut look = Look { host, evidence: Vec::new(), leads: Vec::new() };
    let cmdline = look.cmdline();
    let (dmi, platform) = look.firmware(&cmdline);
    let devices = look.devices();

    if let Some(url) = &cmdline.url {
        look.lead(SourceId::Cmdline, format!("the kernel command line says cloud-config-url={}", shown(url)), Way::Url(url.clone()));
    }
    if let Some(seed) = &cmdline.seed {
        look.lead(SourceId::NoCloud, format!("the kernel command line says {seed}"), Way::Seed(seed.clone()));
    }
    if look.exists(smbios::USER_DATA) || look.exists(smbios::METADATA) {
        look.lead(SourceId::Smbios, "the hypervisor passes a credential for it".to_owned(), Way::Credential);
    }
    if let Some(seed) = Seed::parse(&dmi.product_serial) {
        look.lead(SourceId::NoCloud, format!("the machine's serial number says {seed}"), Way::Seed(seed));
    }
    if let Some(name) = fw_cfg::NAMES.iter().find(|name| look.exists(&fw_cfg::path(name))) {
        look.lead(SourceId::FwCfg, format!("QEMU passes a file named {name}"), Way::FwCfg(name));
    }
    look.disks(&devices, &cmdline);
    if let Some((platform, why)) = platform {
        look.lead(platform.source(), why, Way::Platform(platform));
    }
    if let Some(path) = file::PATHS.iter().find(|path| look.exists(path)) {
        look.lead(SourceId::File, format!("{path} exists"), Way::File(path));
    }
    let found = oem::devices(&devices);
    if !found.is_empty() {
        look.lead(SourceId::Oem, format!("{} is the oem partition", nodes(&found)), Way::Oem(found));
    }
    let Look { evidence, leads, .. } = look;
    Detection { source: leads.first().map(|lead| lead.source), platform: platform_of(&leads), leads, evidence }
}

fn platform_of(leads: &[Lead]) -> Option<Platform> {
    leads.iter().find_map(|lead| if let Way::Platform(platform) = lead.to { Some(platform) } else { None })
}

/// The nodes of devices, for a sentence.
pub(super) fn nodes(devices: &[Device]) -> String {
    devices.iter().map(|device| device.node.as_str()).collect::<Vec<_>>().join(", ")
}

struct Look<'a> {
    host: &'a dyn Host,
    evidence: Vec<Evidence>,
    leads: Vec<Lead>,
}

impl Look<'_> {
    fn lead(&mut self, source: SourceId, why: String, to: Way) {
        self.leads.push(Lead { source, why, to });
    }

    fn saw(&mut self, place: impl Into<String>, found: impl Into<String>) {
        self.evidence.push(Evidence { place: place.into(), found: found.into() });
    }

    fn cmdline(&mut self) -> Cmdline {
        match self.host.read(cmdline::PATH, ATTRIBUTE_BYTES) {
            Ok(bytes) => {
                let cmdline = Cmdline::parse(&String::from_utf8_lossy(&bytes.unwrap_or_default()));
                let mut words = Vec::new();
                words.extend(cmdline.url.as_ref().map(|url| format!("cloud-config-url={}", shown(url))));
                words.extend(cmdline.seed.as_ref().map(ToString::to_string));
                words.extend(cmdline.platform.as_ref().map(|(_, word)| word.clone()));
                words.extend(cmdline.no_config_drive.then(|| "config drives do not count".to_owned()));
                self.saw(cmdline::PATH, if words.is_empty() { "says nothing about the configuration".to_owned() } else { words.join(" ") });
                cmdline
            }
            Err(error) => {
                self.saw(cmdline::PATH, error.to_string());
                Cmdline::default()
            }
        }
    }

    /// What the machine is; a person's word counts more than the firmware's.
    fn firmware(&mut self, cmdline: &Cmdline) -> (Dmi, Option<(Platform, String)>) {
        let evidence = &mut self.evidence;
        let dmi = Dmi::read(self.host, |place, found| {
            let found = match found {
                // A seed's URL may hold a secret.
                Ok(text) => Seed::parse(text).map_or_else(|| quoted(text), |seed| seed.to_string()),
                Err(error) => error.to_string(),
            };
            evidence.push(Evidence { place, found });
        });
        if let Some(name) = platform::without_source(&dmi) {
            self.saw("platform", format!("{name}, which has no source here; local sources work"));
        }
        let named = cmdline.platform.clone().map(|(platform, word)| (platform, format!("the kernel command line says {word}")));
        let platform = named.or_else(|| Platform::of(&dmi).map(|(platform, why)| (platform, format!("the firmware's {why}"))));
        (dmi, platform)
    }

    fn devices(&mut self) -> Vec<Device> {
        match self.host.devices() {
            Ok(devices) => {
                for device in &devices {
                    let filesystem =
                        device.filesystem.map_or("no file system that is looked at".to_owned(), |filesystem| filesystem.to_string());
                    let label = if device.label.is_empty() { String::new() } else { format!(" labelled {}", quoted(&device.label)) };
                    let partition = device.partition_name.as_ref().map(|name| format!(", partition {}", quoted(name))).unwrap_or_default();
                    self.evidence.push(Evidence { place: device.node.clone(), found: format!("{filesystem}{label}{partition}") });
                }
                devices
            }
            Err(error) => {
                self.saw("block devices", error.to_string());
                Vec::new()
            }
        }
    }

    fn disks(&mut self, devices: &[Device], cmdline: &Cmdline) {
        let drives = config_drive::devices(devices);
        if !drives.is_empty() && !cmdline.no_config_drive {
            self.lead(SourceId::ConfigDrive, format!("{} is labelled config-2", nodes(&drives)), Way::ConfigDrive(drives));
        }
        let disks = nocloud::devices(devices);
        if !disks.is_empty() {
            self.lead(SourceId::NoCloud, format!("{} is labelled cidata", nodes(&disks)), Way::NoCloudDisk(disks));
        }
    }

    /// Whether a file is there. A file that is too large or not readable is there as well: its source will say so.
    fn exists(&mut self, path: &str) -> bool {
        match self.host.read(path, 0) {
            Ok(None) => {
                self.saw(path, "not there");
                false
            }
            Ok(Some(_)) | Err(ReadError::TooLarge(_)) => {
                self.saw(path, "there");
                true
            }
            Err(error) => {
                // Who may not look into a directory is told the same whether or not there is anything in it.
                let there = error != ReadError::NotPermitted;
                self.saw(path, error.to_string());
                there
            }
        }
    }
}
