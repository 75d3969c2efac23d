//! `check`: ask the server now.

use std::process::ExitCode;

use super::client::Client;
use super::{Ui, block_on, follow};

/// Ask the server now. Where updates happen by themselves, what is found is installed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater check
  updater check --json | jq -r .result      # up-to-date, available, refused, failed")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    block_on(async {
        let client = Client::connect(ui).await?;
        let number = client.check().await?;
        follow::to_the_end(&client, number, ui).await
    })
}
