//! `cloud-config schema`.

use std::process::ExitCode;

use super::Ui;

/// Prints the JSON schema of a configuration, for editors.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, _ui: &Ui) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not here yet")
}
