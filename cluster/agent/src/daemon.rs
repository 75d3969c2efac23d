//! Everything at once, for ever: etcd, presence, snapshots, and the other parts of a cluster.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use cluster_store::{Access, Machine, PREFIX, Presence, Report, Reports};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::{Config, TlsMode};
use crate::etcd::Engine;
use crate::etcd::init::Systemd;
use crate::etcd::memory::write_whole;
use crate::etcd::rendezvous::Configured;
use crate::ground::Ground;
use crate::parts;
use crate::snapshot;
use crate::status::{STATE_FILE, State};

/// For how long a machine counts as present after it was last heard of, in seconds.
const PRESENCE_SECONDS: i64 = 30;
/// Pause after something failed that has to be tried again.
const PAUSE: Duration = Duration::from_secs(5);
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_secs(3);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// The machine's own files cannot be read or written.
pub async fn run(config: Config) -> Result<()> {
    let mut reports = Reports::new(jiff::Timestamp::now);
    let (say_access, access) = watch::channel(None);
    let (say_goodbye, goodbye) = watch::channel(false);
    let folder = Path::new("/run/cluster-agent");
    // What an earlier run said is not true any more.
    write_state(folder, &mut reports)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let work = tokio::spawn(work(
        config,
        reports.part("etcd"),
        [reports.part("presence"), reports.part("snapshots"), reports.part("swarm"), reports.part("turns")],
        say_access,
        access,
        goodbye,
    ));
    tell(NotifyState::Ready);
    let ended = loop {
        tokio::select! {
            () = reports.changed() => write_state(folder, &mut reports)?,
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            () = work_ended(&work) => break Err(anyhow::anyhow!("the daemon's work ended; this is a mistake in it")),
        }
    };
    tell(NotifyState::Stopping);
    say_goodbye.send_replace(true);
    let _ = tokio::time::timeout(GOODBYE, say_goodbye.closed()).await;
    work.abort();
    ended
}

async fn work_ended<T>(work: &tokio::task::JoinHandle<T>) {
    while !work.is_finished() {
        tokio::time::sleep(PAUSE).await;
    }
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "telling systemd");
    }
}

fn write_state(folder: &Path, reports: &mut Reports) -> Result<()> {
    let state = State { parts: reports.now() };
    if let Some(etcd) = state.parts.get("etcd") {
        tell(NotifyState::Status(&format!("etcd: {}: {}", etcd.state, etcd.reason)));
    }
    write_whole(&folder.join(STATE_FILE), serde_json::to_string_pretty(&state)?.as_bytes(), 0o644)
}

/// Finds out where it stands, and keeps etcd, presence and snapshots.
async fn work(
    config: Config,
    etcd: Report,
    [presence, snapshots, swarm, turns]: [Report; 4],
    say_access: watch::Sender<Option<Access>>,
    access: watch::Receiver<Option<Access>>,
    goodbye: watch::Receiver<bool>,
) {
    if !config.is_configured() {
        etcd.say("off", "[etcd] has neither `discovery` nor `initial-cluster`: this machine belongs to no cluster");
        // A FleetLock server needs no etcd.
        if let Some(plan) = config.turns {
            match machine_alone(&config.etcd, config.metadata) {
                Ok(machine) => parts::turns(plan, machine, false, None, turns).await,
                Err(error) => turns.say("failed", format!("{error:#}")),
            }
        }
        return std::future::pending().await;
    }
    let (ground, rendezvous) = loop {
        match stand(&config) {
            Ok(found) => break found,
            Err(error) => etcd.say("waiting", format!("{error:#}")),
        }
        tokio::time::sleep(PAUSE).await;
    };
    if config.etcd.tls == TlsMode::Off {
        tracing::warn!("tls = \"off\": whoever reaches ports 2379 and 2380 of the members can read and change everything in the cluster");
    }
    let machine =
        Machine { id: ground.machine_id.clone(), name: ground.name.clone(), address: ground.address, metadata: config.metadata.clone() };
    let (etcdutl, plan) = (ground.etcdutl.clone(), config.snapshot.clone());
    let secret = (config.etcd.tls == TlsMode::Auto).then(|| config.etcd.secret_file.clone());
    let (swarm_plan, turns_plan) = (config.swarm.clone(), config.turns.clone());
    let engine = match Engine::new(ground, config, Systemd::default(), rendezvous, etcd.clone(), say_access) {
        Ok(engine) => engine,
        // The disk is broken; the daemon ends, and systemd starts it again after a while.
        Err(error) => return etcd.say("failed", format!("{error:#}")),
    };
    let member = move || etcd.last().is_some_and(|last| last.state == "member");
    let with_swarm = swarm_plan.is_some();
    let swarm = async {
        if let Some(plan) = swarm_plan {
            parts::swarm(plan, machine.clone(), secret, access.clone(), swarm).await;
        }
    };
    let turns = async {
        if let Some(plan) = turns_plan {
            parts::turns(plan, machine.clone(), with_swarm, Some(access.clone()), turns).await;
        }
    };
    let (_, (), (), (), ()) = tokio::join!(
        engine.run(),
        keep_presence(machine.clone(), access.clone(), presence, goodbye),
        snapshot::keep(plan, etcdutl, access.clone(), member, snapshots),
        swarm,
        turns,
    );
}

