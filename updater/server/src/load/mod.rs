//! Sends check-ins at a fixed rate and measures the answers: `update-server load`, for benches.
//!
//! Open loop: every request has the moment at which it is *meant* to be sent, and its latency counts from there. A server
//! that stalls for a second is charged for every request that came due within that second, not for the one that was under way.
//!
//! - [`args`]: the command line; [`report`]: the result
//! - `template`: the requests, made of real Omaha documents; `connection`: just enough HTTP/1.1 for them
//! - `drive`: connections and the schedule; [`histogram`]: latencies; `cpu`: processor time of the server

pub mod args;
mod connection;
mod cpu;
mod drive;
pub mod histogram;
pub mod report;
mod template;

use std::io::Write;

use anyhow::Context;

pub use args::Args;

/// Runs `update-server load` and writes the result, for people or as JSON.
///
/// # Errors
/// When the address makes no sense, the server cannot be reached at all, or the result cannot be written.
pub async fn run(args: &Args, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let plan = args.plan()?;
    let before = cpu::sample(&args.server_pid).context("reading the server's processor time")?;
    let sums = drive::drive(&plan).await?;
    let after = cpu::sample(&args.server_pid).context("reading the server's processor time")?;
    let report = report::Report::new(&plan, &sums, &before, &after);
    if json {
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        out.write_all(report.to_string().as_bytes())?;
    }
    Ok(())
}
