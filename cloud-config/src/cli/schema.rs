//! `cloud-config schema`.

use std::process::ExitCode;

use super::Ui;
use crate::model::schema;

/// Prints the JSON schema of a configuration, for editors.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cloud-config schema > cloud-config.schema.json")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    ui.data(&schema::document())?;
    Ok(ExitCode::SUCCESS)
}
