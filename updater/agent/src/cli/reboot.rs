//! `reboot`: reboot into what is staged.

use std::process::ExitCode;

use super::client::Client;
use super::{Ui, block_on};

/// Reboot into the staged release now, whatever the reboot strategy says. Where machines take turns, when it is this one's.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater reboot
  updater status && updater reboot
  updater reboot --now           # although another machine has its turn, or a quorum is lost")]
pub(super) struct Args {
    /// Do not wait for a turn, where machines take turns.
    #[arg(long)]
    now: bool,
}

pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    block_on(async {
        let client = Client::connect(ui).await?;
        client.reboot(args.now).await?;
        // A machine that goes down at once may not answer any more.
        let waits = !args.now && client.status().await.is_ok_and(|status| status.waiting.is_some());
        let result = if waits { "waiting-for-turn" } else { "rebooting" };
        if ui.json {
            return ui.data(&serde_json::json!({ "result": result })).map(|()| ExitCode::SUCCESS);
        }
        ui.line(if waits {
            "a turn to reboot was asked for, and the machine reboots when it has it; `updater status` says why not yet, `updater reboot --now` does not wait"
        } else {
            "rebooting"
        });
        Ok(ExitCode::SUCCESS)
    })
}
