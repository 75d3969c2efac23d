//! Building the same image twice under different conditions and comparing every byte.
//!
//! The two builds differ in folder, time of day, time zone, locale, umask, number of threads and, of course, the
//! moment; they share nothing but the downloaded packages, which are checked against the lock.

mod compare;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

pub use compare::{Difference, compare};

use crate::cmd::Cmd;
use crate::progress::Progress;
use crate::store::Store;

/// What to build twice.
#[derive(Debug)]
pub struct Options<'a> {
    /// The recipe.
    pub recipe: &'a Path,
    /// Its lock.
    pub lock: &'a Path,
    /// Version of the image.
    pub version: &'a str,
    /// Folder with the compiled programs that the recipe may ask for.
    pub programs: Option<&'a Path>,
    /// Signing keys.
    pub keys: &'a Path,
    /// Folder for both builds; several GB, sparse.
    pub work: &'a Path,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// SHA-256 of the first image, in hex.
    pub first: String,
    /// SHA-256 of the second image, in hex.
    pub second: String,
    /// Where they first differ.
    pub difference: Option<Difference>,
}

/// What surrounds one of the builds.
#[derive(Debug)]
struct Conditions {
    folder: &'static str,
    zone: &'static str,
    locale: &'static str,
    umask: &'static str,
    workers: usize,
}

const CONDITIONS: [Conditions; 2] = [
    Conditions { folder: "a", zone: "UTC", locale: "C", umask: "022", workers: 2 },
    Conditions { folder: "second/with a longer name", zone: "Pacific/Kiritimati", locale: "tr_TR.UTF-8", umask: "077", workers: 1 },
];

/// Builds twice and compares.
pub fn prove(options: &Options<'_>, store: &Store, progress: &Progress) -> anyhow::Result<Proof> {
    let mut images = Vec::new();
    for conditions in &CONDITIONS {
        let about =
            format!("TZ={} LC_ALL={} umask {} {} threads", conditions.zone, conditions.locale, conditions.umask, conditions.workers);
        progress.note(format!("building with {about}"));
        images.push(build(options, conditions, store)?);
    }
    let [first, second] = images.try_into().map_err(|_| anyhow::anyhow!("there are two builds"))?;
    let _phase = progress.phase("comparing every byte", 0);
    Ok(Proof { difference: compare(&first, &second)?, first: digest(&first)?, second: digest(&second)? })
}

/// One build in a process, a store and a folder of its own.
fn build(options: &Options<'_>, conditions: &Conditions, store: &Store) -> anyhow::Result<PathBuf> {
    let folder = std::path::absolute(options.work.join(conditions.folder))?;
    if folder.exists() {
        bail!("{} already exists; choose an empty folder for the proof", folder.display());
    }
    let cache = folder.join("cache");
    fs::create_dir_all(&cache).with_context(|| format!("creating {}", cache.display()))?;
    symlink(store.dir().join("blobs"), cache.join("blobs"))?;
    let out = folder.join("out");
    let absolute = |path: &Path| std::path::absolute(path).with_context(|| format!("finding {}", path.display()));
    let programs = match options.programs {
        Some(dir) => vec!["--programs".into(), absolute(dir)?.into_os_string()],
        None => Vec::new(),
    };
    Cmd::new("sh")
        .arg("-c")
        .arg(r#"umask "$0"; exec "$@""#)
        .arg(conditions.umask)
        .arg(std::env::current_exe().context("finding this program")?)
        .arg("build")
        .arg(absolute(options.recipe)?)
        .args(["--version", options.version, "--workers", &conditions.workers.to_string()])
        .arg("--lock")
        .arg(absolute(options.lock)?)
        .arg("--keys")
        .arg(absolute(options.keys)?)
        .arg("--out")
        .arg(&out)
        .args(programs)
        .env("TZ", conditions.zone)
        .env("LC_ALL", conditions.locale)
        .env("SLIPWAY_CACHE", &cache)
        .dir(&folder)
        .run()?;
    let images =
        fs::read_dir(&out)?.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.extension().is_some_and(|end| end == "raw"));
    images.with_context(|| format!("the build left no image in {}", out.display()))
}

fn digest(path: &Path) -> anyhow::Result<String> {
    let content = crate::tree::Content::of_file(path.to_owned()).with_context(|| format!("reading {}", path.display()))?;
    Ok(hex::encode(content.sha256().with_context(|| format!("reading {}", path.display()))?))
}
