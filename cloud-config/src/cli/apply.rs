//! `cloud-config apply`.

use std::process::ExitCode;

use super::Ui;

/// Makes the host what the configuration says.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, _ui: &Ui) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not here yet")
}