/// This machine where it belongs to no cluster; nobody asks for its address there.
fn machine_alone(etcd: &crate::config::Etcd, metadata: std::collections::BTreeMap<String, String>) -> Result<Machine> {
    let ground = Ground::of_this_machine(etcd)?;
    Ok(Machine { id: ground.machine_id, name: ground.name, address: ground.address, metadata })
}

/// Who and where this machine is.
///
/// # Errors
/// There is no machine-id or no default route, or the configuration makes no sense.
pub fn ground(config: &Config) -> Result<Ground> {
    stand(config).map(|(ground, _)| ground)
}

/// The same, and where it meets the others.
fn stand(config: &Config) -> Result<(Ground, Configured)> {
    let mut ground = Ground::of_this_machine(&config.etcd)?;
    let rendezvous = Configured::new(&config.etcd, &ground.machine_id)?;
    let seat = ground.seat(config.etcd.tls != TlsMode::Off);
    if let (None, Some(name)) = (&config.etcd.name, rendezvous.name_of(&seat.peer_url)) {
        name.clone_into(&mut ground.name);
    }
    rendezvous.fits(&ground.seat(config.etcd.tls != TlsMode::Off))?;
    Ok((ground, rendezvous))
}

/// Keeps `slipway/machines/ID` there for as long as this machine reaches the cluster.
async fn keep_presence(machine: Machine, mut access: watch::Receiver<Option<Access>>, report: Report, mut goodbye: watch::Receiver<bool>) {
    loop {
        let current = access.borrow_and_update().clone();
        let Some(current) = current else {
            report.say("waiting", "the cluster cannot be reached yet");
            tokio::select! {
                changed = access.changed() => if changed.is_err() { return },
                () = said(&mut goodbye) => return,
            }
            continue;
        };
        tokio::select! {
            ended = be_present(&machine, &current, &report, &mut goodbye) => match ended {
                Ok(()) => return,
                Err(error) => report.say("waiting", format!("{error:#}")),
            },
            changed = access.changed() => if changed.is_err() { return },
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Until goodbye is said, then `Ok`.
async fn be_present(machine: &Machine, access: &Access, report: &Report, goodbye: &mut watch::Receiver<bool>) -> Result<()> {
    let mut presence = Presence::begin(access.connect().await?, PRESENCE_SECONDS).await.context("asking for a lease")?;
    presence
        .put(&format!("{PREFIX}machines/{}", machine.id), &serde_json::to_string(machine)?)
        .await
        .context("writing who this machine is")?;
    report.say("present", format!("{} at {}", machine.name, machine.address));
    let lost = tokio::select! {
        lost = presence.keep() => Some(lost),
        () = said(goodbye) => None,
    };
    match lost {
        None => Ok(presence.end().await?),
        Some(Err(error)) => Err(error).context("the lease was lost"),
        Some(Ok(never)) => match never {},
    }
}

/// Until goodbye is said.
async fn said(goodbye: &mut watch::Receiver<bool>) {
    let _ = goodbye.wait_for(|said| *said).await;
}
