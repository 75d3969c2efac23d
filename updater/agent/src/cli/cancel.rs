//! `cancel`: stop what is under way.

use std::process::ExitCode;

use super::client::Client;
use super::{Ui, block_on};

/// Stop what is under way; a staged release is discarded.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater cancel                 # the next regular check may find the release again
  updater cancel --json")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    block_on(async {
        Client::connect(ui).await?.cancel().await?;
        if ui.json {
            return ui.data(&serde_json::json!({ "result": "cancelled" })).map(|()| ExitCode::SUCCESS);
        }
        ui.line("cancelled; the next regular check may find the release again");
        Ok(ExitCode::SUCCESS)
    })
}
