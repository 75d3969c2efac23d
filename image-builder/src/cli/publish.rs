//! `publish`: sends a repository to an update server.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::Ui;
use crate::release::publish::{Destination, publish};

/// Send a repository of signed releases to an update server.
///
/// The server verifies the whole chain before any machine sees it. Which machines get a release, and when, is decided there.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  image-builder publish repository --server https://updates.example.org --token-file token
  SLIPWAY_TOKEN=... image-builder publish repository --server http://127.0.0.1:8080")]
pub struct Args {
    /// The repository made by `release`.
    repository: PathBuf,
    /// Base URL of the update server.
    #[arg(long, value_name = "URL")]
    server: String,
    /// A token with the role publisher; other users of this machine can see it, so prefer --token-file.
    #[arg(long, value_name = "TOKEN", env = "SLIPWAY_TOKEN", hide_env_values = true, conflicts_with = "token_file")]
    token: Option<String>,
    /// File that holds the token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let token = match (&args.token, &args.token_file) {
        (Some(token), _) => token.clone(),
        (None, Some(path)) => std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?.trim().to_owned(),
        (None, None) => {
            anyhow::bail!("publishing needs a token with the role publisher: --token-file FILE, --token TOKEN or SLIPWAY_TOKEN")
        }
    };
    let published = publish(&args.repository, Destination { server: &args.server, token: &token }, &ui.progress)?;
    if ui.json {
        ui.data(&published)?;
    } else {
        for release in &published.releases {
            ui.line(format!("{}  {} {} {}", ui.bold(&release.folder), release.app_id, release.version, release.arch));
        }
    }
    Ok(ExitCode::SUCCESS)
}
