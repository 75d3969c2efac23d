//! Google Compute Engine's metadata server.
//!
//! Paths, headers and the format of keys: Google's documentation "About VM metadata" and "Add SSH keys to VMs". The address is
//! used instead of the name, which a name server could lie about.

use std::collections::BTreeMap;
use std::time::Duration;

use super::error::SourceError;
use super::host::Host;
use super::limits::{KEYS, METADATA_BYTES, USER_DATA_BYTES};
use super::net::Net;
use super::{Blob, Part, facts};
use crate::metadata::Metadata;

/// What this source may take in total, waiting for an address included.
pub(super) const BUDGET: Duration = Duration::from_secs(30);
const BASE: &str = "http://169.254.169.254/computeMetadata/v1";

pub(super) fn fetch(host: &dyn Host) -> Result<Part, SourceError> {
    // The same header proves in both directions that nobody ended up here by accident.
    let net = Net::new(host, BUDGET).with_header("Metadata-Flavor", "Google").with_proof("Metadata-Flavor", "Google");
    let place = |key: &str| format!("{BASE}/instance/{key}");
    let value = |key: &str| net.value(&place(key));
    let mut metadata = Metadata::default();
    let id = value("id")?.ok_or_else(|| net.status(&place("id"), 404))?;
    metadata.instance_id = Some(facts::instance_id(&place("id"), "id", &id)?);
    metadata.hostname = value("hostname")?.map(|text| facts::hostname(&place("hostname"), "hostname", &text)).transpose()?;
    let (private, public) = ("network-interfaces/0/ip", "network-interfaces/0/access-configs/0/external-ip");
    metadata.private_ipv4 = value(private)?.map(|text| facts::ipv4(&place(private), "ip", &text)).transpose()?;
    metadata.public_ipv4 = value(public)?.map(|text| facts::ipv4(&place(public), "external-ip", &text)).transpose()?;
    let (metadata_keys, notes) = keys(&net)?;
    metadata.ssh_authorized_keys = metadata_keys;
    let url = place("attributes/user-data");
    let user_data = net.get(&url, USER_DATA_BYTES)?.and_then(|bytes| Blob::unless_empty(&url, bytes));
    Ok(Part { user_data, metadata, notes, ..Part::default() })
}

/// The machine's keys, and the project's unless the machine blocks them.
fn keys(net: &Net<'_>) -> Result<(BTreeMap<String, String>, Vec<String>), SourceError> {
    let blocked = net.value(&format!("{BASE}/instance/attributes/block-project-ssh-keys"))?;
    let blocked = blocked.is_some_and(|text| matches!(text.to_ascii_lowercase().as_str(), "true" | "y" | "yes" | "1"));
    let (mut keys, mut notes) = (BTreeMap::new(), Vec::new());
    for level in if blocked { &["instance"][..] } else { &["instance", "project"] } {
        let url = format!("{BASE}/{level}/attributes/ssh-keys");
        let Some(bytes) = net.get(&url, METADATA_BYTES)? else { continue };
        let text = facts::text(&url, bytes)?;
        for (index, line) in text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
            let field = format!("ssh-keys, line {}", index + 1);
            let (user, key) = line.split_once(':').ok_or_else(|| SourceError::field(&url, &field, "is not USER:KEY"))?;
            if key.contains(" google-ssh ") && key.contains("expireOn") {
                notes.push(format!("{level} key {} is left out: it expires, and nobody here would take it away", index + 1));
                continue;
            }
            let name = facts::key_name(&url, &format!("{level}-{index}-{user}"))?;
            keys.insert(name, facts::ssh_key(&url, &field, key)?);
        }
    }
    if keys.len() > KEYS {
        return Err(SourceError::field(BASE, "ssh-keys", format!("has {} keys; {KEYS} are the most that are taken", keys.len())));
    }
    Ok((keys, notes))
}
