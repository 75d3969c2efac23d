//! `man`: manual pages, made from the same types as the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

use super::Ui;

/// Write a manual page for every subcommand.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  updater man ~/.local/share/man/man1
  updater man /tmp/man && man /tmp/man/updater-why.1")]
pub(super) struct Args {
    /// Directory to write them to; made if absent.
    dir: PathBuf,
}

/// Runs the subcommand.
///
/// # Errors
/// When the directory cannot be written.
pub(super) fn run(args: &Args, ui: &Ui) -> anyhow::Result<ExitCode> {
    write_pages(&args.dir).with_context(|| format!("writing manual pages to {}", args.dir.display()))?;
    ui.note(format!("manual pages are in {}", args.dir.display()));
    Ok(ExitCode::SUCCESS)
}

fn write_pages(dir: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(super::command(), dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_has_a_page_with_an_example() {
        let dir = tempfile::tempdir().unwrap();
        write_pages(&dir.path().join("made/man1")).unwrap();
        for subcommand in
            super::super::command().get_subcommands().filter(|subcommand| !subcommand.is_hide_set() && subcommand.get_name() != "help")
        {
            let page = dir.path().join("made/man1").join(format!("updater-{}.1", subcommand.get_name()));
            let text = std::fs::read_to_string(&page).unwrap();
            assert!(text.contains("Examples:"), "{} has no example", subcommand.get_name());
        }
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(write_pages(file.path()).is_err());
    }
}
