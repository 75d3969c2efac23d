//! What belongs on the ESP. Anything else there could change how a host boots.

use crate::slot::Slot;

/// The loader under the name that firmware starts from a disk it does not know.
pub const FALLBACK_LOADER: &str = "EFI/BOOT/BOOTX64.EFI";
/// The loader under its own name.
pub const LOADER: &str = "EFI/systemd/systemd-bootx64.efi";
/// The loader's settings.
pub const LOADER_CONF: &str = "loader/loader.conf";
/// Tells installers the kind of boot entries in use.
pub const ENTRIES_SREL: &str = "loader/entries.srel";
/// Content of [`ENTRIES_SREL`].
pub const ENTRIES_SREL_CONTENT: &[u8] = b"type1\n";
/// Where firmware keys lie that the loader enrols into a machine in setup mode.
pub const ENROL_FOLDER: &str = "loader/keys/auto/";

/// What a path on the ESP is to a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The boot loader; signed.
    Loader,
    /// The UKI of a slot; signed.
    Uki(Slot),
    /// The addon of a slot; signed.
    Addon(Slot),
    /// `loader.conf`; its content is known.
    LoaderConf,
    /// `entries.srel`; its content is known.
    EntriesSrel,
    /// A signed list of keys for firmware in setup mode.
    Enrolment,
}

impl Role {
    /// The role of the file at `path`; `None` for a file that does not belong there.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        // FAT does not know case.
        let is = |expected: &str| path.eq_ignore_ascii_case(expected);
        if is(FALLBACK_LOADER) || is(LOADER) {
            return Some(Self::Loader);
        }
        if let Some(slot) = Slot::ALL.into_iter().find(|slot| is(&slot.uki_path())) {
            return Some(Self::Uki(slot));
        }
        if let Some(slot) = Slot::ALL.into_iter().find(|slot| is(&slot.addon_path())) {
            return Some(Self::Addon(slot));
        }
        if is(LOADER_CONF) {
            return Some(Self::LoaderConf);
        }
        if is(ENTRIES_SREL) {
            return Some(Self::EntriesSrel);
        }
        let name = path.strip_prefix(ENROL_FOLDER)?;
        ["PK.auth", "KEK.auth", "db.auth", "dbx.auth"].contains(&name).then_some(Self::Enrolment)
    }

    /// Must be signed by the image's certificate.
    #[must_use]
    pub fn is_signed(self) -> bool {
        matches!(self, Self::Loader | Self::Uki(_) | Self::Addon(_))
    }
}

/// The files without which an ESP does not boot both slots as designed; the UKI of slot B comes with the first update.
#[must_use]
pub fn required() -> Vec<String> {
    let mut paths: Vec<String> = [FALLBACK_LOADER, LOADER, LOADER_CONF, ENTRIES_SREL].map(str::to_owned).to_vec();
    paths.push(Slot::A.uki_path());
    paths.extend(Slot::ALL.map(Slot::addon_path));
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_its_role() {
        let table = [
            ("EFI/BOOT/BOOTX64.EFI", Some(Role::Loader)),
            ("efi/boot/bootx64.efi", Some(Role::Loader)),
            ("EFI/Linux/slipway-b.efi", Some(Role::Uki(Slot::B))),
            ("EFI/Linux/slipway-a.efi.extra.d/slot.addon.efi", Some(Role::Addon(Slot::A))),
            ("loader/loader.conf", Some(Role::LoaderConf)),
            ("loader/keys/auto/db.auth", Some(Role::Enrolment)),
            ("loader/keys/auto/sub/db.auth", None),
            ("loader/keys/other/db.auth", None),
            ("loader/entries/evil.conf", None),
            ("loader/addons/all.addon.efi", None),
            ("loader/credentials/x.cred", None),
            ("EFI/Linux/slipway-c.efi", None),
            ("EFI/Linux/slipway-a.efi.extra.d/more.addon.efi", None),
            ("EFI/Linux/slipway-a.efi.extra.d/x.cred", None),
        ];
        for (path, role) in table {
            assert_eq!(Role::of(path), role, "{path}");
        }
        assert!(required().iter().all(|path| Role::of(path).is_some()));
    }
}
