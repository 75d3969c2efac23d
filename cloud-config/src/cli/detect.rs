//! `cloud-config detect`.

use std::process::ExitCode;

use super::Ui;

/// Says which data source this machine has, and why.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, _ui: &Ui) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not here yet")
}
