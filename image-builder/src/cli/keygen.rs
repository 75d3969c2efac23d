//! `keygen`: makes the keys of a fleet's owner.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::Ui;
use crate::keys;

/// Make the Secure Boot certificate and the release keys.
///
/// Keep DIR/private safe and off every server: root.pem and targets.pem decide what a release is, secure-boot.key what boots.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  image-builder keygen keys\n  image-builder --json keygen /media/safe/slipway-keys")]
pub struct Args {
    /// The folder to make; it must not exist yet.
    dir: PathBuf,
}

/// Runs the subcommand.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    keys::generate(&args.dir, jiff::Timestamp::now())?;
    if ui.json {
        ui.data(&serde_json::json!({ "private": args.dir.join("private"), "public": args.dir.join("public") }))?;
    } else {
        ui.line(format!("private keys: {}  (secret; root.pem and targets.pem stay offline)", args.dir.join("private").display()));
        ui.line(format!("public keys:  {}", args.dir.join("public").display()));
    }
    Ok(ExitCode::SUCCESS)
}
