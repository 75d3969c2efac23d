//! `explain`: why is this file or package in the image?

use std::path::PathBuf;
use std::process::ExitCode;

use super::Ui;
use crate::explain::{self, package_text, path_text};
use crate::manifest::source::load_manifest;

/// Say why a file or a package is in an image, what it costs, and what would go with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  image-builder explain out/1.0.0 /usr/bin/runc
  image-builder explain out/1.0.0 /usr/lib/firmware
  image-builder explain out/1.0.0 --package libseccomp2
  image-builder --json explain out/1.0.0 /etc/passwd | jq .origin")]
pub struct Args {
    /// The image: a build directory, a manifest or a disk image.
    image: PathBuf,
    /// A path in it.
    #[arg(required_unless_present = "package")]
    path: Option<String>,
    /// Explain a package instead of a path.
    #[arg(long, value_name = "NAME", conflicts_with = "path")]
    package: Option<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// When the image cannot be read, or has no such path or package.
pub fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    let manifest = load_manifest(&args.image)?;
    if let Some(name) = &args.package {
        let found = explain::package(&manifest, name)?;
        if ui.json { ui.data(&found)? } else { ui.line(package_text(&found)) }
    } else {
        let found = explain::path(&manifest, args.path.as_deref().unwrap_or("/"))?;
        if ui.json { ui.data(&found)? } else { ui.line(path_text(&found)) }
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, FromArgMatches};

    use super::*;
    use crate::manifest::{fixture, source, write};
    use crate::progress::Progress;

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        let command = Args::augment_args(clap::Command::new("explain"));
        Args::from_arg_matches(&command.try_get_matches_from([&["explain"], arguments].concat())?)
    }

    #[test]
    fn wants_a_path_or_a_package_and_not_both() {
        assert!(parse(&["out", "/usr"]).is_ok() && parse(&["out", "--package", "runc"]).is_ok());
        for arguments in [&["out"][..], &[], &["out", "/usr", "--package", "runc"], &["out", "--package"], &["out", "/a", "/b"]] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }

    #[test]
    fn answers_from_a_build_directory() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(source::FILE_NAME), write(&fixture::manifest()).unwrap()).unwrap();
        let image = dir.path().to_str().unwrap();
        let ask =
            |arguments: &[&str], json| run(&parse(&[&[image], arguments].concat()).unwrap(), &Ui { progress: Progress::silent(), json });
        for json in [false, true] {
            assert_eq!(ask(&["/usr/bin/runc"], json).unwrap(), ExitCode::SUCCESS);
            assert_eq!(ask(&["--package", "runc"], json).unwrap(), ExitCode::SUCCESS);
            assert!(ask(&["/usr/bin/nope"], json).is_err());
            assert!(ask(&["--package", "nope"], json).is_err());
        }
    }
}
