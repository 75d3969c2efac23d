//! Looks into a disk image and says what is in it. Nothing here is verified; [`crate::verify`] does that.

use std::path::Path;

use serde::Serialize;

use crate::contents;
use crate::disk::{Disk, DiskError};
use crate::esp::expected::Role;
use crate::esp::{Fat, FatError};
use crate::extent::Extent;
use crate::manifest::Package;
use crate::sign::{SignatureError, Signer, authenticode};
use crate::slot::Slot;
use crate::uki::{Pe, PeError};
use crate::verity;

/// Why an image could not be looked into.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// It cannot be opened, or is no disk image.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Its ESP cannot be read.
    #[error(transparent)]
    Fat(#[from] FatError),
    /// A boot file is no PE file.
    #[error("esp: {path}: {source}")]
    Pe {
        /// Path on the ESP.
        path: String,
        /// What is wrong with it.
        source: PeError,
    },
    /// A signature cannot be read.
    #[error("esp: {path}: {source}")]
    Signature {
        /// Path on the ESP.
        path: String,
        /// What is wrong with it.
        source: SignatureError,
    },
    /// A partition cannot be read.
    #[error("reading {partition}: {source}")]
    Io {
        /// The partition.
        partition: String,
        /// The operating system's reason.
        source: std::io::Error,
    },
}

/// Everything about an image.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// Length of the image, in bytes.
    pub size_bytes: u64,
    /// The disk's GUID.
    pub disk_guid: String,
    /// The partitions, by number.
    pub partitions: Vec<PartitionReport>,
    /// Files of the ESP, by path.
    pub files: Vec<FileReport>,
    /// Both slots.
    pub slots: Vec<SlotReport>,
}

/// One partition.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartitionReport {
    /// Number, from 1.
    pub number: u32,
    /// Label.
    pub label: String,
    /// Type GUID.
    pub kind: String,
    /// The partition's GUID.
    pub guid: String,
    /// Where it begins, in bytes.
    pub start_bytes: u64,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Holds only zeros.
    pub is_empty: bool,
}

/// One file of the ESP.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileReport {
    /// Path on the ESP.
    pub path: String,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Who claims to have signed it.
    pub signer: Option<Signer>,
    /// Sections, for UKIs and addons.
    pub sections: Vec<SectionReport>,
    /// Content of `.cmdline`, for UKIs and addons.
    pub cmdline: Option<String>,
}

/// One section of a PE file.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SectionReport {
    /// Name, e.g. `.linux`.
    pub name: String,
    /// Length of the content, in bytes.
    pub size_bytes: u64,
}

/// What a slot holds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SlotReport {
    /// Which slot.
    pub slot: Slot,
    /// Root hash by the tree on disk; absent in an empty slot.
    pub root_hash: Option<String>,
    /// What the manifest in the root says; absent in an empty slot and when it cannot be read.
    pub os: Option<OsReport>,
    /// Why the tree or the manifest could not be read, in a slot that is not empty.
    pub problem: Option<String>,
}

/// What the manifest says.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OsReport {
    /// `IMAGE_ID`.
    pub image_id: String,
    /// `IMAGE_VERSION`.
    pub version: String,
    /// The recipe's variant.
    pub variant: String,
    /// Debian architecture.
    pub arch: String,
    /// Kernel release.
    pub kernel: String,
    /// Installed packages, by name.
    pub packages: Vec<Package>,
}

/// Looks into the raw disk image at `path`.
pub fn inspect(path: &Path) -> Result<Report, InspectError> {
    let disk = Disk::open(path)?;
    let mut partitions = Vec::new();
    for partition in &disk.partitions {
        partitions.push(PartitionReport {
            number: partition.number,
            label: partition.label.clone(),
            kind: partition.kind.to_string(),
            guid: partition.guid.to_string(),
            start_bytes: partition.extent.offset(),
            size_bytes: partition.extent.len(),
            is_empty: is_empty(&partition.extent)?,
        });
    }
    let files = esp_files(&disk.partition("esp")?.extent)?;
    let slots = Slot::ALL.into_iter().map(|slot| inspect_slot(&disk, slot)).collect::<Result<_, _>>()?;
    Ok(Report { size_bytes: disk.extent.len(), disk_guid: disk.guid.to_string(), partitions, files, slots })
}

