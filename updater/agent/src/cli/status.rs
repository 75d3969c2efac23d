//! `status`: where the updater is.

use std::process::ExitCode;

use super::client::Client;
use super::{Ui, block_on};
use crate::machine::Status;

/// Show what runs, what is under way and what went wrong last.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater status
  updater status --json | jq -r .state")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let status = block_on(async { Client::connect(ui).await?.status().await })?;
    if ui.json {
        ui.data(&status)?;
    } else {
        for (name, value) in rows(&status) {
            ui.line(format!("{} {value}", ui.bold(&format!("{:<12}", format!("{name}:")))));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Name and value of each line.
pub(super) fn rows(status: &Status) -> Vec<(&'static str, String)> {
    let slot = match status.committed_slot {
        Some(committed) if committed == status.slot => format!("slot {}, the default", status.slot),
        _ => format!("slot {}, not the default", status.slot),
    };
    let mut rows = vec![("state", status.state.clone()), ("version", format!("{} ({slot})", status.version))];
    if let Some(version) = &status.other_version {
        rows.push(("other slot", version.to_string()));
    }
    if let Some(version) = &status.available {
        rows.push(("available", version.to_string()));
    }
    if let Some(progress) = status.progress.filter(|progress| progress.total > 0) {
        rows.push(("progress", format!("{} %", progress.done.saturating_mul(100) / progress.total)));
    }
    if let Some(waiting) = &status.waiting {
        let until = waiting.until.map(|until| format!(" (until {until})")).unwrap_or_default();
        rows.push(("waiting for", format!("{}{until}", waiting.text)));
    }
    rows.push(("group", status.group.clone()));
    rows.push(("checked", status.last_checked.map_or_else(|| "never".to_owned(), |at| at.to_string())));
    rows.push(("next check", next_check(status)));
    for entry in &status.quarantine {
        rows.push(("quarantine", format!("{}: {}", entry.version, entry.cause)));
    }
    if let Some(error) = &status.metadata_error {
        rows.push(("ALARM", error.clone()));
    }
    if let Some(error) = &status.last_error {
        rows.push(("last error", error.clone()));
    }
    if let Some(error) = &status.configuration_error {
        rows.push(("configuration", format!("not used: {error}")));
    }
    rows
}

/// When the server is asked next, or why that is not known.
fn next_check(status: &Status) -> String {
    let reason = match (&status.next_check, status.state.as_str()) {
        (Some(at), _) => return at.to_string(),
        (None, "waiting-for-reboot" | "rebooting" | "staged" | "leaving-trial") => "after the reboot",
        (None, "idle" | "rolled-back") if !status.enabled => "not planned: `enabled = false`",
        (None, "idle" | "rolled-back") => "not planned: no server is configured",
        (None, _) => "when this is done",
    };
    reason.to_owned()
}
