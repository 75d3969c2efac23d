//! `why`: the rules behind the present version.

use std::process::ExitCode;

use anyhow::Context;

use super::client::Client;
use super::{Ui, block_on};
use crate::why::{Explanation, Verdict};

/// Explain why this version runs, and when that can change.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater why
  updater why --json | jq '.rules[] | select(.verdict == \"holds\")'")]
pub(super) struct Args {}

pub(super) fn run(_args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let text = block_on(async { Client::connect(ui).await?.why().await })?;
    let explanation: Explanation = serde_json::from_str(&text).context("reading the daemon's answer; is it another version?")?;
    if ui.json {
        ui.data(&explanation)?;
    } else {
        for line in lines(&explanation) {
            ui.line(line);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The answer as text.
pub(super) fn lines(explanation: &Explanation) -> Vec<String> {
    let mut lines = vec![explanation.summary.clone(), String::new()];
    for (at, rule) in explanation.rules.iter().enumerate() {
        let verdict = match rule.verdict {
            Verdict::Passes => "passes",
            Verdict::Holds => "HOLDS ",
            Verdict::Tells => "      ",
        };
        let changes = rule.changes.map(|at| format!(" [can change at {at}]")).unwrap_or_default();
        lines.push(format!("{:>2}. {verdict} {:<13} {}{changes}", at + 1, rule.rule, rule.value));
    }
    lines.push(String::new());
    lines.push(match explanation.changes {
        Some(at) => format!("The earliest change by itself: {at}."),
        None => "Nothing changes this by itself.".to_owned(),
    });
    lines
}
