//! `release`: from a build to a signed release.

use std::path::PathBuf;
use std::process::ExitCode;

use jiff::Timestamp;
use payload::Version;

use super::Ui;
use crate::release::pack::{self, Notes};
use crate::release::repository::{self, TARGETS, Validity};

/// Put builds into a repository of signed releases.
///
/// The repository is a folder of plain files: `publish` sends it to an update server, any web server or USB stick carries it as
/// well. Without a build, only the dates of the metadata are renewed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  image-builder release out/vm --keys keys --repository repository
  image-builder release out/vm-2.0.0 --keys keys --repository repository --minimum-version 1.4.0
  image-builder release --keys keys --repository repository     renews the dates")]
pub struct Args {
    /// Output folders of `build`.
    builds: Vec<PathBuf>,
    /// Folder with the keys, made by `keygen`.
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// The repository; made when absent.
    #[arg(long, value_name = "DIR")]
    repository: PathBuf,
    /// Hosts older than this take another release first.
    #[arg(long, value_name = "VERSION")]
    minimum_version: Option<Version>,
    /// Hosts that once ran a release with a higher index refuse this one, whatever its version.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    rollback_index: u64,
    /// What operators should know of this release.
    #[arg(long, value_name = "TEXT", default_value = "")]
    notes: String,
    /// Days until the list of releases must have been signed again.
    #[arg(long, value_name = "DAYS", default_value_t = Validity::default().targets_days)]
    targets_days: i64,
    /// Days until snapshot and timestamp must have been signed again; the server can do that by itself.
    #[arg(long, value_name = "DAYS", default_value_t = Validity::default().online_days)]
    online_days: i64,
}

/// Runs the subcommand.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let notes = Notes { minimum_version: args.minimum_version.clone(), rollback_index: args.rollback_index, text: args.notes.clone() };
    let targets = args.repository.join(TARGETS);
    let mut releases = Vec::new();
    for build in &args.builds {
        let (release, unchanged) = pack::pack(build, &targets, &notes, &ui.progress)?;
        let there = if unchanged { " (was there already)" } else { "" };
        ui.progress.note(format!("{}{there}", release.folder()));
        releases.push(release);
    }
    let validity = Validity { targets_days: args.targets_days, online_days: args.online_days };
    let signed = repository::sign(&args.repository, &args.keys, &releases, validity, Timestamp::now())?;
    if ui.json {
        let folders: Vec<String> = releases.iter().map(payload::Release::folder).collect();
        ui.data(&serde_json::json!({ "releases": folders, "signed": signed }))?;
    } else {
        let online = match signed.timestamp {
            Some(version) => format!("timestamp {version}"),
            None => "snapshot and timestamp are left to the server, which has their keys".to_owned(),
        };
        let files = signed.files;
        ui.line(format!(
            "{}: {files} files, root {}, targets {}, {online}",
            ui.bold(&args.repository.display().to_string()),
            signed.root,
            signed.targets
        ));
    }
    Ok(ExitCode::SUCCESS)
}
