//! `announce`: tell the cluster where this machine's services are.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context;
use cluster_store::{Access, Machine, PREFIX, Report};
use command_line::Ui;
use tokio::signal::unix::{SignalKind, signal};

use super::services::table;

/// This machine's id, 32 hexadecimal digits.
const MACHINE_ID: &str = "/etc/machine-id";
/// How often it is looked whether the daemon has said who this machine is.
const PAUSE: Duration = Duration::from_secs(2);

/// Announce containers and units of this machine as services, for as long as they run.
///
/// A container says it with a label, `slipway.service=web`, or in registrator's words, `SERVICE_NAME=web`; a unit has a file in
/// /etc/slipway/announce.d. What is unhealthy or fails its check is not announced. When this machine dies, all of it goes in 15 s.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cluster-agent announce --once
  cluster-agent announce --once --name n1 --address 10.0.0.5 --json
  systemctl enable --now cluster-announce.service")]
pub(super) struct Args {
    /// Look once, and print what would be announced; nothing is written.
    #[arg(long)]
    once: bool,
    /// Announce every published port, named after the image where the container has no name for it.
    #[arg(long)]
    every_published_port: bool,
    /// What this machine is called; what the daemon says, unless given.
    #[arg(long, requires = "address")]
    name: Option<String>,
    /// Where the others reach this machine; what the daemon says, unless given.
    #[arg(long, requires = "name")]
    address: Option<IpAddr>,
}

impl Args {
    pub(super) async fn run(&self, ui: Ui) -> anyhow::Result<()> {
        let mut sources = announce::Sources::default();
        if self.every_published_port {
            sources.containers.scope = announce::docker::Scope::Published;
        }
        let report = Report::alone("announce");
        if self.once {
            let host = match self.given() {
                Some(host) => host,
                None => told().await?.context("the daemon has not said who this machine is; give --name and --address")?,
            };
            return look(&sources, &host, ui).await;
        }
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let end = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        tokio::pin!(end);
        // Ready as soon as it is at work: etcd may be away for long, and nothing that starts needs to wait for that.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        let host = tokio::select! {
            host = self.host(&report) => host,
            () = &mut end => return Ok(()),
        };
        announce::run(Access::of_this_machine, sources, host, report, end).await;
        Ok(())
    }

    fn given(&self) -> Option<announce::Host> {
        Some(announce::Host { name: self.name.clone()?, address: self.address? })
    }

    /// Who this machine is; waits for the daemon to say so.
    async fn host(&self, report: &Report) -> announce::Host {
        loop {
            if let Some(host) = self.given() {
                return host;
            }
            match told().await {
                Ok(Some(host)) => return host,
                Ok(None) => report.say("waiting", "cluster-agent.service has not said who this machine is"),
                Err(error) => report.say("waiting", format!("{error:#}")),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What the daemon of this machine says in etcd.
async fn told() -> anyhow::Result<Option<announce::Host>> {
    let id = std::fs::read_to_string(MACHINE_ID).with_context(|| format!("reading {MACHINE_ID}"))?;
    let key = format!("{PREFIX}machines/{}", id.trim());
    let mut client = Access::of_this_machine()?.connect().await?;
    let answer = client.get(key.as_str(), None).await.context("asking etcd who this machine is")?;
    let Some(kv) = answer.kvs().first() else { return Ok(None) };
    let machine: Machine = serde_json::from_slice(kv.value()).with_context(|| format!("reading {key}"))?;
    Ok(Some(announce::Host { name: machine.name, address: machine.address }))
}

async fn look(sources: &announce::Sources, host: &announce::Host, ui: Ui) -> anyhow::Result<()> {
    let mut candidates = Vec::new();
    match announce::docker::look(&sources.containers, host).await {
        Ok((found, problems)) => {
            candidates.extend(found);
            problems.iter().for_each(|problem| ui.note(format!("warning: {problem}")));
        }
        Err(error) => ui.note(format!("warning: asking Docker: {error}")),
    }
    match announce::units::look(&sources.units, host).await {
        Ok((found, problems)) => {
            candidates.extend(found);
            problems.iter().for_each(|problem| ui.note(format!("warning: {problem}")));
        }
        Err(error) => ui.note(format!("warning: asking systemd: {error}")),
    }
    let mut health = announce::Health::default();
    for candidate in &candidates {
        if let Some(check) = &candidate.check {
            let answer = check.ask(candidate.address()).await;
            if let Err(error) = &answer {
                ui.note(format!("warning: {} fails its check: {error}", candidate.announcement.by));
            }
            health.told(candidate, answer.is_ok());
        }
    }
    let wanted = health.wanted(&candidates);
    let (services, _) = announce::services(&wanted);
    if ui.json {
        return Ok(ui.data(&services)?);
    }
    for row in table(&services) {
        ui.line(row);
    }
    Ok(())
}
