//! `reboot`: reboot into what is staged.

use std::process::ExitCode;

use super::client::Client;
use super::{Ui, block_on};

/// Reboot into the staged release now, whatever the reboot strategy says.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater reboot
  updater status && updater reboot")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    block_on(async {
        Client::connect(ui).await?.reboot().await?;
        if ui.json {
            return ui.data(&serde_json::json!({ "result": "rebooting" })).map(|()| ExitCode::SUCCESS);
        }
        ui.line("rebooting");
        Ok(ExitCode::SUCCESS)
    })
}
