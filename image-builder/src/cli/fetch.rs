//! `image-builder fetch`: fills the cache, so that builds work offline.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::Ui;
use super::archive_args::ArchiveArgs;
use crate::build;
use crate::lock::{self, Lock, lock_path};
use crate::progress::bytes;
use crate::recipe;
use crate::store::Store;

const EXAMPLES: &str = "Examples:
  image-builder fetch recipes/vm.toml
      download what recipes/vm.lock names; builds then need no network
  image-builder fetch recipes/vm.toml --install
      install it as well, while Slipway's own programs are still being compiled";

/// Downloads and checks everything that the lock of a recipe names.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The recipe; its lock lies beside it.
    recipe: PathBuf,
    /// Installs and configures the packages as well, so that builds only put the image together.
    #[arg(long)]
    install: bool,
    #[command(flatten)]
    archives: ArchiveArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    packages: usize,
    downloaded_packages: usize,
    downloaded_bytes: u64,
}

/// Runs the subcommand.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let recipe = recipe::load(&args.recipe)?;
    let lock = Lock::load(&lock_path(&args.recipe), &recipe)?;
    let store = Store::open(None)?;
    let fetched = lock::fetch(&lock, &store, &args.archives.options(), &ui.progress)?;
    let packages = lock::verify_blobs(&lock, &store, &ui.progress)?.len();
    if args.install {
        build::prepare(&recipe, &lock, &store, &ui.progress)?;
    }
    if ui.json {
        ui.data(&Report { packages, downloaded_packages: fetched.packages, downloaded_bytes: fetched.bytes })?;
    } else {
        let new = format!("{} of them new, {}", fetched.packages, bytes(fetched.bytes));
        ui.progress.note(format!("{packages} packages are in {} and as the lock names them ({new})", store.dir().display()));
    }
    Ok(ExitCode::SUCCESS)
}
