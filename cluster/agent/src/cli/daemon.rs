//! `daemon`: everything at once, for ever.

use crate::config::Config;

/// Form the cluster and keep it; run by cluster-agent.service.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  systemctl status cluster-agent
  CLUSTER_AGENT_LOG=debug cluster-agent daemon")]
pub(super) struct Args {}

impl Args {
    /// Runs it.
    pub(super) async fn run(&self, config: Config) -> anyhow::Result<()> {
        crate::daemon::run(config).await
    }
}
