//! `render`: keep configuration files up to date with etcd.

use std::path::PathBuf;

use anyhow::{Context, bail};
use cluster_store::{Access, Report};
use command_line::Ui;
use render::{Outcome, Target};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

/// Render configuration files from keys of etcd, in the manner of confd.
///
/// A file in /etc/slipway/render.d names a template, a place and keys. What fails its check is never installed; a change is followed by a
/// reload, and nothing else is.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cluster-agent render --diff
  cluster-agent render --once haproxy
  systemctl enable --now cluster-render.service")]
pub(super) struct Args {
    /// Only these, by the names of their files without `.toml`.
    names: Vec<String>,
    /// Bring all files up to date once, and end; fails when one fails.
    #[arg(long)]
    once: bool,
    /// Say what would change; run checks, and install and reload nothing.
    #[arg(long)]
    dry_run: bool,
    /// Show what would change, line by line; implies --dry-run.
    #[arg(long)]
    diff: bool,
    /// The folder with the files that say what to render.
    #[arg(long, value_name = "DIR", default_value = render::FOLDER)]
    folder: PathBuf,
}

/// What became of one file.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    dest: PathBuf,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<String>,
}

impl Args {
    pub(super) async fn run(&self, ui: Ui) -> anyhow::Result<()> {
        if self.once || self.dry_run || self.diff { self.once(ui).await } else { self.follow().await }
    }

    fn targets(&self) -> (Vec<Target>, Vec<String>) {
        let (resources, problems) = render::resources(&self.folder, &self.names);
        (resources.into_iter().map(|resource| Target::new(resource, render::DEBTS.as_ref())).collect(), problems)
    }

    async fn follow(&self) -> anyhow::Result<()> {
        let report = Report::alone("render");
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        loop {
            let (targets, problems) = self.targets();
            for problem in &problems {
                tracing::error!("{problem}");
            }
            if targets.is_empty() {
                report.say(
                    "idle",
                    format!("there is nothing to render in {}; `systemctl reload cluster-render` looks again", self.folder.display()),
                );
            }
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
            tokio::select! {
                never = render::follow(Access::of_this_machine, &targets, &report) => match never {},
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                // The files are read again; what is up to date stays untouched.
                _ = hangup.recv() => {}
            }
        }
    }

    async fn once(&self, ui: Ui) -> anyhow::Result<()> {
        let (targets, problems) = self.targets();
        for problem in &problems {
            ui.note(format!("error: {problem}"));
        }
        let mut client = Access::of_this_machine()?.connect().await?;
        let entries = render::read(&mut client, &render::prefixes(&targets)).await.context("reading keys from etcd")?;
        let outside = tempfile::tempdir().context("making a folder for files that are only tried out")?;
        let mut rows = Vec::new();
        for target in &targets {
            let result = if self.once && !self.dry_run && !self.diff {
                target.bring(&entries).await
            } else {
                target.try_out(&entries, outside.path()).await
            };
            rows.push(row(target, result));
        }
        let failed = rows.iter().filter(|row| row.error.is_some()).count() + problems.len();
        self.show(ui, &rows)?;
        if failed > 0 {
            bail!("{failed} of {} failed", targets.len() + problems.len());
        }
        Ok(())
    }

    fn show(&self, ui: Ui, rows: &[Row]) -> anyhow::Result<()> {
        if ui.json {
            return Ok(ui.data(&rows)?);
        }
        for row in rows {
            match (&row.error, &row.diff) {
                (Some(error), _) => ui.note(format!("error: {error}")),
                (None, Some(diff)) if self.diff => ui.text(diff),
                _ => ui.line(format!("{}: {}", row.dest.display(), row.outcome)),
            }
        }
        Ok(())
    }
}

fn row(target: &Target, result: Result<Outcome, render::Failure>) -> Row {
    let dest = target.resource.dest.clone();
    let plain = |outcome| Row { dest: dest.clone(), outcome, error: None, diff: None };
    match result {
        Ok(Outcome::Unchanged) => plain("unchanged"),
        Ok(Outcome::Adjusted) => plain("owner and rights set"),
        Ok(Outcome::Installed) => plain("installed"),
        Ok(Outcome::Reloaded) => plain("reloaded"),
        Ok(Outcome::Different { old, new }) => Row { diff: Some(render::difference(&dest, old.as_deref(), &new)), ..plain("would change") },
        Err(error) => Row { error: Some(error.to_string()), ..plain("failed") },
    }
}
