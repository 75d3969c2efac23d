//! From a recipe to an image, in steps that are done once.
//!
//! | step | from | to | cached |
//! | --- | --- | --- | --- |
//! | [`base::tools`] | tools of the lock | unpacked tools tree | yes |
//! | [`base::base`] | packages of the lock, accounts, kernel modules | configured root as an archive | yes |
//! | [`root::assemble`] | base, recipe trees and settings, version | finished tree and manifest, in memory | |
//! | [`root::root`] | finished tree | EROFS, verity tree, kernel, initrd | yes |
//! | [`boot`] | root hash, kernel, initrd, keys | signed UKI, addons, loader, ESP | |
//! | [`outputs`] | everything | image, release.json, SBOM, reports in the output folder | |

pub mod base;
pub mod boot;
pub mod key;
pub mod outputs;
mod programs;
pub mod root;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::lock::{self, ArchiveOptions, FetchError, Lock};
use crate::manifest::Manifest;
use crate::progress::Progress;
use crate::recipe::{self, Recipe};
use crate::store::Store;

/// The longest version, in bytes: it has to fit into labels and file names with room for prefixes.
const VERSION_MAX: usize = 64;

/// What to build, from what, to where.
#[derive(Debug)]
pub struct Options<'a> {
    /// The recipe.
    pub recipe: &'a Path,
    /// The lock; beside the recipe unless told otherwise.
    pub lock: &'a Path,
    /// Version of the image, e.g. `1.0.0`.
    pub version: &'a str,
    /// Folder made by `keygen`.
    pub keys: &'a Path,
    /// Folder with the compiled programs that the recipe may ask for.
    pub programs: Option<&'a Path>,
    /// Folder for the results.
    pub out: &'a Path,
    /// Threads for compression; the bytes do not depend on it.
    pub workers: usize,
    /// What to do when the archive no longer serves what the lock names.
    pub stale_lock: StaleLock,
    /// Where packages come from.
    pub archives: ArchiveOptions,
    /// An earlier build; what changed since is written beside the results.
    pub against: Option<&'a Path>,
}

/// What to do when the archive no longer serves what the lock names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StaleLock {
    /// Name the packages and stop.
    Fail,
    /// Resolve anew into the output folder and build from that; the lock beside the recipe stays as it is.
    Refresh,
}

/// Name of the lock that [`StaleLock::Refresh`] writes into the output folder.
const FRESH_LOCK: &str = "fresh.lock";

/// What was built.
#[derive(Debug)]
pub struct Built {
    /// The disk image.
    pub image: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
    /// Nothing had to be done.
    pub unchanged: bool,
}

/// Loads a recipe and its lock, checking that they belong together.
pub fn load(recipe: &Path, lock_file: &Path) -> anyhow::Result<(Recipe, Lock)> {
    let recipe = recipe::load(recipe)?;
    let lock = Lock::load(lock_file, &recipe)?;
    Ok((recipe, lock))
}

/// Does beforehand what a build takes from recipe and lock alone: unpacks the tools, installs and configures the packages. They have to be
/// in the store.
///
/// # Errors
/// A package is not in the store, or does not install.
pub fn prepare(recipe: &Recipe, lock: &Lock, store: &Store, progress: &Progress) -> anyhow::Result<()> {
    base::tools(lock, store, progress)?;
    base::base(recipe, lock, store, progress)?;
    Ok(())
}

/// Builds an image. Results appear in the output folder under their final names only when they are complete.
pub fn build(options: &Options<'_>, store: &Store, progress: &Progress) -> anyhow::Result<Built> {
    check_version(options.version)?;
    let keys = boot::Keys::load(options.keys)?;
    let against = options.against.map(crate::manifest::source::load_manifest).transpose().context("loading the build to compare with")?;
    let (recipe, lock) = load(options.recipe, options.lock)?;
    std::fs::create_dir_all(options.out).with_context(|| format!("creating the output folder {}", options.out.display()))?;
    let lock = fetch(&recipe, lock, options, store, progress)?;
    let (tools, _tools_in_use) = base::tools(&lock, store, progress)?;
    let base = base::base(&recipe, &lock, store, progress)?;
    let assembled = root::assemble(&recipe, &lock, &base, &keys.root, options, progress)?;
    let image = options.out.join(outputs::image_name(&assembled.manifest));
    let key = outputs::key(&assembled, &keys, against.as_ref());
    if outputs::are_current(options.out, &key) {
        return Ok(Built { image, manifest: assembled.manifest, unchanged: true });
    }
    let root = root::root(&recipe, &assembled, &tools, store, options, progress)?;
    let boot = boot::make(&assembled, &root, &tools, &keys, options, progress)?;
    outputs::write(
        &outputs::Results { assembled: &assembled, root: &root, boot: &boot, key: &key, against: against.as_ref() },
        options.out,
        progress,
    )?;
    Ok(Built { image, manifest: assembled.manifest, unchanged: false })
}

/// Brings the packages of the lock here, or those of a fresh one when the archive has moved on and the caller wants that.
fn fetch(recipe: &Recipe, lock: Lock, options: &Options<'_>, store: &Store, progress: &Progress) -> anyhow::Result<Lock> {
    let gone = match lock::fetch(&lock, store, &options.archives, progress) {
        Ok(_) => return Ok(lock),
        Err(FetchError::Gone { packages }) if options.stale_lock == StaleLock::Refresh => packages,
        Err(error) => return Err(error.into()),
    };
    progress.note(format!("the archive no longer serves {} of the lock; resolving anew (the lock itself stays as it is)", gone.join(", ")));
    let fresh = lock::resolve(recipe, store, &options.archives, progress)?;
    fresh.write(&options.out.join(FRESH_LOCK))?;
    lock::fetch(&fresh, store, &options.archives, progress)?;
    Ok(fresh)
}

/// Versions appear in file names, labels and os-release, so they are kept plain.
fn check_version(version: &str) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-+~".contains(c);
    if version.is_empty()
        || version.len() > VERSION_MAX
        || !version.chars().all(plain)
        || !version.starts_with(|c: char| c.is_ascii_digit())
    {
        bail!("`{version}` is not a version; write one like 1.0.0: a digit, then at most {VERSION_MAX} letters, digits and .-+~");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_version;

    #[test]
    fn versions_are_plain() {
        for good in ["1.0.0", "2026.11.20", "1.0.0-rc.1", "3~beta+5"] {
            assert!(check_version(good).is_ok(), "{good}");
        }
        for bad in ["", "v1", "1.0/2", "1 0", "1.0\n", "../1", "1\"", &"1".repeat(65)] {
            assert!(check_version(bad).is_err(), "{bad:?}");
        }
    }
}
