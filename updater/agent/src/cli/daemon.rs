//! `daemon`: the service itself.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Ui, block_on};
use crate::daemon::{Options, serve};
use crate::host::{Layout, SystemHost};

/// Run the updater as a service; systemd does this.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  systemctl start updater.service
  UPDATER_LOG=debug updater daemon")]
pub(super) struct Args {
    /// Folder of state and history.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/slipway/updater")]
    state: PathBuf,
    /// Folder in which the configuration files are looked for.
    #[arg(long, value_name = "DIR", default_value = "/")]
    config_root: PathBuf,
}

pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let options = Options { state: args.state.clone(), config_root: args.config_root.clone(), bus: ui.bus.clone(), ..Options::default() };
    block_on(async {
        let mut layout = Layout::default();
        layout.sources.kept = options.state.join("tuf");
        let host = SystemHost::open(layout)?;
        serve(&host, &options).await
    })?;
    Ok(ExitCode::SUCCESS)
}
