//! `rollback`: back to the other slot.

use std::process::ExitCode;
use std::time::Duration;

use super::client::Client;
use super::{EXIT_FAILED, Ui, block_on};

/// How often it is looked whether the reboot has been asked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Go back to the other slot: reboot into it, try it, make it the default.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater rollback               # the version left behind goes into quarantine
  updater rollback --json")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    block_on(async {
        let client = Client::connect(ui).await?;
        let number = client.rollback().await?;
        loop {
            let status = client.status().await?;
            if status.state == "rebooting" {
                break;
            }
            if let Some(ended) = status.outcome.filter(|ended| ended.operation >= number && ended.result == "failed") {
                ui.note(format!("error: {}", ended.text));
                return Ok(ExitCode::from(EXIT_FAILED));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if ui.json {
            return ui.data(&serde_json::json!({ "result": "rebooting" })).map(|()| ExitCode::SUCCESS);
        }
        ui.line("rebooting into the other slot");
        Ok(ExitCode::SUCCESS)
    })
}
