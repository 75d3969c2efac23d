//! The output folder: every result beside the image, each under its final name only when it is complete.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::boot::{Boot, Keys};
use super::key;
use super::root::{Assembled, Root};
use crate::disk;
use crate::manifest::Manifest;
use crate::progress::Progress;

use crate::diff::Diff;
use crate::report::{self, Artefact, Report, Section};
use crate::sbom;

/// Bumped when the same inputs would give other files in the output folder.
const REVISION: u32 = 1;

/// Record of what a build left in its output folder.
const STAMP: &str = "build.json";
const RELEASE: &str = "release.json";
/// The manifest as it is in the image.
pub const MANIFEST: &str = "manifest.json.zst";

/// Everything a build has made.
#[derive(Debug)]
pub struct Results<'a> {
    /// Tree and manifest.
    pub assembled: &'a Assembled,
    /// File systems.
    pub root: &'a Root,
    /// Boot files.
    pub boot: &'a Boot,
    /// [`key()`] of the build.
    pub key: &'a str,
    /// The build to compare with.
    pub against: Option<&'a Manifest>,
}

/// What a release consists of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Release {
    /// Image id.
    pub id: String,
    /// Recipe variant.
    pub variant: String,
    /// Version.
    pub version: String,
    /// Debian architecture.
    pub arch: String,
    /// dm-verity root hash, in hex.
    pub root_hash: String,
    /// The files a slot is made of.
    pub parts: Vec<Artefact>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stamp {
    key: String,
    files: Vec<Stamped>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamped {
    name: String,
    size: u64,
    modified_ns: i128,
}

/// `slipway-vm-1.0.0.raw`.
#[must_use]
pub fn image_name(manifest: &Manifest) -> String {
    format!("{}-{}-{}.raw", manifest.image_id, manifest.variant, manifest.version)
}

/// Stands for everything that shapes the output folder.
#[must_use]
pub fn key(assembled: &Assembled, keys: &Keys, against: Option<&Manifest>) -> String {
    key::of(REVISION, &(&assembled.manifest, &assembled.initrd_files, assembled.epoch, &keys.fingerprint, against))
}

/// Whether `out` holds, untouched, what a build with `key` left there.
#[must_use]
pub fn are_current(out: &Path, key: &str) -> bool {
    let stamp = fs::read(out.join(STAMP)).ok().and_then(|bytes| serde_json::from_slice::<Stamp>(&bytes).ok());
    stamp.is_some_and(|stamp| stamp.key == key && stamp.files.iter().all(|file| stamp_of(out, &file.name).is_ok_and(|now| now == *file)))
}

fn stamp_of(out: &Path, name: &str) -> io::Result<Stamped> {
    use std::os::unix::fs::MetadataExt;
    let meta = fs::metadata(out.join(name))?;
    let modified_ns = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    Ok(Stamped { name: name.to_owned(), size: meta.len(), modified_ns })
}

/// Writes all results; the image comes last but for the record that all of it is complete.
pub fn write(results: &Results<'_>, out: &Path, progress: &Progress) -> anyhow::Result<()> {
    // An earlier record must not vouch for what is being replaced.
    match fs::remove_file(out.join(STAMP)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).context("removing the record of the earlier build"),
        _ => {}
    }
    let manifest = &results.assembled.manifest;
    let mut parts = vec![
        copy_part(&results.root.image, out, "root.erofs")?,
        copy_part(&results.root.verity, out, "root.verity")?,
        copy_part(&results.boot.uki, out, "slipway.efi")?,
    ];
    parts[2].sections = uki_sections(&results.boot.uki)?;
    let release = Release {
        id: manifest.image_id.clone(),
        variant: manifest.variant.clone(),
        version: manifest.version.clone(),
        arch: manifest.arch.clone(),
        root_hash: results.root.hash.to_string(),
        parts: parts.clone(),
    };
    let created = jiff::Timestamp::from_second(results.assembled.epoch).context("the lock's epoch is not a time")?;
    let json = |value: &dyn erased::Json| value.bytes();
    replace(out, RELEASE, &json(&release)?)?;
    replace(out, MANIFEST, &results.assembled.manifest_bytes)?;
    replace(out, "sbom.spdx.json", &json(&sbom::spdx(manifest, created)?)?)?;
    let report = Report::new(manifest, parts);
    replace(out, "report.json", &json(&report)?)?;
    replace(out, "report.html", report::html(&report).as_bytes())?;
    if let Some(before) = results.against {
        for (name, text) in Diff::new(before, manifest).documents()? {
            replace(out, name, text.as_bytes())?;
        }
    }
    let image = image_name(manifest);
    let disk =
        disk::image::Parts { esp: &results.boot.esp, root: &results.root.image, verity: &results.root.verity, oem: None, state: None };
    let phase = progress.phase("writing the disk image", disk.total_bytes());
    disk::image::write(&disk, &manifest.version, &out.join(&image), Some(&phase))?;
    drop(phase);
    let names = ["root.erofs", "root.verity", "slipway.efi", RELEASE, MANIFEST, "sbom.spdx.json", "report.json", "report.html", &image];
    let files = names.iter().map(|name| stamp_of(out, name)).collect::<Result<_, _>>().context("looking at the results")?;
    replace(out, STAMP, &json(&Stamp { key: results.key.to_owned(), files })?)
}

/// Pretty JSON of any serialisable value.
mod erased {
    pub(super) trait Json {
        fn bytes(&self) -> anyhow::Result<Vec<u8>>;
    }

    impl<T: serde::Serialize> Json for T {
        fn bytes(&self) -> anyhow::Result<Vec<u8>> {
            let mut bytes = serde_json::to_vec_pretty(self)?;
            bytes.push(b'\n');
            Ok(bytes)
        }
    }
}

fn uki_sections(uki: &Path) -> anyhow::Result<Vec<Section>> {
    let bytes = fs::read(uki).context("reading the UKI")?;
    let pe = crate::uki::pe::Pe::parse(&bytes)?;
    Ok(pe.sections().iter().map(|section| Section { name: section.name.clone(), size: u64::from(section.virtual_size) }).collect())
}

/// Copies one part and hashes it on the way.
fn copy_part(from: &Path, out: &Path, name: &str) -> anyhow::Result<Artefact> {
    let mut source = File::open(from).with_context(|| format!("reading {}", from.display()))?;
    let mut target = temporary(out, name)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut size = 0;
    loop {
        let count = source.read(&mut buffer).with_context(|| format!("reading {}", from.display()))?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
        target.write_all(&buffer[..count]).with_context(|| format!("writing {name} in {}", out.display()))?;
        size += count as u64;
    }
    publish(target, out, name)?;
    Ok(Artefact { name: name.to_owned(), size, sha256: hex::encode(hasher.finalize()), sections: Vec::new() })
}

fn replace(out: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let mut target = temporary(out, name)?;
    target.write_all(bytes).with_context(|| format!("writing {name} in {}", out.display()))?;
    publish(target, out, name)
}

fn temporary(out: &Path, name: &str) -> anyhow::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new().prefix(&format!(".{name}.")).tempfile_in(out).with_context(|| format!("creating {name} in {}", out.display()))
}

fn publish(file: tempfile::NamedTempFile, out: &Path, name: &str) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let target: PathBuf = out.join(name);
    // Temporary files are private; results are for everybody.
    file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    file.persist(&target).with_context(|| format!("renaming to {}", target.display()))?;
    Ok(())
}
