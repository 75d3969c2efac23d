//! `recover`, `restore` and `rejoin`: what a person does when a quorum is lost for good.

use std::path::PathBuf;

use anyhow::Result;
use command_line::Ui;

use super::{NotConfirmed, here};
use crate::config::Config;
use crate::etcd::init::{Systemd, systemctl};
use crate::recover::{self, From};

/// The daemon must not run meanwhile: it would act on what it sees half-way.
const DAEMON: &str = "cluster-agent.service";

/// Begin again with this machine as the only member, when a quorum is lost for good.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cluster-agent recover --from member
  cluster-agent recover --from /var/lib/slipway/etcd-snapshots/etcd-20261121T212434Z.db --yes")]
pub(super) struct Args {
    /// What to begin again from: `member` for the data on this machine, or the file of a snapshot.
    #[arg(long, value_name = "member|FILE")]
    from: From,
    /// Do it; without this, only say what would happen and what is lost.
    #[arg(long)]
    yes: bool,
}

/// Begin again from a snapshot; the same as `recover --from FILE`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cluster-agent restore /var/lib/slipway/etcd-snapshots/etcd-20261121T212434Z.db
  cluster-agent restore copy.db --yes")]
pub(super) struct RestoreArgs {
    /// The file of a snapshot.
    file: PathBuf,
    /// Do it; without this, only say what would happen and what is lost.
    #[arg(long)]
    yes: bool,
}

/// Put this machine's etcd data aside, and join the cluster that the others have.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cluster-agent rejoin
  cluster-agent rejoin --yes")]
pub(super) struct RejoinArgs {
    /// Do it; without this, only say what would happen.
    #[arg(long)]
    yes: bool,
}

impl Args {
    /// Says what will happen, and does it.
    pub(super) async fn run(&self, config: &Config, ui: Ui) -> Result<()> {
        begin_again(&self.from, self.yes, config, ui).await
    }
}

impl RestoreArgs {
    /// Says what will happen, and does it.
    pub(super) async fn run(&self, config: &Config, ui: Ui) -> Result<()> {
        begin_again(&From::Snapshot(self.file.clone()), self.yes, config, ui).await
    }
}

impl RejoinArgs {
    /// Says what will happen, and does it.
    pub(super) async fn run(&self, config: &Config, ui: Ui) -> Result<()> {
        let (ground, files) = here(config)?;
        recover::refuse_to_rejoin(&ground, files.as_ref()).await?;
        ui.note(format!(
            "etcd's data on this machine is put aside as {}.before-rejoin, and this machine joins the cluster that the others have.",
            ground.data.display()
        ));
        anyhow::ensure!(self.yes, NotConfirmed);
        without_daemon(recover::rejoin(&ground, files.as_ref(), &Systemd::default())).await
    }
}

async fn begin_again(from: &From, yes: bool, config: &Config, ui: Ui) -> Result<()> {
    let (ground, files) = here(config)?;
    recover::refuse_with_quorum(&ground, files.as_ref(), "See `cluster-agent status`.").await?;
    for line in recover::explain(from, &ground) {
        ui.note(line);
    }
    anyhow::ensure!(yes, NotConfirmed);
    without_daemon(recover::recover(from, &ground, files.as_ref(), &Systemd::default(), jiff::Timestamp::now())).await?;
    ui.note("done; `cluster-agent status` shows how it goes");
    Ok(())
}

/// The daemon runs again afterwards, whatever came of it.
async fn without_daemon(work: impl Future<Output = Result<()>>) -> Result<()> {
    systemctl(&["stop", DAEMON]).await?;
    let done = work.await;
    systemctl(&["start", DAEMON]).await?;
    done
}
