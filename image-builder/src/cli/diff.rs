//! `diff`: what changed between two images.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{EXIT_NO, Ui};
use crate::diff::{Diff, text};
use crate::manifest::source::load_manifest;

/// Show what changed between two images: packages, files, units, kernel options, command line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  image-builder diff out/1.0.0 out/1.1.0
  image-builder diff out/1.0.0/manifest.json.zst out/1.1.0 --all
  image-builder --json diff out/1.0.0 out/1.1.0 | jq '.packages[].name'

Exit status, as that of diff(1) with numbers of our own: 0 when the images are described by equal manifests; 3 when they \
differ; 1 when one of them cannot be read.")]
pub struct Args {
    /// The old image: a build directory, a manifest or a disk image.
    before: PathBuf,
    /// The new image.
    after: PathBuf,
    /// Show every file instead of the largest changes.
    #[arg(long)]
    all: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// When one of the images cannot be read.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let diff = Diff::new(&load_manifest(&args.before)?, &load_manifest(&args.after)?);
    if ui.json {
        ui.data(&diff)?;
    } else {
        ui.line(text(&diff, args.all).trim_end());
    }
    Ok(if diff.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NO) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{fixture, source, write};
    use crate::progress::Progress;

    #[test]
    fn the_exit_status_tells_equal_from_different_from_unreadable() {
        let dir = tempfile::tempdir().unwrap();
        let place = |name: &str, version: &str| {
            let mut manifest = fixture::manifest();
            version.clone_into(&mut manifest.version);
            let path = dir.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join(source::FILE_NAME), write(&manifest).unwrap()).unwrap();
            path
        };
        let (one, same, other) = (place("one", "1"), place("same", "1"), place("other", "2"));
        let run = |before: &PathBuf, after: &PathBuf, json| {
            let args = Args { before: before.clone(), after: after.clone(), all: false };
            run(&args, &Ui { progress: Progress::silent(), json })
        };
        for json in [false, true] {
            assert_eq!(run(&one, &same, json).unwrap(), ExitCode::SUCCESS);
            assert_eq!(run(&one, &other, json).unwrap(), ExitCode::from(EXIT_NO));
            assert!(run(&one, &dir.path().join("absent"), json).unwrap_err().to_string().contains("absent"));
        }
    }
}
