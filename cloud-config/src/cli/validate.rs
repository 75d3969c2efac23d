//! `cloud-config validate`.

use std::process::ExitCode;

use super::Ui;

/// Finds every mistake in a configuration before a machine boots with it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, _ui: &Ui) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not here yet")
}
