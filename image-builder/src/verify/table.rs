//! The partition table: the partitions of the design, and no byte of the table's sectors that the builder did not write.

use crate::disk::layout::{self, ALIGNMENT_BYTES, PARTITIONS, SECTOR_BYTES};
use crate::disk::{Disk, image};
use crate::extent::Extent;
use crate::verify::{Verdict, VerifyError};

/// Compares partitions with the design: number, label, type, place, size, attributes.
pub(super) fn check_layout(disk: &Disk, verdict: &mut Verdict) {
    let place = "partition table";
    for spec in PARTITIONS {
        let Some(partition) = disk.partitions.iter().find(|partition| partition.number == spec.number) else {
            verdict.find(place, format!("partition {} ({}) is missing", spec.number, spec.label));
            continue;
        };
        let facts = [
            ("label", partition.label.clone(), spec.label.to_owned()),
            ("type", partition.kind.to_string(), spec.kind.to_string()),
            ("start", partition.extent.offset().to_string(), spec.start_bytes().to_string()),
            ("size", partition.extent.len().to_string(), spec.size_bytes.to_string()),
            ("attributes", format!("{:#x}", partition.attributes.0), format!("{:#x}", spec.attributes.0)),
        ];
        for (what, actual, expected) in facts {
            if actual != expected {
                verdict.find(place, format!("partition {} ({}): {what} is {actual}, not {expected}", spec.number, spec.label));
            }
        }
    }
    for partition in disk.partitions.iter().filter(|partition| partition.number as usize > PARTITIONS.len()) {
        verdict.find(place, format!("partition {} ({}) does not belong there", partition.number, partition.label));
    }
}

/// The bytes of the partition labelled `label`; the layout has been checked, so it is there.
pub(super) fn partition<'a>(disk: &'a Disk, label: &str) -> Option<&'a Extent> {
    disk.partition(label).ok().map(|partition| &partition.extent)
}

/// The places of a table inside the first and the last mebibyte, in sectors from their start.
const HEAD: [(&str, u64, u64); 4] =
    [("protective MBR", 0, 1), ("primary header", 1, 1), ("primary entries", 2, 32), ("unused space before the first partition", 34, 2014)];
const TAIL: [(&str, u64, u64); 3] =
    [("unused space behind the last partition", 0, 2015), ("backup entries", 2015, 32), ("backup header", 2047, 1)];

/// Compares every byte before the first and behind the last partition with what the builder writes for `version`.
pub(super) fn check_bytes(disk: &Disk, version: &str, verdict: &mut Verdict) -> Result<(), VerifyError> {
    let scratch = |source| VerifyError::Io { object: "a temporary file".into(), source };
    let mut file = tempfile::NamedTempFile::new().map_err(scratch)?;
    file.as_file().set_len(layout::image_bytes()).map_err(scratch)?;
    if let Err(reason) = image::write_table(file.as_file_mut(), version) {
        return Err(scratch(std::io::Error::other(reason)));
    }
    let expected = Extent::open(file.path()).map_err(scratch)?;
    let before = verdict.findings.len();
    for (from, places) in [(0, &HEAD[..]), (layout::image_bytes() - ALIGNMENT_BYTES, &TAIL[..])] {
        for (place, first, sectors) in places {
            let (at, len) = (from + first * SECTOR_BYTES, (sectors * SECTOR_BYTES) as usize);
            let actual =
                disk.extent.read_vec(at, len).map_err(|source| VerifyError::Io { object: disk.extent.name().to_owned(), source })?;
            let good = expected.read_vec(at, len).map_err(scratch)?;
            if let Some(offset) = actual.iter().zip(good).position(|(actual, good)| *actual != good) {
                verdict.find(
                    format!("partition table, {place}"),
                    format!("byte {} of the image is not what version {version} has", at + offset as u64),
                );
            }
        }
    }
    if verdict.findings.len() == before {
        verdict.checked.push(format!("partition table: every byte and GUID as version {version} has it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_named_places_cover_both_ends() {
        for places in [&HEAD[..], &TAIL[..]] {
            let mut next = 0;
            for (place, first, sectors) in places {
                assert_eq!(*first, next, "{place}");
                next += sectors;
            }
            assert_eq!(next * SECTOR_BYTES, ALIGNMENT_BYTES);
        }
    }
}
