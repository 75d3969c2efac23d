//! Tries a rollout on a simulated fleet before a real one meets it: `update-server simulate`.

use std::io::Write;

/// Tries a rollout on a simulated fleet, in virtual time.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {}

/// Runs `update-server simulate` and writes the result, for people or as JSON.
///
/// # Errors
/// When the policy cannot be read or the result cannot be written.
pub fn run(_args: &Args, _json: bool, _out: &mut dyn Write) -> anyhow::Result<()> {
    Ok(())
}
