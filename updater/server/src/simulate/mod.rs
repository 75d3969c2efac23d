//! Tries a rollout on a simulated fleet before a real one meets it: `update-server simulate`.
//!
//! A discrete-event simulation in virtual time: machines check in, download, reboot, fail, fall silent and are switched
//! off, and every decision is the server's own [`decide`](fn@crate::policy::decide) and [`Rollout::advance`](crate::policy::Rollout::advance).
//! No clock and no I/O inside; all chance comes from one seed, so equal scenarios give equal runs.
//!
//! - [`scenario`]: what is simulated; [`outcomes`]: what came out; [`report`]: that as text; [`args`]: the command line
//! - `world`: the run; `fleet`: the machines, packed; `wheel`: what happens next; `random`: chance

pub mod args;
mod fleet;
pub mod outcomes;
mod random;
pub mod report;
pub mod scenario;
mod wheel;
mod world;

use std::io::Write;

use anyhow::Context;

pub use args::Args;
pub use fleet::write_id as write_machine_id;
pub use outcomes::Outcomes;
pub(crate) use random::Random;
pub use scenario::{Scenario, ScenarioError};
pub use world::{BEGIN, simulate};

/// Runs `update-server simulate` and writes the result, for people or as JSON.
///
/// # Errors
/// When the policy cannot be read, the scenario contradicts itself, or the result cannot be written.
pub fn run(args: &Args, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let began = std::time::Instant::now();
    let outcomes = simulate(&args.scenario()?).context("simulating the rollout")?;
    // To the log and not into the report: equal scenarios print equal reports.
    tracing::info!(machines = args.machines, hours = args.hours, seconds = began.elapsed().as_secs_f32(), "simulated");
    if json {
        serde_json::to_writer_pretty(&mut *out, &outcomes)?;
        writeln!(out)?;
    } else {
        out.write_all(report::text(&outcomes).as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
