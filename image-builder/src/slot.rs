//! The two slots and everything that is named after them.
//!
//! One signed UKI serves both slots; the signed addon beside each boot entry says which partitions to open.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A slot: a pair of partitions with one boot entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Slot {
    /// The slot that a new image fills.
    A,
    /// The slot that the first update fills.
    B,
}

impl Slot {
    /// Both slots.
    pub const ALL: [Self; 2] = [Self::A, Self::B];

    /// The slot that is not this one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Label of the root partition.
    #[must_use]
    pub const fn root_label(self) -> &'static str {
        match self {
            Self::A => "root-a",
            Self::B => "root-b",
        }
    }

    /// Label of the hash tree's partition.
    #[must_use]
    pub const fn verity_label(self) -> &'static str {
        match self {
            Self::A => "root-a-verity",
            Self::B => "root-b-verity",
        }
    }

    /// Name of the boot entry, which is the UKI's file name. Without a boot counter, on purpose: see the design's traps.
    #[must_use]
    pub const fn entry(self) -> &'static str {
        match self {
            Self::A => "slipway-a.efi",
            Self::B => "slipway-b.efi",
        }
    }

    /// The UKI's path on the ESP.
    #[must_use]
    pub fn uki_path(self) -> String {
        format!("EFI/Linux/{}", self.entry())
    }

    /// The addon's path on the ESP.
    #[must_use]
    pub fn addon_path(self) -> String {
        format!("EFI/Linux/{}.extra.d/slot.addon.efi", self.entry())
    }

    /// What the addon adds to the kernel command line.
    #[must_use]
    pub fn addon_cmdline(self) -> String {
        let (root, verity) = (self.root_label(), self.verity_label());
        format!("systemd.verity_root_data=PARTLABEL={root} systemd.verity_root_hash=PARTLABEL={verity} slot={self}")
    }

    /// `loader/loader.conf` of a disk whose committed slot is this one. Nothing signs this file, so checks compare it byte by byte.
    #[must_use]
    pub fn loader_conf(self) -> String {
        format!("timeout 0\ndefault {}\neditor no\nauto-entries no\n", self.entry())
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "a",
            Self::B => "b",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::PartitionSpec;

    #[test]
    fn a_slots_partitions_are_in_the_table() {
        for slot in Slot::ALL {
            assert!(PartitionSpec::named(slot.root_label()).is_some() && PartitionSpec::named(slot.verity_label()).is_some());
        }
    }

    #[test]
    fn names_of_a_slot() {
        assert_eq!(Slot::ALL.map(Slot::other), [Slot::B, Slot::A]);
        assert_eq!(Slot::B.uki_path(), "EFI/Linux/slipway-b.efi");
        assert_eq!(Slot::B.addon_path(), "EFI/Linux/slipway-b.efi.extra.d/slot.addon.efi");
        let expected = "systemd.verity_root_data=PARTLABEL=root-b systemd.verity_root_hash=PARTLABEL=root-b-verity slot=b";
        assert_eq!(Slot::B.addon_cmdline(), expected);
        assert_eq!(Slot::A.loader_conf(), "timeout 0\ndefault slipway-a.efi\neditor no\nauto-entries no\n");
    }
}
