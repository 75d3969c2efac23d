//! `update-server internal-fill`: invents machines, for measurements.

use super::Ui;
use super::open::Place;
use crate::checkin::CheckIn;
use crate::checkin::batch::Engine;
use crate::clock::Clock;

/// Check-ins in one transaction.
const BATCH: u64 = 5_000;

/// Invents machines, for measurements.
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
    /// Their group.
    #[arg(long, default_value = "stable")]
    group: String,
    /// The version they run.
    #[arg(long, default_value = "1.0.0")]
    version: String,
}

/// The machine of that number: the same words every time, for who generates load.
#[must_use]
pub fn machine(number: u64, app: &str, group: &str, version: &str) -> CheckIn {
    CheckIn {
        app_sent: app.to_owned(),
        app: crate::checkin::facts::normal_app(app),
        machine_id: format!("{number:032x}"),
        group: group.to_owned(),
        version: version.to_owned(),
        arch: "amd64".to_owned(),
        board: "amd64-usr".to_owned(),
        boot_id: format!("{number:032x}"),
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
    let mut engine = Engine::new(db.clone(), Clock::System);
    let mut done = 0;
    while done < args.machines {
        let end = (done + BATCH).min(args.machines);
        let batch: Vec<CheckIn> = (done..end).map(|number| machine(number, &args.app, &args.group, &args.version)).collect();
        let (replies, _) = engine.run(&batch).await?;
        if let Some(reply) = replies.iter().find(|reply| !matches!(reply, crate::checkin::Reply::Heard)) {
            anyhow::bail!("a machine was not taken: {reply:?}; is there a release of application {}?", args.app);
        }
        done = end;
    }
    db.close().await;
    ui.line(format!("{done} machines"));
    Ok(())
}
