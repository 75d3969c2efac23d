//! `convert`: the image in another format.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Ui;
use crate::convert::{Format, Overwrite, convert, default_out};

/// Convert a raw disk image for a hypervisor or a download page.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  image-builder convert out/slipway-vm-1.0.0.raw --to qcow2
  image-builder convert out/slipway-metal-1.0.0.raw --to raw.zst --out /srv/www/slipway.raw.zst --force")]
pub struct Args {
    /// Raw disk image made by `build`.
    image: PathBuf,
    /// Format of the result.
    #[arg(long, value_enum)]
    to: Format,
    /// Where to write it; beside the image by default.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Replace an existing file.
    #[arg(long)]
    force: bool,
}

/// Runs `convert`.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let out = args.out.clone().unwrap_or_else(|| default_out(&args.image, args.to));
    let overwrite = if args.force { Overwrite::Replace } else { Overwrite::Refuse };
    convert(&args.image, args.to, &out, overwrite, &ui.progress)?;
    if ui.json {
        ui.data(&serde_json::json!({ "path": out, "format": args.to.extension(), "size-bytes": out.metadata()?.len() }))?;
    } else {
        ui.line(out.display().to_string());
    }
    Ok(ExitCode::SUCCESS)
}
