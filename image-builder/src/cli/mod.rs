//! The command line: one file per subcommand, each only parses, calls the library and prints.

pub mod archive_args;
pub mod build;
pub mod convert;
pub mod diff;
pub mod explain;
pub mod fetch;
pub mod inspect;
pub mod keygen;
pub mod lock;
pub mod prove;
pub mod publish;
pub mod release;
pub mod root;
pub mod run;
pub mod verify;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use command_line::{completions, log, man};

use crate::install;
use crate::lock::FetchError;
use crate::progress::Progress;

/// Builds, signs, inspects and runs Slipway OS images.
#[derive(Debug, Parser)]
#[command(name = NAME, version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print machine-readable JSON on standard output.
    #[arg(long, global = true)]
    json: bool,
}

/// What the program is called.
const NAME: &str = "image-builder";

const EXIT_CODES: &str = "Exit status: 0 done; 1 the work failed; 2 the command line is wrong; \
3 the answer of a check is no (verify, prove, diff); 4 the lock names packages that the archive no longer serves.";

/// The work failed.
pub const EXIT_FAILED: u8 = 1;
/// A check ran and its answer is no.
pub const EXIT_NO: u8 = 3;
/// The lock names packages that the archive no longer serves.
pub const EXIT_STALE_LOCK: u8 = 4;

#[derive(Debug, Subcommand)]
enum Command {
    Build(build::Args),
    #[command(after_help = completions::examples(NAME))]
    Completions(completions::Args),
    Convert(convert::Args),
    Diff(diff::Args),
    Explain(explain::Args),
    Fetch(fetch::Args),
    Inspect(inspect::Args),
    Keygen(keygen::Args),
    Lock(lock::Args),
    #[command(after_help = man::examples(NAME))]
    Man(man::Args),
    Prove(prove::Args),
    Publish(publish::Args),
    Release(release::Args),
    Root(root::Args),
    Run(run::Args),
    Verify(verify::Args),
    #[command(name = install::SUBCOMMAND, hide = true)]
    InternalInstall,
}

/// The whole command line, for what is made from it.
fn command_line() -> clap::Command {
    Cli::command()
}

/// What a subcommand needs to talk to its user.
#[derive(Debug)]
pub struct Ui {
    /// Long work reports here.
    pub progress: Progress,
    /// Standard output carries JSON.
    pub json: bool,
}

impl Ui {
    /// Writes one line of data to standard output. A reader that went away is not an error.
    pub fn line(&self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stdout().lock(), "{}", text.as_ref());
    }

    /// Writes `value` as indented JSON to standard output.
    pub fn data(&self, value: &impl serde::Serialize) -> anyhow::Result<()> {
        self.line(serde_json::to_string_pretty(value)?);
        Ok(())
    }

    /// `text` in bold on a terminal, plain in a pipe.
    #[must_use]
    pub fn bold(&self, text: &str) -> String {
        if std::io::stdout().is_terminal() { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Parses the command line, runs the subcommand and maps its result to an exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log::init("SLIPWAY_LOG", "warn");
    let ui = Ui { progress: if cli.json { Progress::silent() } else { Progress::auto() }, json: cli.json };
    match run(&cli.command, &ui) {
        Ok(code) => code,
        Err(error) => {
            ui.progress.note(format!("error: {error:#}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    let gone = |cause: &(dyn std::error::Error + 'static)| matches!(cause.downcast_ref(), Some(FetchError::Gone { .. }));
    if error.chain().any(gone) { EXIT_STALE_LOCK } else { EXIT_FAILED }
}

fn run(command: &Command, ui: &Ui) -> anyhow::Result<ExitCode> {
    match command {
        Command::Build(args) => build::run(args, ui),
        Command::Completions(args) => {
            ui.line(args.script(command_line()));
            Ok(ExitCode::SUCCESS)
        }
        Command::Convert(args) => convert::run(args, ui),
        Command::Diff(args) => diff::run(args, ui),
        Command::Explain(args) => explain::run(args, ui),
        Command::Fetch(args) => fetch::run(args, ui),
        Command::Inspect(args) => inspect::run(args, ui),
        Command::Keygen(args) => keygen::run(args, ui),
        Command::Lock(args) => lock::run(args, ui),
        Command::Man(args) => {
            ui.progress.note(args.write(command_line())?);
            Ok(ExitCode::SUCCESS)
        }
        Command::Prove(args) => prove::run(args, ui),
        Command::Publish(args) => publish::run(args, ui),
        Command::Release(args) => release::run(args, ui),
        Command::Root(args) => root::run(args, ui),
        Command::Run(args) => run::run(args, ui),
        Command::Verify(args) => verify::run(args, ui),
        Command::InternalInstall => install::serve().map(|()| ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn only_packages_that_are_gone_make_a_lock_stale() {
        let gone = || FetchError::Gone { packages: vec!["tini 1".to_owned()] };
        assert_eq!(exit_code(&gone().into()), EXIT_STALE_LOCK);
        assert_eq!(exit_code(&Err::<(), _>(gone()).context("building the image").unwrap_err()), EXIT_STALE_LOCK);
        let absent = FetchError::Absent { package: "tini 1".to_owned() };
        assert_eq!(exit_code(&absent.into()), EXIT_FAILED);
        assert_eq!(exit_code(&anyhow::anyhow!("something else")), EXIT_FAILED);
    }
}
