//! `snapshot` and `snapshots`: copies of what is in etcd.

use anyhow::Result;
use cluster_store::Access;
use command_line::Ui;

use crate::config::Config;
use crate::ground::ETCDUTL;
use crate::snapshot;

/// Take a snapshot of etcd now, beside those that are taken on schedule.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cluster-agent snapshot
  cluster-agent snapshot --json | jq -r .file")]
pub(super) struct Args {}

/// List the snapshots on this machine, newest first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cluster-agent snapshots
  cluster-agent snapshots --json | jq -r '.[0].file'")]
pub(super) struct ListArgs {}

impl Args {
    /// Takes one and prints where it is.
    pub(super) async fn run(&self, config: &Config, ui: Ui) -> Result<()> {
        let client = Access::of_this_machine()?.connect().await?;
        let file = snapshot::take(client, &config.snapshot.directory, jiff::Timestamp::now(), ETCDUTL.as_ref()).await?;
        snapshot::prune(&config.snapshot.directory, config.snapshot.keep)?;
        if ui.json {
            ui.data(&serde_json::json!({ "file": file }))?;
        } else {
            ui.line(file.display().to_string());
        }
        Ok(())
    }
}

impl ListArgs {
    /// Looks and prints.
    pub(super) fn run(&self, config: &Config, ui: Ui) -> Result<()> {
        let found = snapshot::list(&config.snapshot.directory)?;
        if ui.json {
            return Ok(ui.data(&found)?);
        }
        for one in &found {
            let size = crate::status::size(i64::try_from(one.size_bytes).unwrap_or(i64::MAX));
            ui.line(format!("{}  {:>10}  {}", one.taken.strftime("%Y-%m-%d %H:%M:%SZ"), size, one.file.display()));
        }
        if found.is_empty() {
            ui.note(format!(
                "there is none in {}; members take them, `cluster-agent snapshot` does so now",
                config.snapshot.directory.display()
            ));
        }
        Ok(())
    }
}
