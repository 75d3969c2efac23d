//! `man`: manual pages, made from the same types as the command line.

use std::io;
use std::path::{Path, PathBuf};

/// Write a manual page for every subcommand.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory to write them to; made if absent.
    dir: PathBuf,
}

/// Examples for the help text of `program man`.
#[must_use]
pub fn examples(program: &str) -> String {
    format!(
        "Examples:
  {program} man ~/.local/share/man/man1
  {program} man /tmp/man && man /tmp/man/{program}.1"
    )
}

impl Args {
    /// Writes the pages of `command` and answers with a sentence that says where they are.
    ///
    /// # Errors
    /// The directory cannot be made or written to; the error names it.
    pub fn write(&self, command: clap::Command) -> io::Result<String> {
        let failed = |error: io::Error| io::Error::new(error.kind(), format!("writing manual pages to {}: {error}", self.dir.display()));
        write(&self.dir, command).map_err(failed)?;
        Ok(format!("manual pages are in {}", self.dir.display()))
    }
}

fn write(dir: &Path, command: clap::Command) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(command, dir)
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    fn command() -> Command {
        Command::new("ferry").subcommand(Command::new("cross").after_help(examples("ferry")))
    }

    #[test]
    fn every_subcommand_has_a_page_with_its_examples() {
        let dir = tempfile::tempdir().unwrap();
        let args = Args { dir: dir.path().join("made/man1") };
        assert!(args.write(command()).unwrap().ends_with("made/man1"));
        let page = std::fs::read_to_string(args.dir.join("ferry-cross.1")).unwrap();
        assert!(page.contains("Examples:"), "{page}");
        assert!(args.dir.join("ferry.1").exists());
    }

    #[test]
    fn a_file_in_the_way_is_an_error_that_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Args { dir: file.path().to_owned() }.write(command()).unwrap_err();
        assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
    }
}
