//! `update-server init`

use anyhow::bail;
use serde_json::json;

use super::Ui;
use super::open::Place;
use crate::clock::Clock;
use crate::store::audit::note;
use crate::store::tokens::{self, Role};

/// Makes the data folder and prints the first admin token, once.
///
/// Example: update-server init --data /var/lib/slipway/server
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
}

/// Runs it.
///
/// # Errors
/// The folder or database cannot be made, or is made already.
pub async fn run(args: &Args, ui: Ui) -> anyhow::Result<()> {
    let db = args.place.create().await?;
    if !tokens::list(&db).await?.is_empty() {
        bail!("{} is made already; make more tokens with: update-server token create", args.place.data.display());
    }
    let now = Clock::System.now();
    let mut tx = db.begin().await?;
    let (token, secret) = tokens::create(&mut tx, "admin", Role::Admin, None, now).await?;
    note(&mut tx, now, "local", "token.create", &format!("token/{}", token.id), None::<&()>, Some(&token)).await?;
    tx.commit().await?;
    db.close().await;
    if ui.json {
        return ui.data(&json!({ "data": args.place.data, "token": secret }));
    }
    ui.line(secret);
    Ok(())
}
