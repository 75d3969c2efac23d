//! `update-server internal-fill`: invents machines, for measurements.

use super::Ui;
use super::open::Place;
use crate::checkin::CheckIn;
use crate::checkin::batch::Engine;
use crate::checkin::facts::normal_app;
use crate::clock::Clock;
use crate::policy::{Follow, Group, Ramp, Rollout, RolloutId, Salt, Settings, Time, Version, Windows};
use crate::simulate::write_machine_id;
use crate::store::catalog::{self, New, Offer, Package, Source};
use crate::store::{Db, StoreError, Tx, groups, rollouts};

/// Check-ins in one transaction.
const BATCH: u64 = 5_000;
/// What `load` makes the machines' ids of, unless it is told otherwise.
const SEED: u64 = 1;

/// Invents a group with machines, for measurements. They are the machines that `load` speaks for.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// How many.
    #[arg(long)]
    machines: u64,
    /// Their application.
    #[arg(long, default_value = "e96281a6-d1af-4bde-9a0a-97b76e56dc57")]
    app: String,
    /// Their group, and its channel.
    #[arg(long, default_value = "stable")]
    group: String,
    /// The version they run.
    #[arg(long = "running", value_name = "VERSION", default_value = "1.0.0")]
    version: Version,
    /// Starts a rollout of this version; it has no files.
    #[arg(long, value_name = "VERSION")]
    rollout: Option<Version>,
    /// The rollout's ramp.
    #[arg(long, default_value_t = Ramp::at_once())]
    ramp: Ramp,
}

/// The machine of that number: the same words every time, for who generates load.
#[must_use]
pub fn machine(number: u64, app: &str, group: &str, version: &str) -> CheckIn {
    let mut machine_id = String::new();
    write_machine_id(SEED, u32::try_from(number).unwrap_or(u32::MAX), &mut machine_id);
    CheckIn {
        app_sent: app.to_owned(),
        app: normal_app(app),
        machine_id,
        group: group.to_owned(),
        version: version.to_owned(),
        arch: "amd64".to_owned(),
        oem: "qemu".to_owned(),
        board: "amd64-usr".to_owned(),
        aleph: version.to_owned(),
        client: "update-server-load".to_owned(),
        boot_id: "b0071d00-0000-4000-8000-000000000000".to_owned(),
        ping: true,
        ..CheckIn::default()
    }
}

/// Runs it.
///
/// # Errors
/// The database's.
pub async fn run(args: &Args, ui: Ui) -> anyhow::Result<()> {
    let (db, _) = args.place.open().await?;
    let now = Clock::System.now();
    let mut tx = db.begin().await?;
    let settings = Settings { ramp: args.ramp.clone(), ..Settings::default() };
    let follow = Follow::Channel(args.group.clone());
    let group =
        Group { name: args.group.clone(), follow, enabled: true, windows: Windows::default(), parallel: None, defaults: settings.clone() };
    groups::put(&mut tx, &group, now).await?;
    release(&mut tx, args, &args.version, now).await?;
    tx.commit().await?;
    machines(&db, args).await?;
    if let Some(version) = &args.rollout {
        let now = Clock::System.now();
        let mut tx = db.begin().await?;
        if let Some(release) = release(&mut tx, args, version, now).await? {
            let rollout = Rollout::new(RolloutId(0), release.id, Salt("measured".to_owned()), settings, now);
            let population = rollouts::population(&mut tx, &args.group, &release, now, now).await?;
            rollouts::add(&mut tx, &args.group, &rollout, population, now).await?;
        }
        tx.commit().await?;
    }
    db.close().await;
    ui.line(format!("{} machines", args.machines));
    Ok(())
}

/// Adds a release of no files and points the channel at it; `None` when it is there already.
async fn release(tx: &mut Tx, args: &Args, version: &Version, now: Time) -> Result<Option<crate::policy::Release>, StoreError> {
    let package = Package { name: "update.gz".to_owned(), size: 0, sha256: "0".repeat(64), sha1_base64: None };
    let offer = Offer { folder: format!("measured-{version}"), packages: vec![package], source: Source::Registered };
    let new = New { app: normal_app(&args.app), arch: "amd64".to_owned(), version: version.clone(), rollback_index: 0, offer };
    let Some(id) = catalog::add(tx, &new, now).await? else { return Ok(None) };
    let release = catalog::release(tx, id).await?.map(|stored| stored.release);
    if let Some(release) = &release {
        catalog::point(tx, &args.group, release).await?;
    }
    Ok(release)
}

async fn machines(db: &Db, args: &Args) -> anyhow::Result<()> {
    let (mut engine, version) = (Engine::new(db.clone(), Clock::System), args.version.to_string());
    let mut done = 0;
    while done < args.machines {
        let end = (done + BATCH).min(args.machines);
        let batch: Vec<CheckIn> = (done..end).map(|number| machine(number, &args.app, &args.group, &version)).collect();
        let (replies, _) = engine.run(&batch).await?;
        if let Some(reply) = replies.iter().find(|reply| !matches!(reply, crate::checkin::Reply::Heard)) {
            anyhow::bail!("a machine was not taken: {reply:?}");
        }
        done = end;
    }
    Ok(())
}
