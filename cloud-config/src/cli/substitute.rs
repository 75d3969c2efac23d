//! `cloud-config substitute`.

use std::process::ExitCode;

use super::Ui;

/// Prints a configuration with its addresses filled in.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, _ui: &Ui) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not here yet")
}
