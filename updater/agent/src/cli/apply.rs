//! `apply`: install what the server has.

use std::process::ExitCode;

use payload::Version;

use super::client::Client;
use super::{Ui, block_on, follow};

/// Install what the server has and wait until it is staged. The reboot follows the configured strategy.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater apply
  updater apply && updater reboot
  updater apply --despite-quarantine 1.4.2  # it failed here before, and I know why")]
pub(super) struct Args {
    /// Install this version although it is in quarantine on this machine.
    #[arg(long, value_name = "VERSION")]
    despite_quarantine: Option<Version>,
    /// Return as soon as the daemon has begun.
    #[arg(long)]
    no_wait: bool,
}

pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let despite = args.despite_quarantine.as_ref().map(ToString::to_string).unwrap_or_default();
    block_on(async {
        let client = Client::connect(ui).await?;
        let number = client.apply(&despite).await?;
        if args.no_wait {
            return if ui.json { ui.data(&serde_json::json!({ "operation": number })) } else { Ok(()) }.map(|()| ExitCode::SUCCESS);
        }
        follow::to_the_end(&client, number, ui).await
    })
}
