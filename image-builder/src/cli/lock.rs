//! `image-builder lock`: from a recipe to the exact packages.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::Ui;
use super::archive_args::ArchiveArgs;
use crate::lock::{self, Lock, LockDiff, LockError, lock_path};
use crate::progress::bytes;
use crate::recipe;
use crate::store::Store;

const EXAMPLES: &str = "Examples:
  image-builder lock recipes/vm.toml
      write recipes/vm.lock; an existing lock that fits the recipe is kept
  image-builder lock --refresh recipes/vm.toml
      take the newest packages of the archive";

/// Resolves a recipe to exact packages and writes them to a lock beside it (vm.toml -> vm.lock).
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The recipe.
    recipe: PathBuf,
    /// Resolve anew even though the lock fits the recipe.
    #[arg(long)]
    refresh: bool,
    /// Show what would change and write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    archives: ArchiveArgs,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Report {
    lock: PathBuf,
    /// The existing lock fits and was kept.
    kept: bool,
    written: bool,
    packages: usize,
    tools: usize,
    download_bytes: u64,
    #[serde(flatten)]
    changes: LockDiff,
}

/// Runs the subcommand.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let recipe = recipe::load(&args.recipe)?;
    let path = lock_path(&args.recipe);
    if !args.refresh {
        match Lock::load(&path, &recipe) {
            Ok(current) => return report(ui, Report { kept: true, ..Report::of(path, &current, LockDiff::default()) }),
            Err(LockError::Absent { .. } | LockError::Stale { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let old = match Lock::read(&path) {
        Ok(old) => Some(old),
        Err(LockError::Absent { .. }) => None,
        Err(error) => {
            ui.progress.note(format!("warning: the old lock is replaced without a comparison: {error}"));
            None
        }
    };
    let store = Store::open(None)?;
    let new = lock::resolve(&recipe, &store, &args.archives.options(), &ui.progress)?;
    if !args.dry_run {
        new.write(&path)?;
    }
    let changes = LockDiff::between(old.as_ref(), &new);
    report(ui, Report { written: !args.dry_run, ..Report::of(path, &new, changes) })
}

impl Report {
    fn of(lock: PathBuf, content: &Lock, changes: LockDiff) -> Self {
        let (packages, tools) = (content.packages.len(), content.tools.len());
        Self {
            lock,
            kept: false,
            written: false,
            packages,
            tools,
            download_bytes: content.all().map(|package| package.size).sum(),
            changes,
        }
    }
}

fn report(ui: &Ui, report: Report) -> anyhow::Result<ExitCode> {
    if ui.json {
        ui.data(&report)?;
        return Ok(ExitCode::SUCCESS);
    }
    for change in report.changes.added.iter().chain(&report.changes.removed).chain(&report.changes.updated) {
        ui.line(change.to_string());
    }
    let what = match (report.kept, report.written, report.changes.is_empty()) {
        (true, ..) => "fits the recipe and is kept; --refresh takes the newest packages".to_owned(),
        (_, false, _) => "is left as it is (dry run)".to_owned(),
        (_, true, true) => "is up to date: no package changed".to_owned(),
        (_, true, false) => format!(
            "is written: {} added, {} removed, {} updated",
            report.changes.added.len(),
            report.changes.removed.len(),
            report.changes.updated.len()
        ),
    };
    let size = bytes(report.download_bytes);
    ui.progress.note(format!("{} {what} ({} packages, {} tools, {size})", report.lock.display(), report.packages, report.tools));
    Ok(ExitCode::SUCCESS)
}
