//! `history`: what happened on this machine.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::client::Client;
use super::{NoDaemon, Ui, block_on};
use crate::daemon::Options;
use crate::history::{Entry, History};

/// Show what happened on this machine, oldest first. Works without the daemon where the file can be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater history
  updater history --last 5
  updater history --json | jq -r '.[] | select(.what == \"rolled-back\") | .version'")]
pub(super) struct Args {
    /// At most this many entries.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    last: u32,
    /// Folder of the state, for looking at another machine's disk.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
}

pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let entries = match &args.state {
        Some(folder) => from_file(folder, args.last)?,
        None => match block_on(async { Client::connect(ui).await?.history(args.last).await }) {
            Ok(text) => serde_json::from_str(&text).context("reading the daemon's answer; is it another version?")?,
            Err(error) if error.is::<NoDaemon>() => from_file(&Options::default().state, args.last).map_err(|_| error)?,
            Err(error) => return Err(error),
        },
    };
    if ui.json {
        ui.data(&entries)?;
    } else {
        for entry in &entries {
            ui.line(line(entry));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn from_file(folder: &std::path::Path, last: u32) -> anyhow::Result<Vec<Entry>> {
    History::new(folder).last(last as usize).with_context(|| format!("reading the history in {}", folder.display()))
}

pub(super) fn line(entry: &Entry) -> String {
    let version = entry.version.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}  {:<11}  {version:<10}  {}", entry.at.strftime("%Y-%m-%d %H:%M:%SZ"), entry.what, entry.text).trim_end().to_owned()
}
