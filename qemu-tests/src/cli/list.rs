//! `list`: what there is to prove, and how it has gone so far.

use std::process::ExitCode;

use command_line::Ui;
use serde_json::json;

use super::Logs;
use crate::plan::Plan;
use crate::report::History;
use crate::scenario::{FULL_ENV, When};

/// Show every test with its promise, how long it takes, and how often it has failed here.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qemu-tests list
  qemu-tests list update
  qemu-tests list --json | jq -r '.[] | select(.flaky) | .name'")]
pub(super) struct Args {
    /// Parts of names; all tests without any.
    names: Vec<String>,
    #[command(flatten)]
    logs: Logs,
}

pub(super) fn run(plan: &Plan, args: &Args, ui: Ui) -> anyhow::Result<ExitCode> {
    let wanted = if args.names.is_empty() { plan.names() } else { plan.select(&args.names)? };
    let past = History::at(&args.logs.logs).flakiness()?;
    let today = jiff::Zoned::now().date();
    let snoozes = plan.snoozes(today)?;
    let mut data = Vec::new();
    for entry in plan.entries().into_iter().filter(|entry| wanted.contains(&entry.name)) {
        let past = past.get(entry.name);
        let excuse = snoozes.excuse(entry.name, today);
        if ui.json {
            data.push(json!({
                "name": entry.name,
                "promise": entry.promise,
                "machine": entry.machine,
                "seconds": past.map(|past| past.median.as_secs_f64()).or(entry.seconds.map(f64::from)),
                "runs": past.map_or(0, |past| past.runs),
                "failed": past.map_or(0, |past| past.failed),
                "flaky": past.is_some_and(crate::report::Flakiness::flaky),
                "usual": entry.when.today(),
                "snoozed": excuse,
            }));
            continue;
        }
        let mut facts = vec![entry.machine.to_owned()];
        match past {
            Some(past) => {
                facts.push(format!("{} s", past.median.as_secs()));
                facts.push(format!("{} of {} failed{}", past.failed, past.runs, if past.flaky() { ", flaky" } else { "" }));
            }
            None => facts.extend(entry.seconds.map(|seconds| format!("about {seconds} s"))),
        }
        match entry.when {
            When::Always => {}
            When::Full => facts.push(format!("with {FULL_ENV}=1")),
            When::Named => facts.push("when named".to_owned()),
        }
        facts.extend(excuse.map(|excuse| format!("snoozed: {excuse}")));
        ui.line(format!("{} ({})\n    {}", ui.bold(entry.name), facts.join(", "), entry.promise));
    }
    for snooze in snoozes.expired(today) {
        ui.note(format!("the snooze of {} ended on {}: take it off the list", snooze.test, snooze.until));
    }
    if ui.json {
        ui.data(&data)?;
    }
    Ok(ExitCode::SUCCESS)
}
