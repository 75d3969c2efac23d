//! `cloud-config plan`.

use std::process::ExitCode;

use super::Ui;

/// Shows what applying a configuration would do, in order.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, _ui: &Ui) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not here yet")
}
