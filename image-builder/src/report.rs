//! What an image weighs and exposes, for people (`report.html`) and for machines (`report.json`).
//!
//! Made from the manifest and the artefacts alone, without times, so that equal builds have equal reports.

mod html;
mod map;
mod page;
mod treemap;
mod weigh;

use serde::Serialize;

use crate::diff::SetId;
use crate::manifest::{Kind, Manifest, UnitState};

pub use page::html;
pub use weigh::{Folder, LargeFile, Licence, Owner};

/// How many of the largest files a report lists.
pub const LARGEST_FILES: usize = 10;

/// One file that the build leaves behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Artefact {
    /// Its name, e.g. `root.erofs`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in hex.
    pub sha256: String,
    /// Sections of a UKI in their order; empty for anything else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<Section>,
}

/// One section of a UKI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Its name, e.g. `.initrd`.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
}

/// A report on one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// `IMAGE_ID`.
    pub image_id: String,
    /// The recipe's variant.
    pub variant: String,
    /// `IMAGE_VERSION`.
    pub version: String,
    /// Debian architecture.
    pub arch: String,
    /// Kernel release.
    pub kernel: String,
    /// Kernel command line, without the root hash.
    pub cmdline: String,
    /// Sums.
    pub totals: Totals,
    /// What the build leaves behind.
    pub artefacts: Vec<Artefact>,
    /// Bytes by package or step of the build, largest first.
    pub owners: Vec<Owner>,
    /// Bytes by folder, two levels deep, largest first.
    pub folders: Vec<Folder>,
    /// The [`LARGEST_FILES`] largest files.
    pub largest_files: Vec<LargeFile>,
    /// Files that run with the rights of their owner or group.
    pub set_id_files: Vec<SetId>,
    /// Units that start by themselves.
    pub enabled_units: Vec<String>,
    /// Units that listen.
    pub listening: Vec<Listening>,
    /// Licence expressions by the number of packages that declare them.
    pub licences: Vec<Licence>,
}

/// Sums over an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Contents of all files, uncompressed.
    pub bytes: u64,
    /// Regular files.
    pub files: usize,
    /// Directories.
    pub directories: usize,
    /// Symbolic and hard links.
    pub links: usize,
    /// Packages.
    pub packages: usize,
}

/// A unit that listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listening {
    /// Its name.
    pub unit: String,
    /// Whether it does so by itself.
    pub state: UnitState,
    /// Where, as written in the unit.
    pub addresses: Vec<String>,
}

impl Report {
    /// Draws up the report on `manifest` and what was built from it.
    #[must_use]
    pub fn new(manifest: &Manifest, artefacts: Vec<Artefact>) -> Self {
        let units = manifest.units.iter();
        let enabled = units.clone().filter(|unit| unit.state == UnitState::Enabled).map(|unit| unit.name.clone());
        let listening = units.filter(|unit| !unit.listens.is_empty()).map(|unit| Listening {
            unit: unit.name.clone(),
            state: unit.state,
            addresses: unit.listens.clone(),
        });
        Self {
            image_id: manifest.image_id.clone(),
            variant: manifest.variant.clone(),
            version: manifest.version.clone(),
            arch: manifest.arch.clone(),
            kernel: manifest.kernel.clone(),
            cmdline: manifest.cmdline.clone(),
            totals: Totals::of(manifest),
            artefacts,
            owners: weigh::owners(manifest),
            folders: weigh::folders(manifest),
            largest_files: weigh::largest(manifest, LARGEST_FILES),
            set_id_files: manifest.files.iter().filter_map(SetId::of).collect(),
            enabled_units: enabled.collect(),
            listening: listening.collect(),
            licences: weigh::licences(manifest),
        }
    }
}

impl Totals {
    fn of(manifest: &Manifest) -> Self {
        let count = |kinds: &[Kind]| manifest.files.iter().filter(|file| kinds.contains(&file.kind)).count();
        Self {
            bytes: manifest.files.iter().map(|file| file.size).sum(),
            files: count(&[Kind::File]),
            directories: count(&[Kind::Directory]),
            links: count(&[Kind::Symlink, Kind::Hardlink]),
            packages: manifest.packages.len(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::manifest::fixture;

    pub(crate) fn artefacts() -> Vec<Artefact> {
        let artefact = |name: &str, size, sections| Artefact { name: name.to_owned(), size, sha256: "5e".repeat(32), sections };
        let section = |name: &str, size| Section { name: name.to_owned(), size };
        vec![
            artefact("root.erofs", 71_000_000, Vec::new()),
            artefact("root.verity", 560_000, Vec::new()),
            artefact(
                "slipway.efi",
                34_000_000,
                vec![section(".linux", 12_000_000), section(".initrd", 21_900_000), section(".cmdline", 90)],
            ),
        ]
    }

    #[test]
    fn the_data_is_complete() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&Report::new(&fixture::manifest(), artefacts())).unwrap());
    }

    #[test]
    fn the_parts_add_up_to_the_whole() {
        let report = Report::new(&fixture::manifest(), Vec::new());
        assert_eq!(report.owners.iter().map(|owner| owner.bytes).sum::<u64>(), report.totals.bytes);
        assert_eq!(report.folders.iter().map(|folder| folder.bytes).sum::<u64>(), report.totals.bytes);
        assert_eq!(report.licences.iter().map(|licence| licence.packages).sum::<usize>(), report.totals.packages);
        assert!(report.artefacts.is_empty());
    }

    #[test]
    fn neither_disabled_nor_masked_units_count_as_enabled() {
        let report = Report::new(&fixture::manifest(), Vec::new());
        assert_eq!(report.enabled_units, ["docker.service", "docker.socket", "ssh.socket"]);
        let listening: Vec<&str> = report.listening.iter().map(|unit| unit.unit.as_str()).collect();
        assert_eq!(listening, ["docker.socket", "ssh.socket"]);
    }

    #[test]
    fn an_empty_image_has_an_empty_report() {
        let empty = Manifest { packages: Vec::new(), files: Vec::new(), units: Vec::new(), ..fixture::manifest() };
        let report = Report::new(&empty, Vec::new());
        assert_eq!(report.totals, Totals { bytes: 0, files: 0, directories: 0, links: 0, packages: 0 });
        assert!(report.owners.is_empty() && report.folders.is_empty() && report.largest_files.is_empty());
    }
}
