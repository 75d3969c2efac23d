//! `image-builder build`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::Ui;
use super::archive_args::ArchiveArgs;
use crate::build::{self, Options, StaleLock};
use crate::lock::lock_path;
use crate::progress::bytes;
use crate::store::Store;

/// Build a signed disk image from a recipe and its lock
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    image-builder build recipes/vm.toml --version 1.0.0 --keys keys --out out/vm\n  \
    image-builder build recipes/vm.toml --version 1.0.1 --keys keys --out out/vm-1.0.1 --against out/vm")]
pub struct Args {
    /// The recipe; its lock lies beside it
    recipe: PathBuf,
    /// Version of the image, e.g. 1.0.0
    #[arg(long, value_name = "VERSION")]
    version: String,
    /// Folder with the signing keys, made by `keygen`
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// Folder with Slipway's own programs, compiled for the image (see `make programs`)
    #[arg(long, value_name = "DIR", env = "SLIPWAY_PROGRAMS")]
    programs: Option<PathBuf>,
    /// Folder for the results; made when absent
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Another lock than the one beside the recipe
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// What to do when the archive no longer serves what the lock names
    #[arg(long, value_enum, default_value_t = StaleLock::Fail)]
    stale_lock: StaleLock,
    /// An earlier build (folder, manifest or image); writes changes.txt and changes.json
    #[arg(long, value_name = "BUILD")]
    against: Option<PathBuf>,
    /// Threads for compression; the result does not depend on it
    #[arg(long, value_name = "N", default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    workers: usize,
    #[command(flatten)]
    archives: ArchiveArgs,
}

/// Runs the subcommand.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let lock = args.lock.clone().unwrap_or_else(|| lock_path(&args.recipe));
    let store = Store::open(None)?;
    let options = Options {
        recipe: &args.recipe,
        lock: &lock,
        version: &args.version,
        keys: &args.keys,
        programs: args.programs.as_deref(),
        out: &args.out,
        workers: args.workers,
        stale_lock: args.stale_lock,
        archives: args.archives.options(),
        against: args.against.as_deref(),
    };
    let built = build::build(&options, &store, &ui.progress)?;
    let size = std::fs::metadata(args.out.join("root.erofs")).context("looking at the root image")?.len();
    if ui.json {
        ui.data(&serde_json::json!({ "image": built.image, "version": built.manifest.version, "unchanged": built.unchanged, "root-bytes": size }))?;
    } else {
        let unchanged = if built.unchanged { " (nothing changed)" } else { "" };
        ui.line(format!(
            "{}{unchanged}: root {}, {} packages",
            ui.bold(&built.image.display().to_string()),
            bytes(size),
            built.manifest.packages.len()
        ));
    }
    Ok(ExitCode::SUCCESS)
}
