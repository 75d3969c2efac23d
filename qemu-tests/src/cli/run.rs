//! `run`: proves promises, all of them or some, once or many times.

use std::num::NonZeroU32;
use std::process::ExitCode;

use anyhow::bail;
use camino::Utf8PathBuf;
use command_line::Ui;
use libtest_mimic::Arguments;
use serde_json::json;

use super::{Logs, absolute};
use crate::images::{self, Images};
use crate::plan::{MAX_VMS, Options, Plan};
use crate::report::History;

/// Run tests: those whose names contain one of the words, the ones that failed last, or all.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qemu-tests run --images out
  qemu-tests run swarm_runs --keep
  qemu-tests run --failed
  qemu-tests run updates_twice --repeat 20")]
pub(super) struct Args {
    /// Parts of names; a whole name means that test alone. All tests without any.
    names: Vec<String>,
    /// Directory with what was built: `vm/`, `metal/`, `releases/`, `keys/`.
    #[arg(long, value_name = "DIR", env = images::ENV)]
    images: Utf8PathBuf,
    /// Only what did not pass the last time it ran.
    #[arg(long)]
    failed: bool,
    /// Run everything that many times, to find what fails now and then.
    #[arg(long, value_name = "TIMES", default_value = "1")]
    repeat: NonZeroU32,
    /// Busy machines at a time.
    #[arg(long, value_name = "COUNT", default_value_t = NonZeroU32::MIN.saturating_add(MAX_VMS - 1))]
    jobs: NonZeroU32,
    /// Keep the logs of what passed as well, and its machines for `shell`.
    #[arg(long)]
    keep: bool,
    /// Let known failures count.
    #[arg(long)]
    no_snooze: bool,
    #[command(flatten)]
    logs: Logs,
}

pub(super) fn run(plan: &Plan, args: &Args, ui: Ui) -> anyhow::Result<ExitCode> {
    let mut names = plan.select(&args.names)?;
    if args.failed {
        let broken = History::at(&args.logs.logs).broken()?;
        names.retain(|name| broken.iter().any(|broken| broken == name));
        if names.is_empty() {
            ui.note("nothing failed the last time");
            return Ok(ExitCode::SUCCESS);
        }
    }
    if !args.images.is_dir() {
        bail!("{} is no directory; `make images` builds what can be tested, into out/", args.images);
    }
    let options = Options {
        images: Images::at(absolute(&args.images)?),
        logs: absolute(&args.logs.logs)?,
        vms: args.jobs.get(),
        keep: args.keep,
        snooze: !args.no_snooze,
    };
    let mut failed = false;
    let mut runs = Vec::new();
    for round in 1..=args.repeat.get() {
        if args.repeat.get() > 1 {
            ui.note(format!("round {round} of {}", args.repeat));
        }
        let conclusion = plan.run(&names, &options, Arguments { quiet: ui.json, ..Arguments::default() })?;
        failed |= conclusion.failed;
        ui.note(format!("{}\n{}", conclusion.host, conclusion.advice()));
        runs.extend(conclusion.cases.into_iter().map(|case| {
            json!({
                "name": case.name,
                "outcome": case.outcome.word(),
                "seconds": case.took.as_secs_f64(),
                "story": case.outcome.story(),
                "logs": case.logs,
            })
        }));
    }
    if ui.json {
        ui.data(&runs)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
