//! The root file systems: every block through the hash tree, and nothing behind either.

use std::io;

use crate::contents::{self, ContentsError, UkiFacts};
use crate::disk::{Disk, layout};
use crate::erofs::ErofsError;
use crate::extent::Extent;
use crate::progress::Progress;
use crate::slot::Slot;
use crate::verify::{Verdict, VerifyError, table};
use crate::verity::{self, BLOCK_BYTES, VerityError};

/// Checks both slots and says what the other partitions hold.
pub(super) fn check(disk: &Disk, ukis: &[(Slot, UkiFacts)], verdict: &mut Verdict, progress: &Progress) -> Result<(), VerifyError> {
    for slot in Slot::ALL {
        let (Some(root), Some(tree)) = (table::partition(disk, slot.root_label()), table::partition(disk, slot.verity_label())) else {
            continue;
        };
        match ukis.iter().find(|(of, _)| *of == slot) {
            Some((_, facts)) => {
                let _phase = progress.phase(format!("checking {}", root.name()), 0);
                check_slot(root, tree, facts, verdict)?;
            }
            None => describe_unused(&[root, tree], verdict)?,
        }
    }
    let rest: Vec<&Extent> = ["oem", "state"].iter().filter_map(|label| table::partition(disk, label)).collect();
    describe_unused(&rest, verdict)
}

fn check_slot(root: &Extent, tree: &Extent, facts: &UkiFacts, verdict: &mut Verdict) -> Result<(), VerifyError> {
    let superblock = match verity::verify(root, tree, &facts.root_hash) {
        Ok(superblock) => superblock,
        Err(VerityError::Io { object, source, .. }) => return Err(VerifyError::Io { object, source }),
        Err(error) => {
            let place = if matches!(error, VerityError::DataBlock { .. }) { root.name() } else { tree.name() };
            verdict.find(place, error.to_string());
            return Ok(());
        }
    };
    verdict.checked.push(format!("{}: all {} blocks match root hash {}", root.name(), superblock.data_blocks, facts.root_hash));
    if superblock.uuid != layout::verity_uuid(&facts.version) {
        verdict.find(tree.name(), format!("superblock: the UUID {} is not that of version {}", superblock.uuid, facts.version));
    }
    let data_bytes = superblock.data_blocks * BLOCK_BYTES;
    for (extent, used, what) in [(root, data_bytes, "the file system"), (tree, verity::tree_bytes(data_bytes), "the hash tree")] {
        match extent.first_nonzero(used).map_err(|source| io_error(extent, source))? {
            Some(at) => verdict.find(extent.name(), format!("byte {at}, behind {what}, is not zero")),
            None => verdict.checked.push(format!("{}: zero behind {what}", extent.name())),
        }
    }
    check_manifest(root, facts, verdict)
}

fn check_manifest(root: &Extent, facts: &UkiFacts, verdict: &mut Verdict) -> Result<(), VerifyError> {
    match contents::manifest(root) {
        Ok(manifest) if manifest.version == facts.version => {
            verdict.checked.push(format!(
                "{}: {} {} with {} packages",
                root.name(),
                manifest.image_id,
                manifest.version,
                manifest.packages.len()
            ));
        }
        Ok(manifest) => verdict.find(root.name(), format!("it is version {}, its UKI says {}", manifest.version, facts.version)),
        Err(ContentsError::Erofs(ErofsError::Io { object, source })) => return Err(VerifyError::Io { object, source }),
        Err(error) => verdict.find(root.name(), error.to_string()),
    }
    Ok(())
}

fn describe_unused(extents: &[&Extent], verdict: &mut Verdict) -> Result<(), VerifyError> {
    for extent in extents {
        let found = extent.first_nonzero(0).map_err(|source| io_error(extent, source))?;
        verdict.notes.push(match found {
            None => format!("{}: empty", extent.name()),
            Some(at) => format!("{}: not empty (first at byte {at}); nothing signs it", extent.name()),
        });
    }
    Ok(())
}

fn io_error(extent: &Extent, source: io::Error) -> VerifyError {
    VerifyError::Io { object: extent.name().to_owned(), source }
}
