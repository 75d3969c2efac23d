//! `status` and `members`: what there is to know about the cluster.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use cluster_store::{Access, PartState};
use command_line::Ui;
use serde::Serialize;

use super::NoDaemon;
use crate::config::{Config, TlsMode};
use crate::status::{self, Member};

/// Where the daemon says what its parts do.
const RUN: &str = "/run/cluster-agent";

/// Say what every part of the cluster does here, and how its members are.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cluster-agent status
  cluster-agent status --json | jq .parts.etcd")]
pub(super) struct Args {}

/// List the members of etcd.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cluster-agent members
  cluster-agent members --json | jq '.[].name'")]
pub(super) struct MembersArgs {}

#[derive(Debug, Serialize)]
struct All {
    parts: BTreeMap<String, PartState>,
    tls: TlsMode,
    members: Option<Vec<Member>>,
    error: Option<String>,
}

impl Args {
    /// Looks and prints.
    pub(super) async fn run(&self, config: &Config, ui: Ui) -> Result<()> {
        let state = status::state(Path::new(RUN))?.ok_or(NoDaemon)?;
        let (members, error) = match live().await {
            Ok(members) => (Some(members), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let all = All { parts: state.parts, tls: config.etcd.tls, members, error };
        if ui.json {
            return Ok(ui.data(&all)?);
        }
        for (name, part) in &all.parts {
            ui.line(format!(
                "{:10} {:10} {} (since {})",
                ui.bold(name),
                part.state,
                part.reason,
                part.since.strftime("%Y-%m-%d %H:%M:%SZ")
            ));
        }
        if all.tls == TlsMode::Off && config.is_configured() {
            ui.line("tls        off        whoever reaches the members' ports can read and change everything in the cluster");
        }
        match (&all.members, &all.error) {
            (Some(members), _) => ui.line(format!("\n{}", status::table(members))),
            (None, Some(error)) => ui.line(format!("\nmembers: {error}")),
            (None, None) => {}
        }
        Ok(())
    }
}

impl MembersArgs {
    /// Looks and prints.
    pub(super) async fn run(&self, ui: Ui) -> Result<()> {
        let members = live().await?;
        if ui.json {
            ui.data(&members)?;
        } else {
            ui.line(status::table(&members));
        }
        Ok(())
    }
}

async fn live() -> Result<Vec<Member>> {
    status::members(&Access::of_this_machine()?).await
}
