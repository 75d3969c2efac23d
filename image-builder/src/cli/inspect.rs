//! `inspect`: what is in an image.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Ui;
use crate::inspect::{FileReport, Report, SlotReport, inspect};
use crate::progress::bytes;

/// Show what is in a disk image: partitions, boot files, signatures, root hashes, packages.
///
/// Nothing is verified; use `verify` for that.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  image-builder inspect slipway.raw\n  image-builder inspect --packages slipway.raw\n  \
image-builder --json inspect slipway.raw | jq '.slots[0].os.version'")]
pub struct Args {
    /// The raw disk image.
    image: PathBuf,
    /// List every package.
    #[arg(long)]
    packages: bool,
}

/// Runs the subcommand.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let report = inspect(&args.image)?;
    if ui.json {
        ui.data(&report)?;
    } else {
        show(&report, args.packages, ui);
    }
    Ok(ExitCode::SUCCESS)
}

fn show(report: &Report, packages: bool, ui: &Ui) {
    ui.line(format!("{}  {}, disk {}", ui.bold("Disk"), bytes(report.size_bytes), report.disk_guid));
    for partition in &report.partitions {
        let state = if partition.is_empty { "empty" } else { "" };
        ui.line(
            format!("  {}  {:<14} {:>9}  {}  {state}", partition.number, partition.label, bytes(partition.size_bytes), partition.guid)
                .trim_end(),
        );
    }
    ui.line(format!("\n{}", ui.bold("EFI system partition")));
    report.files.iter().for_each(|file| show_file(file, ui));
    report.slots.iter().for_each(|slot| show_slot(slot, packages, ui));
}

fn show_file(file: &FileReport, ui: &Ui) {
    ui.line(format!("  {}  {}", file.path, bytes(file.size_bytes)));
    if let Some(signer) = &file.signer {
        ui.line(format!("      signed by `{}`, certificate {}", signer.common_name, signer.certificate_sha256));
    }
    if let Some(cmdline) = &file.cmdline {
        ui.line(format!("      command line: {cmdline}"));
    }
    if !file.sections.is_empty() {
        let sections: Vec<_> = file.sections.iter().map(|section| format!("{} {}", section.name, bytes(section.size_bytes))).collect();
        ui.line(format!("      sections: {}", sections.join(", ")));
    }
}

fn show_slot(slot: &SlotReport, packages: bool, ui: &Ui) {
    ui.line(format!("\n{}", ui.bold(&format!("Slot {}", slot.slot))));
    if let Some(hash) = &slot.root_hash {
        ui.line(format!("  root hash  {hash}"));
    }
    if let Some(os) = &slot.os {
        ui.line(format!("  system     {} {} ({}, {})", os.image_id, os.version, os.variant, os.arch));
        ui.line(format!("  kernel     {}", os.kernel));
        ui.line(format!("  packages   {}", os.packages.len()));
        for package in os.packages.iter().filter(|_| packages) {
            ui.line(format!("    {} {}", package.name, package.version));
        }
    }
    if let Some(problem) = &slot.problem {
        ui.line(format!("  problem    {problem}"));
    } else if slot.root_hash.is_none() {
        ui.line("  empty");
    }
}
