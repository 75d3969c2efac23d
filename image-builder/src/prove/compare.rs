//! Finding the first difference between two images, and saying it in terms a person can act on.

use std::fmt;
use std::io;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;

use crate::contents;
use crate::disk::read::{Disk, DiskPartition};
use crate::esp::read::Fat;
use crate::extent::Extent;
use crate::manifest::Manifest;

/// How much is compared at a time, in bytes.
const BLOCK_BYTES: usize = 1 << 20;

/// The first difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// Label of the partition, or `partition table`.
    pub partition: String,
    /// The first file in it that differs, when that can be told.
    pub file: Option<String>,
    /// Offset of the first byte that differs, from the start of the image.
    pub byte: u64,
}

/// What lies outside of every partition.
const TABLE: &str = "partition table";

impl Difference {
    fn place(&self) -> String {
        if self.partition == TABLE { TABLE.to_owned() } else { format!("partition {}", self.partition) }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place())?;
        if let Some(file) = &self.file {
            write!(f, ", file {file}")?;
        }
        write!(f, ", byte {} of the image", self.byte)
    }
}

/// Compares two images byte by byte.
pub fn compare(first: &Path, second: &Path) -> anyhow::Result<Option<Difference>> {
    let open = |path: &Path| Extent::open(path).with_context(|| format!("opening {}", path.display()));
    let (one, two) = (open(first)?, open(second)?);
    let Some(byte) = first_difference(&one, &two).context("comparing the images")? else { return Ok(None) };
    let (Ok(one), Ok(two)) = (Disk::open(first), Disk::open(second)) else {
        return Ok(Some(Difference { partition: TABLE.into(), file: None, byte }));
    };
    let holds = |partition: &&DiskPartition| {
        let start = partition.extent.offset();
        (start..start + partition.extent.len()).contains(&byte)
    };
    let Some(partition) = one.partitions.iter().find(holds) else {
        return Ok(Some(Difference { partition: TABLE.into(), file: None, byte }));
    };
    let label = partition.label.clone();
    let file = match label.as_str() {
        "esp" => esp_file(&one, &two),
        root if root.starts_with("root-") => root_file(&one, &two),
        _ => None,
    };
    Ok(Some(Difference { partition: label, file, byte }))
}

fn first_difference(one: &Extent, two: &Extent) -> io::Result<Option<u64>> {
    let shorter = one.len().min(two.len());
    let (mut a, mut b) = (vec![0; BLOCK_BYTES], vec![0; BLOCK_BYTES]);
    let mut offset = 0;
    while offset < shorter {
        let count = usize::try_from(shorter - offset).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        one.read_at(offset, &mut a[..count])?;
        two.read_at(offset, &mut b[..count])?;
        if a[..count] != b[..count] {
            let inside = a[..count].iter().zip(&b[..count]).position(|(a, b)| a != b).unwrap_or(0);
            return Ok(Some(offset + inside as u64));
        }
        offset += count as u64;
    }
    Ok((one.len() != two.len()).then_some(shorter))
}

fn esp_file(one: &Disk, two: &Disk) -> Option<String> {
    let open = |disk: &Disk| Fat::open(&disk.partition("esp").ok()?.extent).ok();
    let (one, two) = (open(one)?, open(two)?);
    let files = one.list().ok()?;
    files
        .iter()
        .filter(|entry| !entry.is_folder)
        .find(|entry| one.read(&entry.path).ok() != two.read(&entry.path).ok())
        .map(|entry| entry.path.clone())
}

fn root_file(one: &Disk, two: &Disk) -> Option<String> {
    let manifest = |disk: &Disk| contents::manifest(&disk.partition("root-a").ok()?.extent).ok();
    first_file(&manifest(one)?, &manifest(two)?)
}

fn first_file(one: &Manifest, two: &Manifest) -> Option<String> {
    let differing = one.files.iter().zip(&two.files).find(|(a, b)| a != b).map(|(a, b)| a.path.clone().min(b.path.clone()));
    let longer = if one.files.len() > two.files.len() { &one.files } else { &two.files };
    differing.or_else(|| longer.get(one.files.len().min(two.files.len())).map(|file| file.path.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn difference_of(one: &[u8], two: &[u8]) -> Option<Difference> {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, one).unwrap();
        std::fs::write(&b, two).unwrap();
        compare(&a, &b).unwrap()
    }

    #[test]
    fn the_first_differing_byte_is_named() {
        let base = vec![7; BLOCK_BYTES + 10];
        let mut other = base.clone();
        assert_eq!(difference_of(&base, &other), None);
        other[BLOCK_BYTES + 3] = 8;
        let difference = difference_of(&base, &other).unwrap();
        assert_eq!((difference.byte, difference.partition.as_str()), (BLOCK_BYTES as u64 + 3, "partition table"));
        assert_eq!(difference.to_string(), format!("partition table, byte {} of the image", BLOCK_BYTES + 3));
    }

    #[test]
    fn a_shorter_image_differs_where_it_ends() {
        assert_eq!(difference_of(&[1; 600], &[1; 512]).unwrap().byte, 512);
    }
}
