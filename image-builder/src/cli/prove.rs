//! `image-builder prove`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::{EXIT_NO, Ui};
use crate::lock::lock_path;
use crate::prove::{self, Options};
use crate::store::Store;

/// Build twice under different conditions and say whether every byte is the same
///
/// The builds differ in folder, time zone, locale, umask and number of threads, and share only the downloaded packages.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    image-builder prove recipes/vm.toml --version 1.0.0 --keys keys\n  \
    image-builder prove recipes/vm.toml --version 1.0.0 --keys keys --work /var/tmp/proof --json\n\n\
    Exit status: 0 identical; 3 different; 1 a build failed.")]
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
    /// Another lock than the one beside the recipe
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Keep both builds in this folder; without it they are removed at the end
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let lock = args.lock.clone().unwrap_or_else(|| lock_path(&args.recipe));
    let temporary = match args.work {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("slipway-proof-").tempdir().context("making a folder for the proof")?),
    };
    let work = args.work.clone().or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned())).unwrap_or_default();
    let programs = args.programs.as_deref();
    let options = Options { recipe: &args.recipe, lock: &lock, version: &args.version, programs, keys: &args.keys, work: &work };
    let proof = prove::prove(&options, &Store::open(None)?, &ui.progress)?;
    if ui.json {
        ui.data(&proof)?;
    } else {
        match &proof.difference {
            None => ui.line(format!("{}: sha256 {}", ui.bold("identical"), proof.first)),
            Some(difference) => ui.line(format!("{} at {difference}", ui.bold("different"))),
        }
    }
    Ok(if proof.difference.is_none() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NO) })
}