fn esp_files(esp: &Extent) -> Result<Vec<FileReport>, InspectError> {
    let fat = Fat::open(esp)?;
    let mut files = Vec::new();
    for entry in fat.list()?.into_iter().filter(|entry| !entry.is_folder) {
        let mut file = FileReport { path: entry.path.clone(), size_bytes: entry.size, signer: None, sections: Vec::new(), cmdline: None };
        if entry.path.to_ascii_lowercase().ends_with(".efi") {
            let bytes = fat.read_entry(&entry)?;
            describe_pe(&bytes, &mut file)?;
        }
        files.push(file);
    }
    files.sort_by(|one, two| one.path.cmp(&two.path));
    Ok(files)
}

fn describe_pe(bytes: &[u8], file: &mut FileReport) -> Result<(), InspectError> {
    let path = || file.path.clone();
    let pe = Pe::parse(bytes).map_err(|source| InspectError::Pe { path: path(), source })?;
    file.signer = authenticode::signer(&pe).map_err(|source| InspectError::Signature { path: path(), source })?;
    if matches!(Role::of(&file.path), Some(Role::Uki(_) | Role::Addon(_))) {
        let section =
            |section: &crate::uki::Section| SectionReport { name: section.name.clone(), size_bytes: section.content().len() as u64 };
        file.sections = pe.sections().iter().map(section).collect();
        file.cmdline = contents::text(&pe, ".cmdline").ok().map(str::to_owned);
    }
    Ok(())
}

fn inspect_slot(disk: &Disk, slot: Slot) -> Result<SlotReport, InspectError> {
    let root = &disk.partition(slot.root_label())?.extent;
    let tree = &disk.partition(slot.verity_label())?.extent;
    let mut report = SlotReport { slot, root_hash: None, os: None, problem: None };
    if is_empty(root)? && is_empty(tree)? {
        return Ok(report);
    }
    match verity::claimed_root_hash(root, tree) {
        Ok(root_hash) => report.root_hash = Some(root_hash.to_string()),
        Err(error) => report.problem = Some(error.to_string()),
    }
    match contents::manifest(root) {
        Ok(manifest) => {
            report.os = Some(OsReport {
                image_id: manifest.image_id,
                version: manifest.version,
                variant: manifest.variant,
                arch: manifest.arch,
                kernel: manifest.kernel,
                packages: manifest.packages,
            });
        }
        Err(error) => report.problem = Some(error.to_string()),
    }
    Ok(report)
}

fn is_empty(extent: &Extent) -> Result<bool, InspectError> {
    let found = extent.first_nonzero(0).map_err(|source| InspectError::Io { partition: extent.name().to_owned(), source })?;
    Ok(found.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::Image;

    #[test]
    fn an_image_is_described() {
        let Some(image) = Image::new() else { return };
        let report = inspect(&image.path()).unwrap();
        let empty: Vec<_> =
            report.partitions.iter().filter(|partition| partition.is_empty).map(|partition| partition.label.as_str()).collect();
        assert_eq!(empty, ["root-b", "root-b-verity", "oem", "state"]);
        let file = |path: &str| report.files.iter().find(|file| file.path == path).unwrap();
        let uki = file("EFI/Linux/slipway-a.efi");
        let names: Vec<_> = uki.sections.iter().map(|section| section.name.as_str()).collect();
        assert!(names.ends_with(&[".osrel", ".cmdline", ".uname", ".initrd", ".linux"]), "{names:?}");
        assert_eq!(uki.signer.as_ref().map(|signer| signer.common_name.as_str()), Some("Owner"));
        assert_eq!(uki.signer.as_ref().map(|signer| signer.certificate_sha256.clone()), Some(hex::encode(image.certificate.sha256())));
        assert_eq!(file("EFI/Linux/slipway-b.efi.extra.d/slot.addon.efi").cmdline, Some(Slot::B.addon_cmdline()));
        assert_eq!(file("loader/loader.conf").signer, None);
        let hash = report.slots[0].root_hash.clone().unwrap();
        assert!(uki.cmdline.as_deref().unwrap().contains(&format!("roothash={hash}")));
        let os = report.slots[0].os.as_ref().unwrap();
        assert_eq!((os.version.as_str(), os.packages.len()), ("1.0.0", 1));
        let b = &report.slots[1];
        assert!(b.root_hash.is_none() && b.os.is_none() && b.problem.is_none());
    }

    #[test]
    fn what_is_not_an_image_is_refused() {
        assert!(matches!(inspect(Path::new("/nonexistent")), Err(InspectError::Disk(DiskError::Io { .. }))));
    }
}
