//! `config`: the effective configuration, or a look at one file.

use std::path::PathBuf;
use std::process::ExitCode;

use super::Ui;
use crate::config::{Loaded, check_file, load};

/// Show the effective configuration and where each value comes from, or check a file before it is installed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater config
  updater config --json | jq -r '.values[] | select(.key == \"server\").value'
  updater config --check ./updater.toml")]
pub(super) struct Args {
    /// Check this file by itself and say what it means; nothing is changed.
    #[arg(long, value_name = "FILE")]
    check: Option<PathBuf>,
    /// Folder in which the files are looked for.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let loaded = match &args.check {
        Some(file) => check_file(file)?,
        None => load(&args.root)?,
    };
    if ui.json {
        ui.data(&json(&loaded))?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in lines(&loaded) {
        ui.line(line);
    }
    for note in &loaded.notes {
        ui.note(format!("note: {note}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn lines(loaded: &Loaded) -> Vec<String> {
    let rows = loaded.rows();
    let width = rows.iter().map(|(_, value, _)| value.chars().count()).max().unwrap_or(0).min(60);
    let line = |(key, value, origin): (&str, String, Option<&crate::config::Origin>)| {
        let origin = origin.map_or_else(|| "default".to_owned(), |origin| format!("{}:{}", origin.file, origin.line));
        format!("{key:<22} {value:<width$}  # {origin}")
    };
    rows.into_iter().map(line).collect()
}

fn json(loaded: &Loaded) -> serde_json::Value {
    let rows = loaded.rows();
    let values: Vec<serde_json::Value> =
        rows.iter().map(|(key, value, origin)| serde_json::json!({ "key": key, "value": value, "origin": origin })).collect();
    serde_json::json!({ "settings": loaded.settings, "values": values, "notes": loaded.notes })
}
