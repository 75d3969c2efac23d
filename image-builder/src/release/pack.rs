//! From the output folder of a build to the files of a release.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use payload::{Part, PartName, Release, Version, pack};
use serde::Deserialize;

use crate::progress::Progress;

/// zstd level. The root is compressed inside already; a higher level costs minutes and saves nothing.
const LEVEL: i32 = 3;
/// Name of the description within the release's folder.
pub const DESCRIPTION: &str = "release.json";
/// The largest description of a build, in bytes.
const BUILT_MAX_BYTES: u64 = 1024 * 1024;

/// What the build says of itself (`release.json` of its output folder).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Built {
    id: String,
    variant: String,
    version: String,
    arch: String,
    root_hash: String,
    parts: Vec<BuiltPart>,
}

#[derive(Debug, Deserialize)]
struct BuiltPart {
    name: String,
    size: u64,
    sha256: String,
}

/// What only a person can say of a release.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// Hosts older than this refuse the release.
    pub minimum_version: Option<Version>,
    /// See [`Release::rollback_index`].
    pub rollback_index: u64,
    /// For people.
    pub text: String,
}

/// The file of a part in the build's folder, and in the release's.
fn files(name: PartName) -> (&'static str, &'static str) {
    match name {
        PartName::Root => ("root.erofs", "root.erofs.zst"),
        PartName::Verity => ("root.verity", "root.verity.zst"),
        PartName::Uki => ("slipway.efi", "slipway.efi.zst"),
    }
}

/// Packs the build in `build` into its folder below `targets`; returns the release, and whether it was there already.
///
/// The folder appears when all of it is complete. A version is never used for other bytes.
pub fn pack(build: &Path, targets: &Path, notes: &Notes, progress: &Progress) -> anyhow::Result<(Release, bool)> {
    let built = read_built(build)?;
    let mut release = describe(&built, notes)?;
    let folder = targets.join(release.folder());
    if let Some(there) = existing(&folder)? {
        ensure!(
            same(&there, &built),
            "the repository already has a {} with other content; a version is never used twice: build under a new one",
            release.folder()
        );
        return Ok((there, true));
    }
    fs::create_dir_all(targets).with_context(|| format!("creating {}", targets.display()))?;
    let scratch = tempfile::Builder::new().prefix(".release-").tempdir_in(targets).context("making a folder for the release")?;
    let phase = progress.phase(format!("packing {}", release.folder()), built.parts.iter().map(|part| part.size).sum());
    for name in PartName::ALL {
        release.parts.push(pack_part(build, scratch.path(), name, &built)?);
        phase.advance(release.parts.last().map_or(0, |part| part.size));
    }
    drop(phase);
    release.check().context("the packed release is not one that a host would take")?;
    fs::write(scratch.path().join(DESCRIPTION), release.to_json()).context("writing the description")?;
    readable(scratch.path())?;
    fs::rename(scratch.path(), &folder).with_context(|| format!("renaming the finished release to {}", folder.display()))?;
    let _ = scratch.keep();
    Ok((release, false))
}

/// All files of a release, by target name.
pub fn target_files(targets: &Path, release: &Release) -> Vec<(String, PathBuf)> {
    let names = std::iter::once(DESCRIPTION).chain(PartName::ALL.map(|name| files(name).1));
    names.map(|name| (format!("{}/{name}", release.folder()), targets.join(release.folder()).join(name))).collect()
}

fn read_built(build: &Path) -> anyhow::Result<Built> {
    use std::io::Read;
    let path = build.join("release.json");
    let mut bytes = Vec::new();
    let file = File::open(&path).with_context(|| format!("{} is not the output folder of a build", build.display()))?;
    file.take(BUILT_MAX_BYTES).read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))
}

fn describe(built: &Built, notes: &Notes) -> anyhow::Result<Release> {
    let version: Version = built.version.parse().context("releases need a version that has an order")?;
    if let Some(minimum) = &notes.minimum_version
        && *minimum >= version
    {
        bail!("the minimum version {minimum} is not below the release's own version {version}: no host could take it");
    }
    Ok(Release {
        format: payload::release::FORMAT,
        app_id: payload::app_id(&built.id, &built.variant),
        name: built.id.clone(),
        variant: built.variant.clone(),
        version,
        arch: built.arch.clone(),
        root_hash: built.root_hash.parse().context("the build's root hash")?,
        minimum_version: notes.minimum_version.clone(),
        rollback_index: notes.rollback_index,
        parts: Vec::new(),
        notes: notes.text.clone(),
    })
}

fn existing(folder: &Path) -> anyhow::Result<Option<Release>> {
    match fs::read(folder.join(DESCRIPTION)) {
        Ok(bytes) => Ok(Some(Release::parse(&bytes).with_context(|| format!("reading the release in {}", folder.display()))?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("looking at {}", folder.display())),
    }
}

/// Whether a packed release consists of the parts of this build.
fn same(release: &Release, built: &Built) -> bool {
    PartName::ALL.into_iter().all(|name| {
        let digest = built.parts.iter().find(|part| part.name == files(name).0).map(|part| part.sha256.as_str());
        release.part(name).is_some_and(|part| Some(part.sha256.to_string().as_str()) == digest)
    })
}

fn pack_part(build: &Path, folder: &Path, name: PartName, built: &Built) -> anyhow::Result<Part> {
    let (from, to) = files(name);
    let input = build.join(from);
    let expected = built.parts.iter().find(|part| part.name == from).with_context(|| format!("the build lists no {from}"))?;
    let reader = BufReader::new(File::open(&input).with_context(|| format!("opening {}", input.display()))?);
    let output = File::create(folder.join(to)).with_context(|| format!("creating {to}"))?;
    let packed = pack::pack(reader, BufWriter::new(&output), LEVEL).with_context(|| format!("packing {}", input.display()))?;
    // A power cut after the folder has its name must not leave a file in it that is shorter than what gets signed.
    output.sync_all().with_context(|| format!("writing {to}"))?;
    ensure!(
        packed.sha256.to_string() == expected.sha256,
        "{} is not what the build left there (sha256 {}, expected {}); build again",
        input.display(),
        packed.sha256,
        expected.sha256
    );
    Ok(packed.into_part(name, to))
}

/// Temporary folders are private; a release is for everybody.
fn readable(folder: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).with_context(|| format!("opening {} to readers", folder.display()))
}
