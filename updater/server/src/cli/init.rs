//! `update-server init`

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use serde_json::json;

use super::Ui;
use super::open::Place;
use crate::clock::Clock;
use crate::publish::Layout;
use crate::store::audit::note;
use crate::store::tokens::{self, Role};

/// Makes the data folder and prints the first admin token, once.
///
/// Example: update-server init --data /var/lib/slipway/server --root root.json
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    place: Place,
    /// The trusted root of the repository, e.g. keys/public/root.json of `image-builder keygen`: nothing is ever published that
    /// does not follow from it, whoever holds a publisher's token. Without it, the first publisher decides.
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
}

/// Runs it.
///
/// # Errors
/// The folder or database cannot be made, or is made already.
pub async fn run(args: &Args, ui: Ui) -> anyhow::Result<()> {
    // Looked at first, so that a wrong file leaves no half-made folder behind.
    let root = args.root.as_deref().map(read_root).transpose()?;
    let db = args.place.create().await?;
    if !tokens::list(&db).await?.is_empty() {
        bail!("{} is made already; make more tokens with: update-server token create", args.place.data.display());
    }
    if let Some(root) = &root {
        pin(&Layout::new(&args.place.data), root)?;
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

/// The largest root that is read; TUF clients take no larger one.
const ROOT_BYTES: u64 = 1 << 20;

/// Reads a root and checks that it is one, signed by its own keys.
fn read_root(file: &Path) -> anyhow::Result<Vec<u8>> {
    let reading = || format!("reading the trusted root {}", file.display());
    let mut bytes = Vec::new();
    std::fs::File::open(file).with_context(reading)?.take(ROOT_BYTES + 1).read_to_end(&mut bytes).with_context(reading)?;
    ensure!(bytes.len() as u64 <= ROOT_BYTES, "{} is larger than {ROOT_BYTES} bytes, so it is no root", file.display());
    trust::Root::open(&bytes).with_context(|| format!("{} is no root to trust", file.display()))?;
    Ok(bytes)
}

/// Puts it where every publication is checked against it. A pinned root is never replaced: newer ones follow from it.
fn pin(layout: &Layout, root: &[u8]) -> anyhow::Result<()> {
    let pinning = || format!("pinning the trusted root in {}", layout.pinned.display());
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&layout.pinned).with_context(pinning)?;
    file.write_all(root).and_then(|()| file.sync_all()).with_context(pinning)
}
