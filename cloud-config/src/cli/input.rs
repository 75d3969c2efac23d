//! What several subcommands read: documents, metadata, lists of units.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;

use crate::check::ImageUnits;
use crate::document;
use crate::metadata::Metadata;

/// Longest file of metadata or units, in bytes.
const MAX_INPUT_BYTES: u64 = 4 * 1024 * 1024;
/// Where an image keeps its units, below its root.
const UNIT_FOLDERS: [&str; 2] = ["usr/lib/systemd/system", "etc/systemd/system"];
/// What standard input is called in messages.
const STANDARD_INPUT: &str = "(standard input)";

/// Reads a document; `-` is standard input. One byte more than allowed is read, so that the limit can be told.
pub(super) fn document(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let limit = document::MAX_BYTES as u64 + 1;
    if path == Path::new("-") {
        let bytes = bounded(std::io::stdin().lock(), limit).context("reading standard input")?;
        return Ok((STANDARD_INPUT.to_owned(), bytes));
    }
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let bytes = bounded(file, limit).with_context(|| format!("reading {}", path.display()))?;
    Ok((path.display().to_string(), bytes))
}

/// Reads `--metadata`.
pub(super) fn metadata(path: &Path) -> anyhow::Result<Metadata> {
    let file = File::open(path).with_context(|| format!("opening metadata {}", path.display()))?;
    let bytes = bounded(file, MAX_INPUT_BYTES).with_context(|| format!("reading metadata {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("metadata {} is not what is expected", path.display()))
}

/// Reads `--image-units`: a list with one name per line, or the root folder of an image.
pub(super) fn units(path: &Path) -> anyhow::Result<ImageUnits> {
    if !path.is_dir() {
        let file = File::open(path).with_context(|| format!("opening the list of units {}", path.display()))?;
        let bytes = bounded(file, MAX_INPUT_BYTES).with_context(|| format!("reading the list of units {}", path.display()))?;
        return Ok(ImageUnits::from_list(&String::from_utf8_lossy(&bytes)));
    }
    let mut names = Vec::new();
    for folder in UNIT_FOLDERS.map(|folder| path.join(folder)).iter().filter(|folder| folder.is_dir()) {
        for entry in std::fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
            names.push(entry.with_context(|| format!("listing {}", folder.display()))?.file_name().to_string_lossy().into_owned());
        }
    }
    anyhow::ensure!(!names.is_empty(), "{} is not the root of an image: it has no {}", path.display(), UNIT_FOLDERS[0]);
    Ok(ImageUnits::from_names(names))
}

fn bounded(reader: impl Read, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}
