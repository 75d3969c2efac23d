//! Sends check-ins at a fixed rate and measures the answers: `update-server load`.

use std::io::Write;

/// Sends check-ins of many machines to a server and measures the answers.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {}

/// Runs `update-server load` and writes the result, for people or as JSON.
///
/// # Errors
/// When the server cannot be reached or the result cannot be written.
pub async fn run(_args: &Args, _json: bool, _out: &mut dyn Write) -> anyhow::Result<()> {
    Ok(())
}
