//! VMware: guestinfo, and the OVF environment on a disc.
//!
//! Guestinfo is asked for through VMware's own tools (`vmware-rpctool` or `vmtoolsd`), where the image has them: the hypervisor's
//! back door is reached by a machine instruction that safe Rust does not have. Without the tools only the disc is read.
//! Keys: those of coreos-cloudinit, and those of cloud-init's VMware data source.

use super::encoding::Encoding;
use super::error::SourceError;
use super::fields::Fields;
use super::host::Host;
use super::limits::{METADATA_BYTES, USER_DATA_BYTES};
use super::network::{self, Network};
use super::probe::Filesystem;
use super::{Blob, Part, facts, ovf};

const OVF: &str = "ovf-env.xml";
/// Room for user data inside of the environment, as base64, in bytes.
const OVF_BYTES: usize = METADATA_BYTES + USER_DATA_BYTES / 3 * 4;
/// Optical discs that are looked into, at most.
const DISCS: usize = 4;
/// Keys of user data, first the one that counts most; `.encoding` is put behind them.
const USER_DATA: &[(&str, &str)] =
    &[("guestinfo.coreos.config.data", "guestinfo.coreos.config.data.encoding"), ("guestinfo.userdata", "guestinfo.userdata.encoding")];

pub(super) fn fetch(host: &dyn Host) -> Result<Part, SourceError> {
    let mut part = Part::default();
    let properties = properties(host)?;
    let value = |key: &str| -> Result<Option<Vec<u8>>, SourceError> {
        match host.guestinfo(key).map_err(SourceError::read(key))? {
            Some(bytes) => Ok(Some(bytes)),
            // The environment may leave out the prefix.
            None => Ok(properties
                .iter()
                .find(|(name, _)| name == key || Some(name.as_str()) == key.strip_prefix("guestinfo."))
                .map(|(_, value)| value.clone().into_bytes())),
        }
        .map(|bytes| bytes.filter(|bytes| !bytes.trim_ascii().is_empty()))
    };
    let text = |key: &str| value(key)?.map(|bytes| facts::text(key, bytes)).transpose();
    for (key, encoding) in USER_DATA {
        if part.user_data.is_none()
            && let Some(bytes) = value(key)?
        {
            let encoding = Encoding::named(encoding, &text(encoding)?.unwrap_or_default())?;
            part.user_data = Blob::unless_empty(*key, encoding.decode(key, &bytes, USER_DATA_BYTES)?);
        }
    }
    if let Some(bytes) = value("user-data")?.filter(|_| part.user_data.is_none()) {
        part.user_data = Blob::unless_empty("user-data", Encoding::Base64.decode("user-data", &bytes, USER_DATA_BYTES)?);
    }
    if part.user_data.is_none() && value("guestinfo.coreos.config.url")?.is_some() {
        part.notes.push("guestinfo.coreos.config.url is not followed; put the document into guestinfo.coreos.config.data".to_owned());
    }
    for key in ["guestinfo.hostname", "hostname"] {
        if part.metadata.hostname.is_none() {
            part.metadata.hostname = text(key)?.map(|name| facts::hostname(key, "hostname", name.trim())).transpose()?;
        }
    }
    if let Some(bytes) = value("guestinfo.metadata")? {
        let key = "guestinfo.metadata";
        let encoding = Encoding::named(key, &text("guestinfo.metadata.encoding")?.unwrap_or_default())?;
        metadata(&Fields::yaml(key, encoding.decode(key, &bytes, METADATA_BYTES)?)?, &mut part)?;
    }
    if let Some(id) = text("instance-id")? {
        part.metadata.instance_id = part.metadata.instance_id.or(Some(facts::instance_id(OVF, "instance-id", id.trim())?));
    }
    if let Some(keys) = text("public-keys")? {
        for (index, line) in keys.lines().filter(|line| !line.trim().is_empty()).take(super::limits::KEYS).enumerate() {
            part.metadata.ssh_authorized_keys.insert(format!("key-{index}"), facts::ssh_key(OVF, "public-keys", line)?);
        }
    }
    Ok(part)
}

fn metadata(fields: &Fields, part: &mut Part) -> Result<(), SourceError> {
    part.metadata.instance_id = fields.instance_id("instance-id")?;
    if let Some(name) = fields.hostname("local-hostname")? {
        part.metadata.hostname = Some(name);
    }
    part.metadata.ssh_authorized_keys = fields.ssh_keys("public-keys-data")?;
    if fields.has("network")? {
        let network = Network::cloud_init(fields)?;
        part.network_files = network::render(&network);
        part.notes.extend(network.notes);
    }
    Ok(())
}

/// The properties of the OVF environment, from the first disc that has one.
fn properties(host: &dyn Host) -> Result<Vec<(String, String)>, SourceError> {
    let devices = host.devices().map_err(SourceError::read("block devices"))?;
    let discs = devices.iter().filter(|device| device.filesystem == Some(Filesystem::Iso9660));
    for device in discs.take(DISCS) {
        let place = format!("{}:{OVF}", device.node);
        // A disc that cannot be mounted is somebody else's.
        let Ok(medium) = host.mount(device) else { continue };
        let Some(bytes) = medium.read(OVF, OVF_BYTES).map_err(SourceError::read(&place))? else { continue };
        let root = ovf::parse(&place, bytes)?;
        let pair = |element: &&ovf::Element| Some((element.attribute("key")?.to_owned(), element.attribute("value")?.to_owned()));
        return Ok(root.all("Property").iter().filter_map(pair).collect());
    }
    Ok(Vec::new())
}
