//! `cluster-agent swarm`: the Docker Swarm of this cluster.

use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use command_line::Ui;
use swarm::engine::Engine;
use swarm::rebalance::{self, Findings};
use swarm::status;

/// Between two looks at an update that runs.
const LOOK: Duration = Duration::from_secs(1);

/// The arguments of `swarm`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What this machine is in the swarm; on a manager, all nodes.
    #[command(after_help = "Examples:\n  cluster-agent swarm status\n  cluster-agent swarm status --json")]
    Status,
    /// Spread services evenly again after nodes have come back.
    ///
    /// Swarm never moves a task that runs. This replaces the tasks of services that sit unevenly, one service after another, by
    /// each service's own rules for updates. It stops at the first update that fails. Run it on a manager.
    #[command(after_help = "Examples:\n  cluster-agent swarm rebalance --dry-run\n  cluster-agent swarm rebalance")]
    Rebalance {
        /// Only say which services sit unevenly.
        #[arg(long)]
        dry_run: bool,
    },
}

impl Args {
    pub(super) fn run(&self, ui: Ui) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
        runtime.block_on(async {
            let engine = Engine::default();
            match self.command {
                Command::Status => {
                    let status = status::look(&engine).await?;
                    say(ui, &status, &status.text())
                }
                Command::Rebalance { dry_run } => even_out(&engine, ui, dry_run).await,
            }
        })
    }
}

async fn even_out(engine: &Engine, ui: Ui, dry_run: bool) -> anyhow::Result<()> {
    let findings = rebalance::look(engine).await?;
    say(ui, &findings, &told(&findings))?;
    for uneven in findings.uneven.iter().filter(|_| !dry_run) {
        ui.note(format!("replacing the tasks of {}", uneven.service));
        rebalance::even_out(engine, uneven, LOOK).await?;
    }
    Ok(())
}

/// `value` for a program, or `text` for a person.
fn say(ui: Ui, value: &impl serde::Serialize, text: &str) -> anyhow::Result<()> {
    if ui.json {
        return Ok(ui.data(value)?);
    }
    ui.line(text);
    Ok(())
}

/// The findings for a person.
fn told(findings: &Findings) -> String {
    let mut lines = Vec::new();
    for uneven in &findings.uneven {
        let tasks: Vec<String> = uneven.tasks.iter().map(|(node, tasks)| format!("{tasks} on {node}")).collect();
        lines.push(format!("{}: uneven, {}", uneven.service, tasks.join(", ")));
    }
    for unclear in &findings.unclear {
        lines.push(format!("{}: passed over, its constraint `{}` is only understood by Docker", unclear.service, unclear.constraint));
    }
    if lines.is_empty() { "all services sit evenly".to_owned() } else { lines.join("\n") }
}
