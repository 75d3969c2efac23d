//! What firmware and boot loader remember across a reboot, whoever was booted in between: evidence of whether a trial boot happened.

use super::efivar::EfiVariables;
use crate::daemon::host::{Firmware, Slot};

/// systemd-boot removes this variable before it starts anything: that it is still there means that no loader ran since it was set.
const ONE_SHOT: &str = "LoaderEntryOneShot";
/// The upper half of UEFI's monotonic count ("Get Next High Monotonic Count", UEFI specification, runtime services): firmware adds at
/// least one at each boot. EDK II and what is made from it keep it in this variable.
const COUNT: &str = "MTC";
/// Vendor of [`COUNT`]: `gMtcVendorGuid` of EDK II.
const COUNT_VENDOR: &str = "eb704011-1402-11d3-8e77-00a0c969723b";

/// Looks at the evidence. What cannot be read is no evidence.
#[must_use]
pub fn firmware(variables: &EfiVariables) -> Firmware {
    let count = variables.bytes(COUNT, COUNT_VENDOR).ok().flatten();
    let entry = variables.text(ONE_SHOT).ok().flatten();
    Firmware {
        boots: count.and_then(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?))),
        one_shot: [Slot::A, Slot::B].into_iter().find(|slot| entry.as_deref() == Some(&slot.entry())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_read_and_its_absence_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let variables = EfiVariables::at(crate::disk::linux(), dir.path());
        assert_eq!(firmware(&variables), Firmware::default());
        let count = dir.path().join(format!("{COUNT}-{COUNT_VENDOR}"));
        std::fs::write(&count, b"\x07\0\0\0\x04\x01\0\0").unwrap();
        variables.set_text(ONE_SHOT, "slipway-b.efi").unwrap();
        assert_eq!(firmware(&variables), Firmware { boots: Some(0x104), one_shot: Some(Slot::B) });
        for odd in [&b""[..], b"\x07\0", b"\x07\0\0\0\x04", b"\x07\0\0\0\x04\x01\0\0\0\0\0\0"] {
            std::fs::write(&count, odd).unwrap();
            assert_eq!(firmware(&variables).boots, None, "{odd:?}");
        }
        variables.remove(ONE_SHOT).unwrap();
        variables.set_text(ONE_SHOT, "windows.conf").unwrap();
        assert_eq!(firmware(&variables).one_shot, None, "somebody else's choice is none of ours");
    }
}
