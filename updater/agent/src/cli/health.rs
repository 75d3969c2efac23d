//! `health`: the health gate.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::{EXIT_FAILED, Ui, block_on};
use crate::config::{self, Settings};
use crate::health::{self, Gate};

/// The updater's own folder.
const STATE: &str = "/var/lib/slipway/updater";

/// Run the health gate: is this machine doing its work? systemd does this in every boot.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater health
  updater health --json | jq '.checks[] | select(.passed | not)'
  updater health --report /run/updater/health.json")]
pub(super) struct Args {
    /// Also write the result to this file, for the daemon.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let settings = config::load("/".as_ref()).map_or_else(
        |error| {
            ui.note(format!("the configuration is wrong, so the usual checks are made: {error}"));
            Settings::default()
        },
        |loaded| loaded.settings,
    );
    let mut gate = Gate::new(settings.health);
    gate.ignore.extend(health::before::recall(STATE.as_ref()));
    let report = block_on(async { Ok(Box::pin(health::run(&gate)).await) })?;
    if let Some(path) = &args.report {
        health::write(path, &report).with_context(|| format!("writing {}", path.display()))?;
    }
    if ui.json {
        ui.data(&report)?;
    } else {
        for check in &report.checks {
            let verdict = if check.passed { ui.styled("32", "passed") } else { ui.styled("31", "FAILED") };
            ui.line(format!("{verdict} {} ({} ms) {}", check.name, check.millis, check.detail));
        }
    }
    if let Some(cause) = report.cause.as_ref().filter(|_| !report.passed) {
        ui.note(format!("error: {cause}"));
    }
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::from(EXIT_FAILED) })
}
