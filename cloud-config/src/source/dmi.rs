//! What the firmware says this machine is (SMBIOS types 1 to 3, as the kernel shows them in sysfs).

use super::error::ReadError;
use super::host::Host;
use super::limits::ATTRIBUTE_BYTES;

/// Where the kernel shows the firmware's tables.
const DIR: &str = "/sys/class/dmi/id";
/// What a Xen guest is told about itself.
const HYPERVISOR_UUID: &str = "/sys/hypervisor/uuid";

/// The strings that tell platforms apart; empty where the machine does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dmi {
    pub(super) sys_vendor: String,
    pub(super) product_name: String,
    pub(super) product_serial: String,
    pub(super) product_uuid: String,
    pub(super) chassis_asset_tag: String,
    pub(super) hypervisor_uuid: String,
}

impl Dmi {
    /// Reads them, and hands each one that is there to `saw` with its path. What cannot be read is as good as not there:
    /// an ordinary user cannot see serial numbers, and some machines have no tables at all.
    pub(super) fn read(host: &dyn Host, mut saw: impl FnMut(String, Result<&str, ReadError>)) -> Self {
        let mut read = |path: String| match host.read(&path, ATTRIBUTE_BYTES) {
            Ok(None) => String::new(),
            Ok(Some(bytes)) => {
                let text = String::from_utf8_lossy(&bytes).trim().to_owned();
                saw(path, Ok(&text));
                text
            }
            Err(error) => {
                saw(path, Err(error));
                String::new()
            }
        };
        Self {
            sys_vendor: read(format!("{DIR}/sys_vendor")),
            product_name: read(format!("{DIR}/product_name")),
            product_serial: read(format!("{DIR}/product_serial")),
            product_uuid: read(format!("{DIR}/product_uuid")),
            chassis_asset_tag: read(format!("{DIR}/chassis_asset_tag")),
            hypervisor_uuid: read(HYPERVISOR_UUID.to_owned()),
        }
    }
}
