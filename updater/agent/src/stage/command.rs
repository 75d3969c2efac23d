//! `updater internal-stage`: writes a release into a folder's files or a slot's partitions, for measurements.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use payload::Release;

use super::{DiskSlot, Places, stage};
use crate::daemon::host::{Access, Slot};
use crate::sandbox::FetchedFrames;
use crate::sandbox::Workers;
use crate::sandbox::fetch::Limits;

/// Write a release without verifying who signed it. Nothing else in the updater can do that.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The release's description.
    #[arg(long, value_name = "FILE")]
    release: PathBuf,
    /// Folder URL of its files.
    #[arg(long, value_name = "URL")]
    base: String,
    /// Folder with `root-a`, `root-b` and their hash trees, files or links to partitions.
    #[arg(long, value_name = "DIR")]
    partitions: PathBuf,
    /// Folder that stands for the ESP.
    #[arg(long, value_name = "DIR")]
    esp: PathBuf,
    /// Run the fetcher in a process of its own, as in production, for honest memory figures.
    #[arg(long)]
    separate: bool,
}

/// Does it, as a machine that runs from slot a.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let bytes = std::fs::read(&args.release).with_context(|| format!("reading {}", args.release.display()))?;
    let release = Release::parse(&bytes).with_context(|| format!("reading {}", args.release.display()))?;
    let places = Places { partitions: args.partitions.clone(), esp: args.esp.clone() };
    let slot = DiskSlot::new(crate::disk::linux(), places, Slot::A, Slot::B)?;
    let access = Access { server: args.base.clone(), ..Access::default() };
    let workers = if args.separate { Workers::Children } else { Workers::InProcess(Limits::default()) };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let lease = Arc::new(tokio::sync::Mutex::new(())).lock_owned().await;
        let mut frames = FetchedFrames::new(&workers, &access, vec![format!("{}/", args.base.trim_end_matches('/'))]);
        Ok(stage(Box::new(slot), lease, &release, &mut frames, |_, _| {}).await?)
    })
}
